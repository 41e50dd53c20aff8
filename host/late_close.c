/* SPDX-License-Identifier: MIT */
#include "host/late_close.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <liburing.h>

#include "host/text.h"

/* "vmm" and a place, as a position in a file: the descriptors of all VMs share one inode, the kernel's for what has none. */
#define FIRST_PLACE 0x766d6d00

/* Takes one of the host's places for a VM that is destroyed late. The lock lives as long as the VM's file. */
static bool take_place(int vm_fd)
{
	struct flock place = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	for (int i = 0; i < LATE_CLOSE_MAX; i++) {
		place.l_start = FIRST_PLACE + i;
		if (fcntl(vm_fd, F_OFD_SETLK, &place) == 0)
			return true;
	}
	return false;
}

static bool kvm_has_kernel_thread(void)
{
	struct utsname name;
	uint64_t major, minor = 0;
	const char *end;

	if (uname(&name) < 0)
		return true;
	major = text_number(name.release, &end);
	if (*end == '.')
		minor = text_number(end + 1, &end);
	return major < 6 || (major == 6 && minor < 13);
}

/* Whether each line ends in ":/". Without /proc it is taken for another cgroup. */
static bool in_root_cgroup(void)
{
	char text[4096];
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	for (const char *end = strchr(text, '\n'); end != NULL; end = strchr(end + 1, '\n'))
		if (end - text < 2 || end[-1] != '/' || end[-2] != ':')
			return false;
	return text[n - 1] == '\n';
}

/* Its table is all that it is for. */
static struct io_uring table_ring;
static bool has_table_ring;

/* An empty place, and no way to fill it but an operation on the ring: nothing is registered once the guest runs. Linux from 7.0
 * on would allow all registrations without a word about them: the ring is enabled already. */
static bool make_table(void)
{
	static const int no_file = -1;
	struct io_uring_restriction only[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FILES_UPDATE },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .register_op = IORING_REGISTER_ENABLE_RINGS },
	};

	return io_uring_register_files(&table_ring, &no_file, 1) == 0 &&
	       io_uring_register_restrictions(&table_ring, only, 2) == 0 &&
	       io_uring_enable_rings(&table_ring) == 0;
}

static bool is_allowed;

void late_close_ask(void)
{
	is_allowed = !kvm_has_kernel_thread() || in_root_cgroup();
}

void late_close_prepare(void)
{
	if (!is_allowed)
		return;
	if (io_uring_queue_init(1, &table_ring, IORING_SETUP_R_DISABLED) < 0)
		return;
	has_table_ring = make_table();
	if (!has_table_ring) /* whoever breaks in could enable it */
		io_uring_queue_exit(&table_ring);
}

static void put_in_table(int vm_fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&table_ring);

	if (sqe == NULL)
		return;
	io_uring_prep_files_update(sqe, &vm_fd, 1, 0);
	io_uring_submit_and_wait(&table_ring, 1); /* kernels before 5.17 have a worker do it */
}

/* A file in an io_uring's table is released by the worker that takes the ring down, after the process that had it. The
 * devices' ring would do as well, but it may have operations that end late, on a disk that hangs. */
void late_close(int vm_fd)
{
	if (has_table_ring && take_place(vm_fd))
		put_in_table(vm_fd);
	/* The ring stays open until the process ends. */
	close(vm_fd);
}
