/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "host.h"

/* A child's descriptors: fds[i] as descriptor HOST_FD_PORTS + i, or -1. */
struct child {
	const char *const *argv;
	int fds[HOST_FDS];
	int console_fd;
	int terminal_fd; /* its stdin and stdout; -1: /dev/null and the console */
};

/* The terminal's signals are ours to handle: a child gets a terminal of its own, or none. */
static void child_leave(int terminal_fd)
{
	if (terminal_fd < 0) {
		setpgid(0, 0);
		return;
	}
	setsid();
	ioctl(terminal_fd, TIOCSCTTY, 0);
}

/* The child dies with us, however we die. */
static pid_t child_start(const struct child *child, const sigset_t *unblocked)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();
	const int terminal_fd = child->terminal_fd;

	if (pid < 0)
		host_fail("starting", child->argv[0]);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	child_leave(terminal_fd);
	sigprocmask(SIG_SETMASK, unblocked, NULL);
	dup2(terminal_fd < 0 ? open("/dev/null", O_RDWR) : terminal_fd, 0);
	dup2(terminal_fd < 0 ? child->console_fd : terminal_fd, 1);
	dup2(child->console_fd, 2);
	for (int i = 0; i < HOST_FDS; i++)
		if (child->fds[i] >= 0)
			dup2(child->fds[i], HOST_FD_PORTS + i);
	execvp(child->argv[0], (char *const *)child->argv);
	dprintf(2, "%s: %s\n", child->argv[0], strerror(errno));
	_exit(125);
}

/* Moves a descriptor above the numbers that the children expect. */
static int raised(int fd)
{
	const int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 2 * HOST_FD_END);

	if (high < 0)
		host_fail("opening", "the machine's descriptors");
	close(fd);
	return high;
}

/* A listening socket for virtiofsd and a connected one for QEMU, with no name in the file system. */
static void sockets_open(int *listening, int *connected)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t bytes = sizeof(address);

	*listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*listening < 0 || *connected < 0 ||
	    bind(*listening, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 ||
	    listen(*listening, 1) < 0 ||
	    getsockname(*listening, (struct sockaddr *)&address, &bytes) < 0 ||
	    connect(*connected, (struct sockaddr *)&address, bytes) < 0)
		host_fail("opening", "the file server's socket");
}

static pid_t virtiofsd_start(int listening, int console_fd, const sigset_t *unblocked)
{
	static const char *const argv[] = { "/usr/lib/qemu/virtiofsd", "--fd=10", "-o",
					    "source=/,sandbox=chroot,cache=always,log_level=err",
					    NULL };
	const struct child child = { argv, { listening, -1, -1, -1, -1, -1 }, console_fd, -1 };

	return child_start(&child, unblocked);
}

/* A terminal that moves bytes as they are. Its slave, *slave, stays open: without one the master reads an error. */
static int terminal_open(int *slave)
{
	const struct winsize size = { .ws_row = 25, .ws_col = 80 };
	struct termios raw = { 0 };
	int master;

	cfmakeraw(&raw);
	if (openpty(&master, slave, NULL, &raw, &size) < 0)
		host_fail("opening", "a terminal for the machine");
	*slave = raised(*slave);
	return raised(master);
}

static void uarts_open(struct host_machine *machine, struct child *emulator)
{
	static const int ports[] = { WIRE_CTL, WIRE_OUT, WIRE_ERR }; /* as init has them */

	for (int i = 0; i < 3; i++)
		machine->port_fd[ports[i]] = terminal_open(&emulator->fds[ports[i]]);
	machine->port_fd[WIRE_IN] = open("/dev/null", O_RDWR | O_CLOEXEC);
	machine->console_fd = terminal_open(&emulator->fds[HOST_FD_FILES - HOST_FD_PORTS]);
	machine->display_fd = terminal_open(&emulator->terminal_fd);
	emulator->console_fd = emulator->terminal_fd;
	fcntl(machine->display_fd, F_SETFL, O_NONBLOCK);
}

static void ports_open(struct host_machine *machine, struct child *emulator,
		       const sigset_t *unblocked)
{
	int console[2], listening, connected;

	if (pipe2(console, O_CLOEXEC) < 0)
		host_fail("opening", "a pipe");
	machine->console_fd = console[0];
	machine->display_fd = -1;
	emulator->console_fd = raised(console[1]);
	sockets_open(&listening, &connected);
	emulator->fds[HOST_FD_FILES - HOST_FD_PORTS] = raised(connected);
	for (int i = 0; i < WIRE_PORTS; i++) {
		int ends[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
			host_fail("opening", "a socket pair");
		machine->port_fd[i] = ends[0];
		emulator->fds[i] = raised(ends[1]);
	}
	machine->file_server = virtiofsd_start(listening, emulator->console_fd, unblocked);
	close(listening);
}

void host_machine_start(struct host_machine *machine, const struct host_options *options,
			int job_fd, const sigset_t *unblocked)
{
	struct child emulator = { options->machine, { -1, -1, -1, -1, -1, -1 }, -1, -1 };

	if (options->uarts) {
		uarts_open(machine, &emulator);
		emulator.fds[HOST_FD_JOB - HOST_FD_PORTS] = raised(job_fd);
	} else {
		ports_open(machine, &emulator, unblocked);
	}
	fcntl(machine->console_fd, F_SETFL, O_NONBLOCK);
	machine->emulator = child_start(&emulator, unblocked);
	if (options->uarts)
		return;
	/* Only the emulator holds them now: its end is an end of file here. */
	for (int i = 0; i < HOST_FDS; i++)
		if (emulator.fds[i] >= 0)
			close(emulator.fds[i]);
	close(emulator.console_fd);
}

void host_machine_stop(struct host_machine *machine)
{
	const pid_t children[] = { machine->emulator, machine->file_server };

	for (int i = 0; i < 2; i++) {
		if (children[i] <= 0)
			continue;
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
}
