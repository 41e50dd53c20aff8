/* SPDX-License-Identifier: MIT */
/* What the process gives away before the guest's first instruction. */
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/late_close.h"
#include "host/sandbox.h"
#include "machine/machine.h"
#include "machine/restore.h"
#include "virtio-mmio/block_overlay.h"

/* Devices, control clients and the like, at most. */
#define OWN_DESCRIPTORS 256u

unsigned machine_descriptors(const struct machine *m)
{
	return OWN_DESCRIPTORS + m->config.n_cpus +
	       (m->config.vsock.guest_cid != 0 ? VSOCK_MAX_CONNECTIONS : 0);
}

static bool grows(int fd)
{
	struct stat status;

	return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* Images keep their size; where the guest's output or a line goes to a file, that may take any. */
static uint64_t max_file_bytes(const struct machine *m)
{
	uint64_t most =
		m->config.snapshot == NULL ? 0 : snapshot_file_max_bytes(m->config.mem_bytes);

	if (m->config.serial == SERIAL_FILE || grows(STDOUT_FILENO) || grows(STDERR_FILENO) ||
	    grows(m->config.status_fd) || grows(m->config.events_fd))
		return UINT64_MAX;
	for (unsigned i = 0; i < m->config.n_disks; i++) {
		const struct block_image *image = &m->disks[i].image;
		uint64_t bytes = image->sectors * SECTOR_BYTES;
		if (image->overlay != NULL)
			bytes += image->overlay->data_start;
		if (bytes > most)
			most = bytes;
	}
	return most;
}

void machine_prepare_sandbox(const struct machine *m)
{
	const char *const paths[SANDBOX_PATHS] = {
		m->config.vsock.uds_path,
		m->config.control.fd > 0 ? NULL : m->config.control.text,
	};

	sandbox_prepare(m->config.sandbox, paths);
}

/* Whether the event loop may make or end sockets. What an inherited NIC is the other thread may still find out. */
static bool has_sockets(const struct machine *m)
{
	for (unsigned i = 0; i < m->config.n_nets; i++)
		if (m->config.nets[i].tap_name == NULL)
			return true;
	return m->config.vsock.guest_cid != 0 || m->config.control.text != NULL;
}

void machine_confine_event_loop(struct machine *m)
{
	late_close_prepare();
	sandbox_give_up_files_outside(m->snapshot.folder_fd);
	if (m->config.snapshot != NULL)
		sandbox_enter(has_sockets(m) ? SECCOMP_EVENT_LOOP_SOCKETS_SNAPSHOTS
					     : SECCOMP_EVENT_LOOP_SNAPSHOTS);
	else
		sandbox_enter(has_sockets(m) ? SECCOMP_EVENT_LOOP_SOCKETS : SECCOMP_EVENT_LOOP);
}

void machine_confine_vcpus(struct machine *m)
{
	const struct sandbox_limits limits = { machine_descriptors(m), max_file_bytes(m) };

	sandbox_limit(&limits);
	sandbox_give_up_files();
	sandbox_report();
	/* To make threads takes further calls. */
	bool waits = m->config.start_fd >= 0 && m->config.n_cpus == 1;
	if (waits) {
		machine_start_vcpus(m);
		sandbox_enter(SECCOMP_VCPU_WAITING);
	}
	machine_await_order(m);
	machine_start_clocks(m);
	if (!waits) {
		machine_start_vcpus(m);
		sandbox_enter(SECCOMP_VCPU);
	}
}

static void *enter(void *unused)
{
	sandbox_enter(SECCOMP_VCPU);
	return unused;
}

/* A thread of its own has the filter: the report of what was tried takes other system calls. */
void machine_try_sandbox(struct machine *m)
{
	const struct sandbox_limits limits = { machine_descriptors(m), max_file_bytes(m) };
	pthread_t thread;

	sandbox_limit(&limits);
	sandbox_give_up_files();
	errno = pthread_create(&thread, NULL, enter, NULL);
	if (errno != 0)
		fail_errno(EXIT_HOST_REFUSED, "cannot start a second thread");
	pthread_join(thread, NULL);
	sandbox_report();
}
