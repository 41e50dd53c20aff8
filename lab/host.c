/* SPDX-License-Identifier: MIT */
/*
 * Runs one command in an emulated machine that has KVM, as if it ran here.
 *
 * Theory of operation. QEMU and virtiofsd are children that the kernel kills when this process ends, so
 * that nothing is left behind however it ends. Four threads move the command's streams
 * (host_streams.c); the main thread only waits: for signals, the time limit, and the threads' events.
 * Internal to the script `lab`, which finds kernel and initramfs and says which way it goes.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAIL_BYTES      4096
#define TICK_MS         100
#define SILENCE_S       60 /* of a stalled machine */
#define SILENCE_BOCHS_S 300
#define CYLINDER_BYTES  (16 * 63 * 512) /* a disk that Bochs takes has whole ones */
#define EXIT_TIME_LIMIT 124
#define EXIT_OWN        125

static struct host_machine machine;
static char console_tail[TAIL_BYTES];
static size_t console_bytes;
static int silent_ticks; /* since the last sign of life, as far as this process ran itself */

static _Noreturn void host_exit(int status)
{
	host_machine_stop(&machine);
	host_terminal_restore();
	_exit(status);
}

_Noreturn void host_fail(const char *doing, const char *what)
{
	const int error = errno;

	host_terminal_restore();
	dprintf(STDERR_FILENO, "lab: %s %s: %s\n", doing, what, strerror(error));
	host_exit(EXIT_OWN);
}

static const char **list_add(const char **list, const char *item)
{
	size_t count = 0;

	while (list && list[count])
		count++;
	list = realloc(list, (count + 2) * sizeof(*list));
	if (!list)
		host_fail("reading", "the options");
	list[count] = item;
	list[item ? count + 1 : count] = NULL;
	return list;
}

static void options_parse(struct host_options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{ "machine", required_argument, NULL, 'm' },
		{ "modules", required_argument, NULL, 'M' },
		{ "directory", required_argument, NULL, 'd' },
		{ "writable", required_argument, NULL, 'w' },
		{ "copy", required_argument, NULL, 'c' },
		{ "uarts", no_argument, NULL, 'u' },
		{ "counted", no_argument, NULL, 'C' },
		{ "time-limit", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	options->machine = list_add(NULL, NULL);
	options->writable = list_add(NULL, NULL);
	options->copies = list_add(NULL, NULL);
	while ((letter = getopt_long(argc, argv, "+", known, NULL)) != -1) {
		if (letter == 'm')
			options->machine = list_add(options->machine, optarg);
		else if (letter == 'M')
			options->modules = optarg;
		else if (letter == 'd')
			options->directory = optarg;
		else if (letter == 'w')
			options->writable = list_add(options->writable, optarg);
		else if (letter == 'c')
			options->copies = list_add(options->copies, optarg);
		else if (letter == 'u')
			options->uarts = 1;
		else if (letter == 'C')
			options->counted = 1;
		else if (letter == 't')
			options->time_limit_s = (unsigned int)strtoul(optarg, NULL, 10);
		else
			exit(EXIT_OWN);
	}
	options->argv = argv + optind;
	if (!options->machine[0] || !options->modules || !options->directory || !options->argv[0]) {
		dprintf(STDERR_FILENO, "lab: the host side is started by the script `lab` only\n");
		exit(EXIT_OWN);
	}
}

/* Keeps the last words of the machine's kernel, the emulator and virtiofsd, to show them if one fails. */
static void console_drain(int fd)
{
	ssize_t got;

	while ((got = read(fd, console_tail + console_bytes, TAIL_BYTES - console_bytes)) > 0) {
		console_bytes += (size_t)got;
		if (console_bytes < TAIL_BYTES)
			continue;
		memmove(console_tail, console_tail + TAIL_BYTES / 2, TAIL_BYTES / 2);
		console_bytes = TAIL_BYTES / 2;
	}
}

static _Noreturn void machine_failed(const char *how)
{
	console_drain(machine.display_fd);
	console_drain(machine.console_fd);
	host_terminal_restore();
	dprintf(STDERR_FILENO, "lab: the emulated machine %s before the command ended%s%.*s\n", how,
		console_bytes ? "; its last words:\n" : "", (int)console_bytes, console_tail);
	host_exit(EXIT_OWN);
}

static _Noreturn void machine_died(void)
{
	machine_failed("went down");
}

/* A machine's kernel may still end in a loop, or without interrupts. */
static void silence_count(const struct host_options *options, int started)
{
	const int limit_s = options->uarts ? SILENCE_BOCHS_S : SILENCE_S;

	if (started && !options->counted && ++silent_ticks >= limit_s * 1000 / TICK_MS)
		machine_failed("stalled");
}

static void signal_handle(int signal_fd, const struct host_streams *streams, int started)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH) {
		if (started)
			host_terminal_resize(streams);
		return;
	}
	if (info.ssi_signo != SIGCHLD)
		host_exit(128 + (int)info.ssi_signo);
	if (waitpid(machine.emulator, NULL, WNOHANG) == machine.emulator) {
		machine.emulator = 0;
		machine_died();
	}
	if (machine.file_server > 0 &&
	    waitpid(machine.file_server, NULL, WNOHANG) == machine.file_server) {
		machine.file_server = 0;
		machine_died();
	}
}

