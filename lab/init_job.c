/* SPDX-License-Identifier: MIT */
/*
 * Runs the lab's command inside the emulated machine and moves its streams over the ports.
 *
 * Theory of operation. Each stream has its own thread and its own port. An output thread ends at end of
 * file, or, if something the command left behind still holds the pipe, when the command has ended
 * and the pipe is empty; then it sends END. When the caller closes an output, the thread closes its
 * pipe, so that the command meets SIGPIPE as it would outside.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"
#include "job.h"
#include "wire.h"

struct output {
	int source_fd; /* read end of the command's pipe, or the terminal's master side; -1: unused */
	int port_fd;
	int ended_fd;  /* eventfd: the command has ended */
	int closed_fd; /* eventfd: the caller no longer wants this output */
	pthread_t thread;
};

struct input {
	int port_fd;
	int sink_fd;
	int keep_open;
};

struct control {
	int port_fd;
	int terminal_fd; /* -1 without a terminal */
	struct output *output;
	struct output *error;
};

struct heart {
	int port_fd;
	int ended_fd;
	int every_ms;
	pthread_t thread;
};

static char **list_add(char **list, size_t *count, char *item)
{
	list = realloc(list, (*count + 2) * sizeof(*list));
	if (!list)
		init_fail("storing", "the job");
	if (item)
		list[(*count)++] = item;
	list[*count] = NULL;
	return list;
}

void init_job_parse(struct init_job *job, char *data, unsigned int bytes)
{
	size_t arguments = 0, variables = 0, directories = 0, files = 0;

	job->argv = list_add(NULL, &arguments, NULL);
	job->envp = list_add(NULL, &variables, NULL);
	job->writable = list_add(NULL, &directories, NULL);
	job->copies = list_add(NULL, &files, NULL);
	for (char *at = data; at < data + bytes; at += strlen(at) + 1) {
		char *value = at + 1;

		switch (*at) {
		case JOB_ARGUMENT:
			job->argv = list_add(job->argv, &arguments, value);
			break;
		case JOB_ENVIRONMENT:
			job->envp = list_add(job->envp, &variables, value);
			break;
		case JOB_WRITABLE:
			job->writable = list_add(job->writable, &directories, value);
			break;
		case JOB_COPY:
			job->copies = list_add(job->copies, &files, value);
			break;
		case JOB_DIRECTORY:
			job->directory = value;
			break;
		case JOB_MODULES:
			job->modules = value;
			break;
		case JOB_CLOCK:
			job->clock = value;
			break;
		case JOB_TERMINAL:
			job->terminal = value;
			break;
		case JOB_ERR_APART:
			job->err_apart = 1;
			break;
		case JOB_NO_INPUT:
			job->no_input = 1;
			break;
		}
	}
}

static void *output_run(void *argument)
{
	struct output *output = argument;
	struct pollfd poll_fds[] = {
		{ .fd = output->source_fd, .events = POLLIN },
		{ .fd = output->closed_fd, .events = POLLIN },
		{ .fd = output->ended_fd, .events = POLLIN },
	};
	char data[WIRE_CHUNK_BYTES];
	int ended = 0;

	for (;;) {
		ssize_t got;

		/* A terminal may need a moment after the command's end to hand on its last bytes. */
		if (poll(poll_fds, ended ? 2 : 3, ended ? 20 : -1) == 0)
			break;
		if (poll_fds[1].revents)
			break;
		ended = ended || poll_fds[2].revents;
		if (!poll_fds[0].revents)
			continue;
		got = read(output->source_fd, data, sizeof(data));
		if (got <= 0 || wire_send(output->port_fd, WIRE_DATA, data, (uint32_t)got))
			break;
	}
	close(output->source_fd);
	wire_send(output->port_fd, WIRE_END, NULL, 0);
	return NULL;
}

static void *input_run(void *argument)
{
	const struct input *input = argument;
	struct wire_frame frame;
	int broken = 0;
	char *data;

	while ((data = wire_receive(input->port_fd, &frame)) && frame.type == WIRE_DATA) {
		broken = broken || wire_write(input->sink_fd, data, frame.bytes);
		free(data);
	}
	free(data);
	if (!input->keep_open)
		close(input->sink_fd);
	return NULL;
}

static void event_signal(int fd)
{
	const uint64_t one = 1;

	wire_write(fd, &one, sizeof(one));
}

static void *control_run(void *argument)
{
	const struct control *control = argument;
	struct wire_frame frame;
	uint32_t port;
	char *data;

	while ((data = wire_receive(control->port_fd, &frame))) {
		if (frame.type == WIRE_WINSIZE && control->terminal_fd >= 0)
			ioctl(control->terminal_fd, TIOCSWINSZ, data);
		if (frame.type == WIRE_CLOSED && frame.bytes == sizeof(port)) {
			memcpy(&port, data, sizeof(port));
			event_signal(port == WIRE_OUT ? control->output->closed_fd
						      : control->error->closed_fd);
		}
		free(data);
	}
	return NULL;
}

