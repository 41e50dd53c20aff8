/* SPDX-License-Identifier: MIT */
/* The user's inputs: images, the vsock's socket, the kernel and its initrd. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "boot/acpi.h"
#include "boot/boot_params.h"
#include "boot/ibft.h"
#include "boot/kernel_load.h"
#include "boot/mptable.h"
#include "boot/reset_vector.h"
#include "boot/smbios.h"
#include "cpu/boot_state.h"
#include "host/fail.h"
#include "host/file.h"
#include "host/lifeline.h"
#include "host/socket.h"
#include "machine/machine.h"
#include "machine/restore.h"
#include "mem/page.h"
#include "virtio-mmio/block_look.h"
#include "virtio-mmio/overlay_file.h"

void machine_keep_descriptors(struct machine *m)
{
	struct error_text error;
	int kept[MAX_DESCRIPTORS];

	if (!descriptors_collect(&m->descriptors, &m->config, &error))
		fail_error(&error);
	for (unsigned i = 0; i < m->descriptors.n; i++) {
		const struct named_descriptor *named = &m->descriptors.list[i];
		kept[i] = named->fd;
		if (fcntl(named->fd, F_GETFD) >= 0)
			continue;
		error_set_errno(&error, "%s", strerror(errno));
		if (named->path != NULL)
			fail_option(&error, "%s%s", named->option, named->path);
		fail_option(&error, "%s%d", named->option, named->fd);
	}
	file_close_others(kept, m->descriptors.n);
}

void machine_adopt_lifeline(const struct machine *m)
{
	int fd = m->config.lifeline_fd;
	struct error_text error;

	if (fd < 0)
		return;
	if (!lifeline_adopt(fd, &error))
		fail_option(&error, "--lifeline-fd %d", fd);
	if (lifeline_has_ended())
		fail_by_signal(SIGTERM);
}

static const char *disk_option(const struct machine *m, unsigned i)
{
	return i == 0 && m->config.has_rootfs ? "--rootfs" : "--disk";
}

/* By any two names: links, and a device's nodes. */
static bool is_same_file(const struct file_name *name, const struct file_name *other_name)
{
	struct stat status, other;

	if (file_stat(name, &status) < 0 || file_stat(other_name, &other) < 0)
		return false;
	if (S_ISBLK(status.st_mode) && S_ISBLK(other.st_mode))
		return status.st_rdev == other.st_rdev;
	return status.st_dev == other.st_dev && status.st_ino == other.st_ino;
}

static void fail_if_file_is(const struct machine *m, unsigned i, const struct file_name *file,
			    unsigned j, const struct file_name *other)
{
	struct error_text error;

	if (file == other || other->text == NULL || !is_same_file(file, other))
		return;
	error_set(&error, "it is in use: it is also %s %s", disk_option(m, j), other->text);
	fail_option(&error, "%s %s", disk_option(m, i), file->text);
}

/* A file in use is the user's mistake if this VM itself has it, by any name. */
static void fail_if_file_twice(const struct machine *m, unsigned i, const struct file_name *file)
{
	for (unsigned j = 0; j <= i; j++) {
		fail_if_file_is(m, i, file, j, &m->config.disks[j].file);
		fail_if_file_is(m, i, file, j, &m->config.disks[j].overlay);
	}
}

static bool open_image(struct block_image *image, const struct disk_config *disk,
		       struct error_text *error)
{
	const struct file_name *file = &disk->file;

	bool read_only = disk->read_only || disk->has_overlay;

	return file->fd > 0 ? block_image_adopt(image, file->text, file->fd, read_only, error)
			    : block_image_open(image, file->text, read_only, error);
}

static const struct machine *owner;

/* At exit(). A lock on a description that the launcher has, too, outlives the process. Once the devices run the disks'
 * own end unlocks: not before their last request. */
static void unlock_inherited(void)
{
	for (unsigned i = 0; i < owner->config.n_disks && !owner->devices_run; i++) {
		const struct disk *disk = &owner->disks[i];
		if (disk->image.inherited)
			block_image_unlock(&disk->image);
		if (disk->overlay.file.inherited)
			block_image_unlock(&disk->overlay.file);
	}
}

