/* SPDX-License-Identifier: MIT */
/*
 * Runs shell scripts, each in a VM of its own, all at once. docs/launcher.md is all that it knows of vmm.
 *
 *   launcher VMM KERNEL IMAGE SECONDS <SCRIPTS     a script is a line (cc -O2 -pthread -o launcher launcher.c)
 *
 * IMAGE is /dev/vda of each, read-only, and has the commands `sh` and `vsock`. Prints a line for each script: its number,
 * how its VM has ended, and the first line that it has printed. Exit status 0 if all exited with 0.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A shell whose input and output are a connection to the launcher; its status is the guest's. */
#define GUEST "-- sh -c \"mkfifo /tmp/o; vsock connect 1 </tmp/o | sh >/tmp/o 2>&1\""

/* The descriptors of a child: 10 kernel, 11 image, 12 /dev/kvm, 13 lifeline, 14 events, 15 the guest's calls. */
static struct vm {
	pthread_t thread;
	pid_t pid;
	int events_fd, calls_fd; /* our ends */
	char script[4096], events[8192], output[4096];
} vms[1000];
static time_t deadline;

static void start(struct vm *vm, const char *program)
{
	int events[2], calls[2];

	if (pipe2(events, O_CLOEXEC) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, calls) || (vm->pid = fork()) < 0)
		err(1, "a pipe, a pair of sockets and a process");
	if (vm->pid == 0) {
		dup2(open("/dev/null", O_RDWR), STDIN_FILENO);
		dup2(STDERR_FILENO, STDOUT_FILENO); /* the console */
		dup2(events[1], 14);
		dup2(calls[1], 15);
		execl(program, "vmm", "--kernel=fd=10", "--rootfs=fd=11,ro", "--kvm-fd=12",
		      "--lifeline-fd=13", "--events-fd=14", "--vsock=cid=3,connect-fd=15",
		      "--cmdline", GUEST, NULL);
		err(127, "%s", program);
	}
	close(events[1]); /* or their ends would never come */
	close(calls[1]);
	vm->events_fd = events[0];
	vm->calls_fd = calls[0];
}

static void read_all(int fd, char *text, size_t size)
{
	FILE *file = fdopen(fd, "r");

	text[fread(text, 1, size - 1, file)] = '\0';
	fclose(file);
}

/* The guest's first connection, or -1 if its VM has ended before. */
static int take_call(int calls_fd)
{
	char port[64], control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { port, sizeof(port) };
	struct msghdr message = { NULL, 0, &iov, 1, control, sizeof(control), 0 };
	int fd = -1;

	if (recvmsg(calls_fd, &message, MSG_CMSG_CLOEXEC) > 0 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	close(calls_fd);
	return fd;
}

static void *serve(void *argument)
{
	struct vm *vm = argument;
	const int connection = take_call(vm->calls_fd);

	if (connection >= 0) {
		dprintf(connection, "%s\nexit\n", vm->script);
		read_all(connection, vm->output, sizeof(vm->output));
	}
	read_all(vm->events_fd, vm->events, sizeof(vm->events));
	return NULL;
}

/* Waits for its end, or ends it when the time is over, and prints what has become of it. */
static int finish(struct vm *vm)
{
	const struct timespec end = { .tv_sec = deadline };
	const int is_late = pthread_timedjoin_np(vm->thread, NULL, &end) != 0;
	int status;

	if (is_late) {
		kill(vm->pid, SIGTERM);
		pthread_join(vm->thread, NULL);
	}
	waitpid(vm->pid, &status, 0);
	const char *why = strstr(vm->events, "\"message\":");
	why = why ? why : "";
	printf("%td ", vm - vms);
	if (is_late)
		printf("timed out");
	else if (strstr(vm->events, "\"reason\":\"guest_ended\""))
		printf("exited %d", WEXITSTATUS(status));
	else if (strstr(vm->events, "\"reason\":\"guest_panicked\""))
		printf("panicked");
	else
		printf("failed %#x %.*s", status, (int)strcspn(why, "\n"), why);
	const char *ready = strstr(vm->events, "\"event\":\"ready\"") ? "" : ", not ready";
	printf("%s: %.*s\n", ready, (int)strcspn(vm->output, "\n"), vm->output);
	return status;
}

static void inherit(const char *path, int fd, int child_fd)
{
	if (fd < 0 || dup2(fd, child_fd) < 0)
		err(1, "%s", path);
}

int main(int argc, char **argv)
{
	struct vm *vm = vms, *end = vms;
	int lifeline[2], failed = 0;

	if (argc != 5 || pipe2(lifeline, O_CLOEXEC))
		errx(1, "usage: launcher VMM KERNEL IMAGE SECONDS <SCRIPTS");
	inherit(argv[2], open(argv[2], O_RDONLY), 10);
	inherit(argv[3], open(argv[3], O_RDONLY), 11);
	inherit("/dev/kvm", open("/dev/kvm", O_RDWR), 12);
	for (int fd = 13; fd <= 15; fd++) /* and nothing else is at 14 and 15 */
		inherit("a pipe", lifeline[0], fd);
	deadline = time(NULL) + atoi(argv[4]);
	signal(SIGPIPE, SIG_IGN);
	for (; end < vms + 1000 && fgets(end->script, sizeof(end->script), stdin); end++) {
		start(end, argv[1]);
		if (pthread_create(&end->thread, NULL, serve, end))
			errx(1, "no more threads");
	}
	for (; vm < end; vm++)
		failed |= finish(vm);
	return failed != 0;
}