/* Until the command has ended; then the port is free for its status. */
static void *heart_run(void *argument)
{
	const struct heart *heart = argument;
	struct pollfd ended = { .fd = heart->ended_fd, .events = POLLIN };

	while (poll(&ended, 1, heart->every_ms) == 0)
		wire_send(heart->port_fd, WIRE_ALIVE, NULL, 0);
	return NULL;
}

static void thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
	errno = pthread_create(thread, NULL, run, argument);
	if (errno)
		init_fail("starting", "a thread");
}

static void pipe_open(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) < 0)
		init_fail("opening", "a pipe");
}

/* In the child: becomes the command. */
static _Noreturn void command_exec(const struct init_job *job, const int fds[3])
{
	sigset_t none;

	setsid();
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			_exit(126);
	if (job->terminal)
		ioctl(0, TIOCSCTTY, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	environ = job->envp;
	if (chdir(job->directory) < 0) {
		dprintf(2, "lab: %s: %s\n", job->directory, strerror(errno));
		_exit(125);
	}
	execvp(job->argv[0], job->argv);
	dprintf(2, "lab: %s: %s\n", job->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static int command_wait(pid_t command)
{
	int status;
	pid_t pid;

	do
		pid = waitpid(-1, &status, 0);
	while (pid != command && (pid > 0 || errno == EINTR));
	if (pid < 0)
		init_fail("waiting for", "the command");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Opens the command's three descriptors in fds and our ends of them; *master is the terminal or -1. */
static void streams_open(const struct init_job *job, int fds[3], int *master, struct input *input,
			 struct output *output, struct output *error)
{
	int ends[2];

	*master = -1;
	if (job->terminal) {
		struct winsize size = { 0 };

		sscanf(job->terminal, "%hu %hu", &size.ws_row, &size.ws_col);
		if (openpty(master, &fds[0], NULL, NULL, &size) < 0)
			init_fail("opening", "a terminal");
		fcntl(*master, F_SETFD, FD_CLOEXEC);
		fcntl(fds[0], F_SETFD, FD_CLOEXEC);
		fds[1] = fds[2] = fds[0];
		input->sink_fd = output->source_fd = *master;
		input->keep_open = 1;
	} else {
		pipe_open(ends);
		fds[0] = ends[0];
		input->sink_fd = ends[1];
		if (job->no_input)
			fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		pipe_open(ends);
		fds[1] = ends[1];
		output->source_fd = ends[0];
	}
	if (job->terminal && !job->err_apart)
		return;
	pipe_open(ends);
	fds[2] = ends[1];
	error->source_fd = ends[0];
}

static void output_start(struct output *output, int port_fd, int ended_fd)
{
	output->port_fd = port_fd;
	output->ended_fd = ended_fd;
	output->closed_fd = eventfd(0, EFD_CLOEXEC);
	if (output->source_fd >= 0)
		thread_start(&output->thread, output_run, output);
}

int init_job_run(const struct init_job *job, const int port_fd[])
{
	struct output output = { .source_fd = -1 }, error = { .source_fd = -1 };
	struct input input = { .port_fd = port_fd[WIRE_IN] };
	struct control control = { .port_fd = port_fd[WIRE_CTL],
				   .output = &output,
				   .error = &error };
	int ended_fd = eventfd(0, EFD_CLOEXEC);
	struct heart heart = {
		.port_fd = port_fd[WIRE_CTL],
		.ended_fd = ended_fd,
		.every_ms = getenv("LAB_DISKS") ? WIRE_ALIVE_BOCHS_MS : WIRE_ALIVE_MS,
	};
	pthread_t ignored;
	pid_t command;
	int fds[3];
	int status;

	streams_open(job, fds, &control.terminal_fd, &input, &output, &error);
	wire_send(port_fd[WIRE_CTL], WIRE_STARTED, NULL, 0);
	command = fork();
	if (command < 0)
		init_fail("starting", job->argv[0]);
	if (command == 0)
		command_exec(job, fds);
	close(fds[0]);
	if (fds[1] != fds[0])
		close(fds[1]);
	if (fds[2] != fds[1])
		close(fds[2]);
	output_start(&output, port_fd[WIRE_OUT], ended_fd);
	output_start(&error, port_fd[WIRE_ERR], ended_fd);
	thread_start(&ignored, input_run, &input);
	thread_start(&ignored, control_run, &control);
	if (job->clock) /* else the clock counts instructions, and these would count */
		thread_start(&heart.thread, heart_run, &heart);
	status = command_wait(command);
	event_signal(ended_fd);
	if (job->clock)
		pthread_join(heart.thread, NULL);
	pthread_join(output.thread, NULL);
	if (error.source_fd >= 0)
		pthread_join(error.thread, NULL);
	else
		wire_send(port_fd[WIRE_ERR], WIRE_END, NULL, 0);
	return status;
}