/* Takes one event; ends the process when both outputs and the status are complete. */
static void event_handle(int event_fd, const struct host_streams *streams, int *started)
{
	static int out_done, err_done, exited;
	char event;

	if (read(event_fd, &event, 1) != 1)
		return;
	switch (event) {
	case HOST_STARTED:
		*started = 1;
		host_terminal_raw(streams);
		break;
	case HOST_ALIVE:
		silent_ticks = 0;
		break;
	case HOST_OUT_DONE:
		out_done = 1;
		break;
	case HOST_ERR_DONE:
		err_done = 1;
		break;
	case HOST_EXIT:
		exited = 1;
		break;
	case HOST_FAILED:
		host_terminal_restore();
		dprintf(STDERR_FILENO, "lab: %s\n", host_streams_failure);
		host_exit(EXIT_OWN);
	}
	if (out_done && err_done && exited)
		host_exit(host_streams_status);
}

static int timer_open(unsigned int seconds)
{
	const struct itimerspec when = { .it_value = { .tv_sec = seconds } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (fd < 0 || timerfd_settime(fd, 0, &when, NULL) < 0)
		host_fail("setting", "the time limit");
	return fd;
}

/* A UART drops fast input, so the command gets none, and the job comes on a disk. */
static int job_disk_open(struct host_streams *streams, const struct host_options *options)
{
	const int fd = memfd_create("job", MFD_CLOEXEC);
	off_t bytes;

	if (fd < 0)
		host_fail("making", "the job");
	streams->terminal = streams->err_apart = 0;
	streams->no_input = 1;
	host_streams_write_job(streams, options, fd);
	bytes = (lseek(fd, 0, SEEK_END) + CYLINDER_BYTES - 1) / CYLINDER_BYTES * CYLINDER_BYTES;
	if (ftruncate(fd, bytes) < 0)
		host_fail("sizing", "the job");
	return fd;
}

int main(int argc, char **argv)
{
	struct host_options options = { 0 };
	struct host_streams streams = { 0 };
	struct pollfd poll_fds[5];
	sigset_t handled, before;
	int events[2];
	int started = 0;

	options_parse(&options, argc, argv);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&handled);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGHUP);
	sigaddset(&handled, SIGQUIT);
	sigaddset(&handled, SIGCHLD);
	sigaddset(&handled, SIGWINCH);
	sigprocmask(SIG_BLOCK, &handled, &before);
	if (pipe2(events, O_CLOEXEC) < 0)
		host_fail("opening", "a pipe");
	host_streams_look(&streams);
	host_machine_start(&machine, &options,
			   options.uarts ? job_disk_open(&streams, &options) : -1, &before);
	memcpy(streams.port_fd, machine.port_fd, sizeof(streams.port_fd));
	streams.event_fd = events[1];
	host_streams_start(&streams, &options);
	poll_fds[0] =
		(struct pollfd){ .fd = signalfd(-1, &handled, SFD_CLOEXEC), .events = POLLIN };
	poll_fds[1] = (struct pollfd){ .fd = timer_open(options.time_limit_s), .events = POLLIN };
	poll_fds[2] = (struct pollfd){ .fd = events[0], .events = POLLIN };
	poll_fds[3] = (struct pollfd){ .fd = machine.console_fd, .events = POLLIN };
	poll_fds[4] = (struct pollfd){ .fd = machine.display_fd, .events = POLLIN };
	for (;;) {
		int ready = poll(poll_fds, 5, TICK_MS);

		if (ready < 0 && errno != EINTR)
			host_fail("waiting for", "the command");
		if (ready == 0) {
			silence_count(&options, started);
			if (started && !options.counted && !options.uarts)
				host_streams_wake(&streams);
		}
		if (poll_fds[0].revents)
			signal_handle(poll_fds[0].fd, &streams, started);
		if (poll_fds[2].revents)
			event_handle(events[0], &streams, &started);
		if (poll_fds[1].revents) {
			host_terminal_restore();
			dprintf(STDERR_FILENO, "lab: time limit of %u s reached\n",
				options.time_limit_s);
			host_exit(EXIT_TIME_LIMIT);
		}
		for (int i = 3; i < 5; i++)
			if (poll_fds[i].revents)
				console_drain(poll_fds[i].fd);
	}
}
