/* SPDX-License-Identifier: MIT */
/*
 * launcher: starts a monitor as a sandbox's launcher would, and prints when it saw what. One program for all
 * monitors, so that all are measured alike.
 *
 *   launcher [--status] [--time-limit SECONDS] [--delay-us N] -- COMMAND [ARG...]
 *
 * Prints one line, times in nanoseconds from just before the fork:
 *   first_byte=N    the first byte of COMMAND's standard output
 *   result=N        the end of the guest as COMMAND tells it: the first line on descriptor 3 with --status,
 *                   else the process's exit
 *   exit=N          the process's exit
 *   out_end=N       the end of its standard output: launchers that collect the output wait for that
 *   status=N        its exit status, 128+N after signal N
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

#define STATUS_FD 3 /* in COMMAND */

struct sighting {
	int64_t first_byte_ns, result_ns, exit_ns, out_end_ns; /* since the fork; 0: not seen */
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
static void watch_at_once(void)
{
	struct sched_param parameter = { .sched_priority = 1 };

	sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameter);
}

static void run_command(char **argv, int out_fd, int status_fd)
{
	int null_fd = open("/dev/null", O_RDONLY);

	/* status_fd may be any number, STATUS_FD among them. */
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0)
		_exit(126);
	if (status_fd >= 0 && (status_fd == STATUS_FD ? fcntl(STATUS_FD, F_SETFD, 0)
						      : dup2(status_fd, STATUS_FD)) < 0)
		_exit(126);
	execvp(argv[0], argv);
	fprintf(stderr, "launcher: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
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

/* Until the process has ended and its pipes are closed; at most limit_ms. */
static bool watch(struct sighting *seen, int64_t start_ns, int pid_fd, struct stream *out,
		  struct stream *status, int64_t limit_ms)
{
	bool ended = false;

	while (!ended || out->fd >= 0 || status->fd >= 0) {
		struct pollfd polled[] = {
			{ .fd = ended ? -1 : pid_fd, .events = POLLIN },
			{ .fd = out->fd, .events = POLLIN },
			{ .fd = status->fd, .events = POLLIN },
		};
		int64_t left_ms = limit_ms - (now_ns() - start_ns) / 1000000;
		if (left_ms <= 0 || poll(polled, 3, (int)left_ms) < 0)
			return false;
		int64_t at_ns = now_ns() - start_ns;
		if (polled[1].revents && !stream_read(out))
			seen->out_end_ns = at_ns;
		else if (polled[1].revents && seen->first_byte_ns == 0)
			seen->first_byte_ns = at_ns;
		if (polled[2].revents && stream_read(status) && seen->result_ns == 0 &&
		    memchr(status->text, '\n', status->used))
			seen->result_ns = at_ns;
		if (polled[0].revents) {
			seen->exit_ns = at_ns;
			ended = true;
		}
	}
	return true;
}

static bool launch(struct sighting *seen, char **argv, bool with_status, int64_t limit_ms,
		   struct stream *out, struct stream *status)
{
	int out_pipe[2], status_pipe[2] = { -1, -1 };

	if (pipe2(out_pipe, O_CLOEXEC) < 0 || (with_status && pipe2(status_pipe, O_CLOEXEC) < 0))
		die("pipe");
	int64_t start_ns = now_ns();
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		run_command(argv, out_pipe[1], status_pipe[1]);
	close(out_pipe[1]);
	if (with_status)
		close(status_pipe[1]);
	out->fd = out_pipe[0];
	status->fd = status_pipe[0];
	int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pid_fd < 0)
		die("pidfd_open");
	bool in_time = watch(seen, start_ns, pid_fd, out, status, limit_ms);
	if (!in_time) {
		fprintf(stderr, "launcher: time limit reached\n");
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, &seen->status, 0) < 0)
		die("waitpid");
	if (!with_status)
		seen->result_ns = seen->exit_ns;
	return in_time;
}

int main(int argc, char **argv)
{
	static struct stream out, status;
	struct sighting seen = { 0 };
	bool with_status = false;
	int64_t limit_s = 60, delay_us = 0;
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--status") == 0)
			with_status = true;
		else if (strcmp(argv[i], "--time-limit") == 0 && i + 1 < argc)
			limit_s = strtol(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--delay-us") == 0 && i + 1 < argc)
			delay_us = strtol(argv[++i], NULL, 10);
		else
			break;
	}
	if (i + 1 >= argc || strcmp(argv[i], "--") != 0 || limit_s <= 0 || delay_us < 0 ||
	    delay_us >= 1000000) {
		fprintf(stderr, "usage: launcher [--status] [--time-limit SECONDS] [--delay-us N] "
				"-- COMMAND [ARG...]\n");
		return 2;
	}
	watch_at_once();
	nanosleep(&(struct timespec){ .tv_nsec = delay_us * 1000 }, NULL);
	bool in_time = launch(&seen, argv + i + 1, with_status, limit_s * 1000, &out, &status);
	printf("first_byte=%lld result=%lld exit=%lld out_end=%lld status=%d\n",
	       (long long)seen.first_byte_ns, (long long)seen.result_ns, (long long)seen.exit_ns,
	       (long long)seen.out_end_ns,
	       WIFEXITED(seen.status) ? WEXITSTATUS(seen.status) : 128 + WTERMSIG(seen.status));
	fprintf(stderr, "%.*s%.*s", (int)status.used, status.text, (int)out.used, out.text);
	return in_time && seen.first_byte_ns && seen.result_ns ? 0 : 1;
}