/* --check makes no file. */
static bool would_make_file(const struct machine *m, const struct disk_config *disk)
{
	struct stat status;

	return m->config.check && disk->overlay.text != NULL &&
	       (file_stat(&disk->overlay, &status) < 0 || status.st_size == 0);
}

static void open_overlay(struct machine *m, unsigned i)
{
	const struct disk_config *disk = &m->config.disks[i];
	struct error_text error;

	if (!disk->has_overlay || would_make_file(m, disk) ||
	    overlay_file_open(&m->disks[i].overlay, &m->disks[i].image, &disk->overlay,
			      disk->overlay_folder, &error))
		return;
	if (disk->overlay.text != NULL && error.code == EXIT_HOST_REFUSED)
		fail_if_file_twice(m, i, &disk->overlay);
	if (disk->overlay.text != NULL)
		fail_option(&error, "%s %s,overlay=%s", disk_option(m, i), disk->file.text,
			    disk->overlay.text);
	if (disk->overlay_folder != NULL)
		fail_option(&error, "%s %s,overlay-dir=%s", disk_option(m, i), disk->file.text,
			    disk->overlay_folder);
	fail_option(&error, "%s %s,overlay", disk_option(m, i), disk->file.text);
}

void machine_open_images(struct machine *m)
{
	struct error_text error;

	for (unsigned i = 0; i < m->config.n_disks && owner == NULL; i++)
		if (m->config.disks[i].file.fd > 0 || m->config.disks[i].overlay.fd > 0) {
			owner = m;
			atexit(unlock_inherited);
		}
	for (unsigned i = 0; i < m->config.n_disks; i++) {
		const struct disk_config *disk = &m->config.disks[i];
		if (open_image(&m->disks[i].image, disk, &error)) {
			block_look_at(&m->disks[i].image);
			open_overlay(m, i);
			continue;
		}
		if (error.code == EXIT_HOST_REFUSED)
			fail_if_file_twice(m, i, &disk->file);
		fail_option(&error, "%s %s", disk_option(m, i), disk->file.text);
	}
}

void machine_open_vsock(struct machine *m)
{
	const struct socket_kind packets = { AF_UNIX, SOCK_SEQPACKET, .connected = true };
	const struct vsock_config *vsock = &m->config.vsock;
	struct error_text error;

	m->vsock.listener.fd = -1;
	if (vsock->guest_cid == 0)
		return;
	if (vsock->connect_fd >= 0 &&
	    !socket_adopt(vsock->connect_fd, &packets,
			  "a connected Unix socket of type SOCK_SEQPACKET", &error))
		fail_option(&error, "--vsock connect-fd=%d", vsock->connect_fd);
	if (vsock->uds_fd >= 0) {
		if (!listen_socket_adopt(&m->vsock.listener, vsock->uds_fd, &error))
			fail_option(&error, "--vsock uds-fd=%d", vsock->uds_fd);
	} else if (vsock->uds_path != NULL &&
		   !listen_socket_open(&m->vsock.listener, vsock->uds_path, &error)) {
		fail_option(&error, "--vsock uds=%s", vsock->uds_path);
	}
}

/* The file is emptied, and kernel and initrd are not locked. */
static void fail_if_serial_is(const struct machine *m, const char *option,
			      const struct file_name *file)
{
	const struct file_name *serial = &m->config.serial_file;
	struct error_text error;

	if (file->text == NULL || !is_same_file(serial, file))
		return;
	error_set(&error, "it is also %s %s", option, file->text);
	fail_option(&error, "--serial %s%s", serial->fd > 0 ? "" : "file:", serial->text);
}

void machine_check_serial_file(const struct machine *m)
{
	fail_if_serial_is(m, "--kernel", &m->config.kernel);
	fail_if_serial_is(m, "--initrd", &m->config.initrd);
	for (unsigned i = 0; i < m->config.n_disks; i++) {
		fail_if_serial_is(m, disk_option(m, i), &m->config.disks[i].file);
		fail_if_serial_is(m, disk_option(m, i), &m->config.disks[i].overlay);
	}
}

