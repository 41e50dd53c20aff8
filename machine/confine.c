/* SPDX-License-Identifier: MIT */
/* What the process gives away before the guest's first instruction. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/sandbox.h"
#include "host/signals.h"
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

#define SET_UP_THREADS 2u /* this one's, and the event loop's */

/* Every path that the event loop connects to. */
#define MAX_CONNECTED (MAX_NETS + 2)

static void collect_connected(const struct machine *m, const char *paths[MAX_CONNECTED])
{
	const struct vsock_config *vsock = &m->config.vsock;
	unsigned n = 0;

	if (vsock->guest_cid != 0 && vsock->connect_fd < 0 && vsock->uds_path != NULL)
		paths[n++] = vsock->uds_path;
	for (unsigned i = 0; i < m->config.n_nets; i++)
		if (m->config.nets[i].passt_path != NULL)
			paths[n++] = m->config.nets[i].passt_path;
	paths[n] = NULL;
}

bool machine_connects(const struct machine *m)
{
	const char *paths[MAX_CONNECTED];

	collect_connected(m, paths);
	return paths[0] != NULL;
}

void machine_prepare_sandbox(const struct machine *m)
{
	const struct sandbox_user *user = &m->config.user;
	struct error_text error;

	if (user->is_given && geteuid() != 0) {
		error_set(&error, "only root can become another user");
		fail_option(&error, "--uid %u", user->uid);
	}
	sandbox_prepare(m->config.sandbox, user, machine_connects(m));
}

static unsigned uses_of_vsock(const struct vsock_config *vsock)
{
	if (vsock->guest_cid == 0)
		return 0;
	unsigned uses = SECCOMP_VSOCK;
	if (vsock->connect_fd >= 0)
		uses |= SECCOMP_VSOCK_OFFER;
	else if (vsock->uds_path != NULL)
		uses |= SECCOMP_VSOCK_PATH;
	if (vsock->uds_fd < 0 && vsock->uds_path != NULL)
		uses |= SECCOMP_OWN_PATH;
	return uses;
}

static unsigned uses_of_event_loop(const struct machine *m)
{
	unsigned uses = SECCOMP_EVENT_LOOP | uses_of_vsock(&m->config.vsock);

	for (unsigned i = 0; i < m->config.n_nets; i++)
		if (m->nics[i].tap.fd < 0)
			uses |= SECCOMP_STREAM_NIC;
	if (m->config.snapshot != NULL)
		uses |= SECCOMP_SNAPSHOT;
	if (m->config.control.text != NULL)
		uses |= SECCOMP_CONTROL | (m->config.control.fd > 0 ? 0 : SECCOMP_OWN_PATH);
	return uses;
}

static void set_limits(const struct machine *m)
{
	const struct sandbox_limits limits = { machine_descriptors(m), max_file_bytes(m) };

	sandbox_limit(&limits);
}

static void give_up_files(const struct machine *m)
{
	const char *paths[MAX_CONNECTED];
	struct sandbox_files files = { .folder_fd = m->snapshot.folder_fd };

	collect_connected(m, paths);
	files.connected = paths[0] != NULL ? paths : NULL;
	listen_socket_directories(files.removal_fds);
	sandbox_give_up_files(&files);
}

/* Whoever is last refuses tracers: to those who do /proc refuses files. */
static void leave_files(void)
{
	static atomic_uint n_left;

	if (atomic_fetch_add(&n_left, 1) + 1 == SET_UP_THREADS)
		sandbox_refuse_tracers();
}

void machine_give_up_event_loop_files(const struct machine *m)
{
	signals_learn_ignored();
	set_limits(m);
	give_up_files(m);
	leave_files();
}

/* musl's functions of these names do nothing. */
static bool set_policy(int policy)
{
	struct sched_param none = { 0 };

	return syscall(SYS_sched_setscheduler, 0, policy, &none) == 0;
}

/* The order wakes the first vCPU's thread, and that this one: a batch thread does not take the CPU from it (sched(7)). */
static bool stand_back(void)
{
	return syscall(SYS_sched_getscheduler, 0) == SCHED_OTHER && set_policy(SCHED_BATCH);
}

void machine_confine_event_loop(struct machine *m)
{
	unsigned uses = uses_of_event_loop(m);

	m->stands_back = m->config.start_fd >= 0 && stand_back();
	if (m->stands_back)
		uses |= SECCOMP_BEHIND;
	sandbox_enter(uses);
}

void machine_step_forward(const struct machine *m)
{
	if (m->stands_back)
		set_policy(SCHED_OTHER);
}

void machine_give_up_vcpu_files(void)
{
	struct sandbox_files files = { .folder_fd = -1 };

	listen_socket_directories(files.removal_fds);
	sandbox_give_up_files(&files);
}

/* All that takes time is done before the order comes: the threads stand confined. */
static void start_by_order(struct machine *m)
{
	static const atomic_bool never = false;
	static sem_t order;

	sem_init(&order, 0, 0);
	m->vcpu_machine.order = &order;
	machine_warm_clone(m, &never);
	machine_start_vcpus(m);
	vcpu_warm(&m->vcpus[0]);
	machine_map_touched(m);
	sandbox_enter(SECCOMP_VCPU | SECCOMP_WAITING);
	machine_await_order(m);
	machine_start_clocks(m);
	for (unsigned i = 1; i < m->config.n_cpus; i++)
		sem_post(&order);
}

void machine_confine_vcpus(struct machine *m)
{
	leave_files();
	if (m->config.start_fd >= 0 || sandbox_is_reported()) {
		signals_wait_for(&m->confined);
		sem_post(&m->confined);
	}
	sandbox_report();
	if (m->config.start_fd >= 0) {
		start_by_order(m);
		return;
	}
	machine_start_clocks(m);
	machine_start_vcpus(m);
}

void machine_confine_first_vcpu(const struct machine *m)
{
	if (m->config.start_fd < 0)
		sandbox_enter(SECCOMP_VCPU);
}

static void *enter(void *unused)
{
	sandbox_enter(SECCOMP_VCPU);
	return unused;
}

/* A thread of its own has the filter: the report of what was tried takes other system calls. */
void machine_try_sandbox(struct machine *m)
{
	pthread_t thread;

	set_limits(m);
	sandbox_refuse_tracers();
	give_up_files(m);
	errno = pthread_create(&thread, NULL, enter, NULL);
	if (errno != 0)
		fail_errno(EXIT_HOST_REFUSED, "cannot start a second thread");
	pthread_join(thread, NULL);
	sandbox_report();
}
