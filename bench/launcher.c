/* SPDX-License-Identifier: MIT */
/*
 * launcher: starts a monitor as a sandbox's launcher would, and prints when it saw what. One program for all
 * monitors, so that all are measured alike.
 *
 *   launcher [--status] [--time-limit SECONDS] [--delay-us N] [--order | --order-api SOCKET FILE] [--order-after MS] [--kill]
 *            -- COMMAND [ARG...]
 *
 * With --order COMMAND waits for its order on descriptor 4; with --order-api it is a Firecracker whose API is at SOCKET and that shall
 * load the snapshot that the JSON object in FILE describes. The order comes MS milliseconds after the fork. With --kill the process
 * is killed after its first byte.
 *
 * Prints one line, times in nanoseconds from just before the fork:
 *   first_byte=N    the first byte of COMMAND's standard output
 *   result=N        the end of the guest as COMMAND tells it: the first line on descriptor 3 with --status,
 *                   else the process's exit
 *   exit=N          the process's exit
 *   out_end=N       the end of its standard output: launchers that collect the output wait for that
 *   status=N        its exit status, 128+N after signal N
 *   order=N         the order, if there was one
 *   private_kib=N   its private memory (process_memory.h) before the order
 *   start=N         CLOCK_MONOTONIC just before the fork
 * With --delay-us it sleeps before: where in the host's tick the fork is makes a difference.
 * And the status line, and what COMMAND wrote, on stderr. Exit status: 0 if all of it was seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/order.h"
#include "bench/process_memory.h"

#define STATUS_FD 3 /* in COMMAND */

static struct {
	bool with_status, kill;
	int64_t limit_s, delay_us;
	bool order; /* on ORDER_FD */
	const char *order_socket, *order_file;
	int64_t order_after_ms;
	char **command;
} options = { .limit_s = 60 };

struct sighting {
	int64_t first_byte_ns, result_ns, exit_ns, out_end_ns; /* since the fork; 0: not seen */
	int64_t order_ns, start_ns;
	uint64_t private_kib;
	int status;
};

