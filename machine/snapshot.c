/* SPDX-License-Identifier: MIT */
/* A snapshot of this VM: it stops, its devices come to rest, and all of it goes into a file that gets its name last. */
#include "machine/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu/vcpu_state.h"
#include "host/container_of.h"
#include "host/event_line.h"
#include "host/fail.h"
#include "host/file.h"
#include "host/message.h"
#include "host/text.h"
#include "irq/irqchip_state.h"
#include "machine/rehearsal.h"
#include "machine/rest.h"
#include "machine/snapshot_devices.h"
#include "machine/snapshot_plan.h"
#include "snapshot/memory.h"

static bool is_name(const char *name)
{
	return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0 && strlen(name) < SNAPSHOT_NAME_BYTES;
}

/* Without a name, and for this user alone. */
static int open_unnamed(int folder_fd, int mode)
{
	return openat(folder_fd, ".", O_TMPFILE | mode | O_CLOEXEC, 0600);
}

/* The user that the process is going to be. Not musl's fchown(), which finds another way by chown(). */
static bool give_away(const struct machine *m, int fd)
{
	const struct sandbox_user *user = &m->config.user;

	return !user->is_given || syscall(SYS_fchown, fd, user->uid, user->gid) == 0;
}

static int open_own_files(void)
{
	return open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void machine_open_snapshot_folder(struct machine *m)
{
	const char *path = m->config.snapshot;
	struct error_text error;
	struct stat status;
	int fd = -1;

	m->snapshot.folder_fd = m->snapshot.pages_fd = m->snapshot.unnamed_fd = -1;
	if (path == NULL)
		return;
	m->snapshot.folder_fd = file_open_folder(path);
	if (m->snapshot.folder_fd >= 0)
		fd = open_unnamed(m->snapshot.folder_fd, O_RDWR);
	if (fd < 0 || !give_away(m, fd))
		error_set_errno(&error,
				errno == EOPNOTSUPP
					? "the file system there has no unnamed files: %s"
					: "%s",
				strerror(errno));
	else if ((m->snapshot.own_files_fd = open_own_files()) < 0)
		error_set_refused(&error, "there is no /proc, by which a file gets its name");
	else if (!is_name(file_base_name(path)))
		error_set(&error, "expected the name of a file");
	else if (lstat(path, &status) == 0)
		error_set(&error, "it exists already");
	else {
		m->snapshot.unnamed_fd = fd;
		m->snapshot.pages_fd = snapshot_memory_open_pages();
		return;
	}
	fail_option(&error, "--snapshot %s", path);
}

/* The guest's request, on a vCPU's thread: it does not come to its next instruction. */
static void guest_asks(void *context)
{
	struct machine *m = context;

	if (atomic_load(&m->snapshot.guest_refused))
		return;
	pause_close_gate(&m->pause);
	event_signal(m->snapshot.asked.fd);
}

static void begin(struct machine *m, struct control_client *client, const char *name, bool goes_on)
{
	struct snapshot *snapshot = &m->snapshot;

	text_format(snapshot->name, sizeof(snapshot->name), "%s", name);
	snapshot->client = client;
	snapshot->goes_on = goes_on;
	snapshot->was_paused = m->pause.state != PAUSE_RUNNING;
	snapshot->pending = true;
	pause_begin(&m->pause);
}

static void guest_has_asked(struct event *event)
{
	struct machine *m = container_of(event, struct machine, snapshot.asked);

	/* While another one is taken this VM stands, and a clone would ask in vain: it has no answer to wait for. */
	if (!m->snapshot.pending && exit_request_status(&m->exit) == EXIT_REQUEST_NONE)
		begin(m, NULL, file_base_name(m->config.snapshot), false);
}

void machine_attach_snapshot(struct machine *m)
{
	if (m->snapshot.folder_fd < 0)
		return;
	event_open(&m->snapshot.asked, &m->ring, "the snapshot's", guest_has_asked);
	m->timer.snapshot = guest_asks;
	m->timer.context = m;
}

void machine_start_snapshot(struct machine *m)
{
	if (m->snapshot.folder_fd >= 0)
		event_start(&m->snapshot.asked);
}

void machine_ask_snapshot(struct machine *m, struct control_client *client, const char *name,
			  bool goes_on)
{
	const char *why = m->snapshot.folder_fd < 0 ? "the VM was started without --snapshot"
			  : m->snapshot.pending     ? "a snapshot is being taken"
			  : name != NULL && !is_name(name)
				  ? "expected a name in the folder of --snapshot's file"
				  : NULL;

	if (why != NULL)
		control_refuse(client, why);
	else
		begin(m, client, name != NULL ? name : file_base_name(m->config.snapshot), goes_on);
}

static void save_cpus(const struct machine *m, struct snapshot_writer *writer,
		      struct error_text *error)
{
	static struct vcpu_xsave xsave;
	static struct vcpu_msrs msrs;
	struct vcpu_state state;
	const char *failed;

	xsave.bytes = m->snapshot.xsave_bytes;
	for (unsigned i = 0; i < m->config.n_cpus; i++) {
		if (!vcpu_state_save(m->vcpus[i].fd, &m->snapshot.msrs, &state, &xsave, &msrs,
				     &failed)) {
			error_set_refused(error, "%s of vCPU %u: %s", failed, i, strerror(errno));
			writer->error = errno;
			return;
		}
		snapshot_writer_add(writer, SNAPSHOT_CPU, i, &state, sizeof(state));
		snapshot_writer_add(writer, SNAPSHOT_CPU_XSAVE, i, xsave.area, xsave.bytes);
		snapshot_writer_add(writer, SNAPSHOT_CPU_MSRS, i, &msrs,
				    vcpu_msrs_bytes(msrs.head.nmsrs));
	}
}

static void save_irqchip(const struct machine *m, struct snapshot_writer *writer,
			 struct error_text *error)
{
	struct irqchip_state state;
	const char *failed;

	if (irqchip_save(m->vm_fd, &state, &failed)) {
		snapshot_writer_add(writer, SNAPSHOT_IRQCHIP, 0, &state, sizeof(state));
		return;
	}
	error_set_refused(error, "%s: %s", failed, strerror(errno));
	writer->error = errno;
}

static bool write_file(const struct machine *m, int fd, struct snapshot_header *header,
		       struct error_text *error)
{
	const struct snapshot_file *origin = &m->snapshot.file;
	bool has_origin = origin->header.magic != 0;
	struct identity_state identity;
	struct snapshot_writer writer;

	error->text[0] = '\0';
	snapshot_writer_begin(&writer, fd);
	machine_describe(m, header);
	save_irqchip(m, &writer, error);
	save_cpus(m, &writer, error);
	identity_save(&m->timer.identity, &identity);
	snapshot_writer_add(&writer, SNAPSHOT_IDENTITY, 0, &identity, sizeof(identity));
	machine_save_devices(m, &writer);
	snapshot_memory_write(&writer, &m->memory, m->snapshot.pages_fd,
			      has_origin ? origin->fd : -1, origin->header.memory_offset);
	if (snapshot_writer_end(&writer, header))
		return true;
	return error->text[0] != '\0' ? false : error_set_errno(error, "%s", strerror(errno));
}

/* One that can be read was opened while the process might: seccomp lets it open none. */
static int take_unnamed(struct snapshot *snapshot)
{
	int fd = snapshot->unnamed_fd;

	if (snapshot->goes_on || fd < 0)
		return open_unnamed(snapshot->folder_fd, O_WRONLY);
	snapshot->unnamed_fd = -1;
	return fd;
}

static bool link_file(const struct snapshot *snapshot, int fd, struct error_text *error)
{
	char number[16];

	text_format(number, sizeof(number), "%d", fd);
	return linkat(snapshot->own_files_fd, number, snapshot->folder_fd, snapshot->name,
		      AT_SYMLINK_FOLLOW) == 0 ||
	       error_set_errno(error, "%s", strerror(errno));
}

static bool make_file(struct machine *m, struct error_text *error)
{
	struct snapshot *snapshot = &m->snapshot;
	struct snapshot_header header;
	int fd = take_unnamed(snapshot);

	if (fd < 0)
		return error_set_errno(error, "%s", strerror(errno));
	bool done = write_file(m, fd, &header, error) && link_file(snapshot, fd, error);
	if (done && !snapshot->goes_on) {
		exit_request_post(&m->exit, EXIT_GUEST_ENDED);
		machine_rehearse(m, fd, &header);
	}
	close(fd);
	return done;
}

static void answer(struct machine *m, bool done, const struct error_text *error)
{
	struct control_client *client = m->snapshot.client;

	if (!done)
		warn("snapshot %s: %s", m->snapshot.name, error->text);
	if (client == NULL)
		atomic_store(&m->snapshot.guest_refused, !done);
	/* It may have left meanwhile, and another one may have its place. */
	m->snapshot.client = NULL;
	if (client == NULL || !client->waits)
		return;
	if (done)
		control_answer(client, "{\"ok\":true}");
	else
		control_refuse(client, error->text);
}

void machine_take_snapshot(struct machine *m)
{
	struct snapshot *snapshot = &m->snapshot;
	struct error_text error;

	if (!snapshot->pending || m->pause.state != PAUSE_STOPPED)
		return;
	bool done = machine_rest_devices(m, &error) && make_file(m, &error);
	snapshot->pending = false;
	answer(m, done, &error);
	if (done)
		event_line_emit("snapshot");
	if (done && !snapshot->goes_on)
		return;
	machine_wake_devices(m);
	if (!snapshot->was_paused)
		pause_end(&m->pause);
}