/* False: none is wanted. */
static bool open_input(const struct machine *m, struct input_file *file, const char *option,
		       const struct file_name *name)
{
	struct error_text error;

	*file = (struct input_file){ .fd = -1 };
	if (name->text == NULL)
		return false;
	if (!(name->fd > 0 ? input_file_adopt(file, name->fd, m->config.mem_bytes, &error)
			   : input_file_open(file, name->text, &error)))
		fail_option(&error, "%s %s", option, name->text);
	return true;
}

static void write_tables(const struct machine *m)
{
	struct error_text error;

	if (!ibft_write(&m->memory) || !smbios_write(&m->memory) ||
	    !mptable_write(&m->memory, m->config.n_cpus) || !reset_vector_write(&m->memory) ||
	    !boot_state_write_tables(&m->memory))
		error_set(&error, "there is no RAM for the boot tables");
	else if (m->config.acpi && !acpi_write(&m->memory, m->config.n_cpus, m->plan.virtio,
					       m->plan.n_virtio, m->config.serial != SERIAL_NONE))
		error_set(&error, "there is no RAM for the ACPI tables");
	else
		return;
	fail_option(&error, "--mem");
}

static void load_kernel(struct machine *m, uint64_t initrd_bytes)
{
	struct input_file *file = &m->kernel_file;
	struct error_text error;

	/* Any Linux is larger. A smaller guest may never use more memory than that. */
	if (file->bytes > HUGE_PAGE_BYTES && m->config.mem_pages == PAGES_TRANSPARENT)
		guest_memory_prefer_huge_pages(&m->memory);
	if (!kernel_load(&m->kernel, &m->memory, file, initrd_bytes, &error))
		fail_option(&error, "--kernel %s", m->config.kernel.text);
	input_file_close(file);
}

void machine_open_kernel(struct machine *m)
{
	if (m->config.kernel.fd <= 0)
		open_input(m, &m->kernel_file, "--kernel", &m->config.kernel);
}

/* Pipes are read in this order. */
static void load_guest(struct machine *m)
{
	struct initrd initrd = { 0 };
	struct input_file initrd_file;
	struct error_text error;

	if (m->config.kernel.fd > 0)
		open_input(m, &m->kernel_file, "--kernel", &m->config.kernel);
	bool has_initrd = open_input(m, &initrd_file, "--initrd", &m->config.initrd);
	load_kernel(m, initrd_file.bytes);
	if (has_initrd) {
		if (!initrd_load(&initrd, &m->memory, &m->kernel, &initrd_file, &error))
			fail_option(&error, "--initrd %s", m->config.initrd.text);
		input_file_close(&initrd_file);
	}
	if (!boot_params_write(&m->memory, &m->kernel, &initrd, m->plan.cmdline,
			       m->config.acpi ? LAYOUT_RSDP_GPA : 0, &error))
		fail_option(&error, "--kernel %s", m->config.kernel.text);
	write_tables(m);
	boot_timer_mark(&m->timer, BOOT_KERNEL_LOADED);
}

void machine_load(struct machine *m)
{
	if (m->config.restore.text != NULL)
		machine_load_snapshot(m);
	else
		load_guest(m);
}

/* Linux allocates from the top, and some right behind itself. A populated page costs the guest nothing; a missing
 * one costs an exit and the host's time to clear it. */
void machine_warm_memory(struct machine *m, const atomic_bool *vm_created)
{
	if (atomic_load(vm_created))
		return; /* the main thread may be loading the kernel: m->kernel is its own */
	if (m->config.restore.text != NULL) {
		machine_warm_clone(m, vm_created);
		return;
	}
	const uint64_t pages[] = {
		m->memory.low_bytes - HUGE_PAGE_BYTES,
		m->memory.low_bytes - 2 * HUGE_PAGE_BYTES,
		m->kernel.end_gpa,
		HUGE_PAGE_BYTES,
		2 * HUGE_PAGE_BYTES,
	};

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		sched_yield(); /* on one CPU the other thread may just have come out of its wait */
		if (atomic_load(vm_created))
			break;
		guest_memory_populate(&m->memory, pages[i]);
	}
}