/* The beginning of what came through one pipe. */
struct stream {
	int fd;
	char text[4096];
	size_t used;
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "launcher: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The watcher runs as soon as there is something to see, even where vCPU and watcher share one CPU; the
 * children do not inherit that. Without the right to it the times are a little late. */
static void watch_at_once(bool at_once)
{
	struct sched_param parameter = { .sched_priority = at_once };

	/* musl has a function of that name that does nothing. */
	syscall(SYS_sched_setscheduler, 0,
		(at_once ? SCHED_FIFO : SCHED_OTHER) | SCHED_RESET_ON_FORK, &parameter);
}

/* -1: there is none. All are above the numbers that COMMAND knows. */
static void give(int fd, int number)
{
	if (fd >= 0 && dup2(fd, number) < 0)
		_exit(126);
}

static void run_command(int out_fd, int status_fd, int order_fd)
{
	char **argv = options.command;

	give(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
	give(out_fd, STDOUT_FILENO);
	give(status_fd, STATUS_FD);
	give(order_fd, ORDER_FD);
	execvp(argv[0], argv);
	fprintf(stderr, "launcher: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* A pipe whose ends are above all numbers that COMMAND knows. */
static void make_pipe(int ends[2])
{
	int low[2];

	if (pipe2(low, O_CLOEXEC) < 0)
		die("pipe");
	for (unsigned i = 0; i < 2; i++) {
		ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, ORDER_FD + 1);
		if (ends[i] < 0)
			die("pipe");
		close(low[i]);
	}
}

/* With the guest's. */
static uint64_t private_kib(pid_t pid)
{
	struct process_memory memory;

	return process_memory_read(pid, 0, &memory) ? memory.private_kib : 0;
}

static void sleep_ms(int64_t ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* order_fd: where --order's line goes; with --order-api, where the answer comes. */
static int send_order(struct sighting *seen, pid_t pid, int order_fd)
{
	static char text[ORDER_BYTES] = "go\n";
	size_t length = 3;

	if (options.order_socket != NULL) {
		length = order_read_request(text, options.order_file);
		if (length == 0)
			die(options.order_file);
	}
	/* To look at its memory holds it up, and whom the host's scheduler prefers is not as it was for a while. */
	sleep_ms(options.order_after_ms / 2);
	if (options.order_after_ms > 0)
		seen->private_kib = private_kib(pid);
	sleep_ms(options.order_after_ms - options.order_after_ms / 2);
	if (options.order_socket != NULL)
		order_fd = order_connect(options.order_socket, pid);
	/* Whom a SCHED_FIFO process wakes runs on another CPU, if there is one, which has to be woken first: no launcher does
	 * that. */
	bool alone = sysconf(_SC_NPROCESSORS_ONLN) == 1;
	watch_at_once(alone);
	seen->order_ns = now_ns() - seen->start_ns;
	if (order_fd < 0 || !order_send(order_fd, text, length))
		fprintf(stderr, "launcher: the order was not taken: %s\n", strerror(errno));
	if (!alone)
		watch_at_once(true);
	return order_fd;
}

/* What the API says; one that refuses will not come to its first byte. */
static void take_answer(int *fd, pid_t pid)
{
	char answer[ORDER_BYTES];
	ssize_t n = read(*fd, answer, sizeof(answer));

	if (n > 0 && strncmp(answer, "HTTP/1.1 2", 10) != 0) {
		fprintf(stderr, "%.*s\n", (int)n, answer);
		kill(pid, SIGKILL);
	}
	*fd = -1;
}

/* Returns false at the stream's end. */
static bool stream_read(struct stream *stream)
{
	char discarded[4096];
	bool full = stream->used == sizeof(stream->text);
	ssize_t n = read(stream->fd, full ? discarded : stream->text + stream->used,
			 full ? sizeof(discarded) : sizeof(stream->text) - stream->used);

	if (n > 0 && !full)
		stream->used += (size_t)n;
	if (n > 0)
		return true;
	close(stream->fd);
	stream->fd = -1;
	return false;
}

/* Until the process has ended and its pipes are closed. api_fd -1: nobody answers. */
static bool watch(struct sighting *seen, pid_t pid, int pid_fd, int api_fd, struct stream *out,
		  struct stream *status)
{
	bool ended = false;

	while (!ended || out->fd >= 0 || status->fd >= 0) {
		struct pollfd polled[] = {
			{ .fd = ended ? -1 : pid_fd, .events = POLLIN },
			{ .fd = out->fd, .events = POLLIN },
			{ .fd = status->fd, .events = POLLIN },
			{ .fd = api_fd, .events = POLLIN },
		};
		int64_t left_ms = options.limit_s * 1000 - (now_ns() - seen->start_ns) / 1000000;
		if (left_ms <= 0 || poll(polled, 4, (int)left_ms) < 0)
			return false;
		int64_t at_ns = now_ns() - seen->start_ns;
		if (polled[1].revents && !stream_read(out)) {
			seen->out_end_ns = at_ns;
		} else if (polled[1].revents && seen->first_byte_ns == 0) {
			seen->first_byte_ns = at_ns;
			if (options.kill)
				kill(pid, SIGKILL);
		}
		if (polled[2].revents && stream_read(status) && seen->result_ns == 0 &&
		    memchr(status->text, '\n', status->used))
			seen->result_ns = at_ns;
		if (polled[3].revents)
			take_answer(&api_fd, pid);
		if (polled[0].revents) {
			seen->exit_ns = at_ns;
			ended = true;
		}
	}
	return true;
}

static bool launch(struct sighting *seen, struct stream *out, struct stream *status)
{
	int out_pipe[2], status_pipe[2] = { -1, -1 }, order_pipe[2] = { -1, -1 }, order_fd = -1;

	make_pipe(out_pipe);
	if (options.with_status)
		make_pipe(status_pipe);
	if (options.order)
		make_pipe(order_pipe);
	seen->start_ns = now_ns();
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		run_command(out_pipe[1], status_pipe[1], order_pipe[0]);
	close(out_pipe[1]);
	if (options.with_status)
		close(status_pipe[1]);
	out->fd = out_pipe[0];
	status->fd = status_pipe[0];
	int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pid_fd < 0)
		die("pidfd_open");
	if (options.order || options.order_socket != NULL)
		order_fd = send_order(seen, pid, order_pipe[1]);
	bool in_time =
		watch(seen, pid, pid_fd, options.order_socket == NULL ? -1 : order_fd, out, status);
	if (!in_time) {
		fprintf(stderr, "launcher: time limit reached\n");
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &seen->status, 0) < 0)
		die("waitpid");
	if (!options.with_status)
		seen->result_ns = seen->exit_ns;
	return in_time;
}

static int64_t number_of(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	return *text != '\0' && *end == '\0' ? value : -1;
}

/* Returns how many words belong to the option, 0: it is none. */
static int parse_option(char **word, int n_left)
{
	if (strcmp(word[0], "--status") == 0)
		options.with_status = true;
	else if (strcmp(word[0], "--order") == 0)
		options.order = true;
	else if (strcmp(word[0], "--kill") == 0)
		options.kill = true;
	else if (n_left < 2)
		return 0;
	else if (strcmp(word[0], "--time-limit") == 0)
		return options.limit_s = number_of(word[1]), 2;
	else if (strcmp(word[0], "--delay-us") == 0)
		return options.delay_us = number_of(word[1]), 2;
	else if (strcmp(word[0], "--order-after") == 0)
		return options.order_after_ms = number_of(word[1]), 2;
	else if (strcmp(word[0], "--order-api") != 0 || n_left < 3)
		return 0;
	else
		return options.order_socket = word[1], options.order_file = word[2], 3;
	return 1;
}

static bool parse_arguments(int argc, char **argv)
{
	int i = 1, n;

	for (; i < argc && strcmp(argv[i], "--") != 0; i += n) {
		n = parse_option(argv + i, argc - i);
		if (n == 0)
			return false;
	}
	if (i + 1 >= argc)
		return false;
	options.command = argv + i + 1;
	return options.limit_s > 0 && options.delay_us >= 0 && options.delay_us < 1000000 &&
	       options.order_after_ms >= 0;
}

int main(int argc, char **argv)
{
	static struct stream out, status;
	struct sighting seen = { 0 };

	if (!parse_arguments(argc, argv)) {
		fprintf(stderr, "usage: launcher [--status] [--time-limit SECONDS] [--delay-us N] "
				"[--order | --order-api SOCKET FILE] [--order-after MS] [--kill] "
				"-- COMMAND [ARG...]\n");
		return 2;
	}
	watch_at_once(true);
	nanosleep(&(struct timespec){ .tv_nsec = options.delay_us * 1000 }, NULL);
	bool in_time = launch(&seen, &out, &status);
	printf("first_byte=%lld result=%lld exit=%lld out_end=%lld status=%d order=%lld "
	       "private_kib=%" PRIu64 " start=%lld\n",
	       (long long)seen.first_byte_ns, (long long)seen.result_ns, (long long)seen.exit_ns,
	       (long long)seen.out_end_ns,
	       WIFEXITED(seen.status) ? WEXITSTATUS(seen.status) : 128 + WTERMSIG(seen.status),
	       (long long)seen.order_ns, seen.private_kib, (long long)seen.start_ns);
	fprintf(stderr, "%.*s%.*s", (int)status.used, status.text, (int)out.used, out.text);
	return in_time && seen.first_byte_ns && seen.result_ns ? 0 : 1;
}
