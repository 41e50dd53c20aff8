/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "job.h"

int host_streams_status;
char *host_streams_failure;

static const struct host_options *job_options;
static struct termios terminal_saved;
static volatile sig_atomic_t terminal_is_raw;
static pthread_mutex_t control_lock = PTHREAD_MUTEX_INITIALIZER;

struct text {
	char *data;
	size_t bytes;
};

static void text_add(struct text *text, char letter, const char *value)
{
	const size_t bytes = strlen(value) + 1;

	text->data = realloc(text->data, text->bytes + 1 + bytes);
	if (!text->data)
		host_fail("storing", "the job");
	text->data[text->bytes] = letter;
	memcpy(text->data + text->bytes + 1, value, bytes);
	text->bytes += 1 + bytes;
}

static void job_add_streams(struct text *job, const struct host_streams *streams)
{
	struct winsize size = { 0 };
	char value[64];

	if (streams->terminal) {
		ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
		snprintf(value, sizeof(value), "%u %u", size.ws_row, size.ws_col);
		text_add(job, JOB_TERMINAL, value);
	}
	if (streams->err_apart)
		text_add(job, JOB_ERR_APART, "");
	if (streams->no_input)
		text_add(job, JOB_NO_INPUT, "");
}

static struct text job_build(const struct host_streams *streams, const struct host_options *options)
{
	struct text job = { 0 };
	struct timespec now;
	char value[64];

	for (char **variable = environ; *variable; variable++)
		text_add(&job, JOB_ENVIRONMENT, *variable);
	for (char **argument = options->argv; *argument; argument++)
		text_add(&job, JOB_ARGUMENT, *argument);
	for (const char **directory = options->writable; *directory; directory++)
		text_add(&job, JOB_WRITABLE, *directory);
	for (const char **path = options->copies; *path; path++)
		text_add(&job, JOB_COPY, *path);
	text_add(&job, JOB_DIRECTORY, options->directory);
	text_add(&job, JOB_MODULES, options->modules);
	if (!options->counted) {
		clock_gettime(CLOCK_REALTIME, &now);
		snprintf(value, sizeof(value), "%ld.%09ld", (long)now.tv_sec, now.tv_nsec);
		text_add(&job, JOB_CLOCK, value);
	}
	job_add_streams(&job, streams);
	return job;
}

static void control_send(const struct host_streams *streams, enum wire_type type, const void *data,
			 size_t bytes)
{
	pthread_mutex_lock(&control_lock);
	wire_send(streams->port_fd[WIRE_CTL], type, data, (uint32_t)bytes);
	pthread_mutex_unlock(&control_lock);
}

void host_streams_wake(const struct host_streams *streams)
{
	const struct wire_frame frame = { .type = WIRE_WAKE };

	if (pthread_mutex_trylock(&control_lock))
		return;
	(void)send(streams->port_fd[WIRE_CTL], &frame, sizeof(frame), MSG_DONTWAIT);
	pthread_mutex_unlock(&control_lock);
}

static void event_post(const struct host_streams *streams, enum host_event event)
{
	const char byte = (char)event;

	wire_write(streams->event_fd, &byte, 1);
}

static void *control_run(void *argument)
{
	const struct host_streams *streams = argument;
	struct wire_frame frame;
	struct text job;
	char *data;

	while ((data = wire_receive(streams->port_fd[WIRE_CTL], &frame))) {
		switch (frame.type) {
		case WIRE_HELLO:
			job = job_build(streams, job_options);
			control_send(streams, WIRE_JOB, job.data, job.bytes);
			break;
		case WIRE_STARTED:
			event_post(streams, HOST_STARTED);
			break;
		case WIRE_ALIVE:
			event_post(streams, HOST_ALIVE);
			break;
		case WIRE_EXIT:
			memcpy(&host_streams_status, data, sizeof(host_streams_status));
			event_post(streams, HOST_EXIT);
			break;
		case WIRE_FAILED:
			host_streams_failure = strdup(data);
			event_post(streams, HOST_FAILED);
			break;
		}
		free(data);
	}
	return NULL;
}

static void *input_run(void *argument)
{
	const struct host_streams *streams = argument;
	char data[WIRE_CHUNK_BYTES];
	ssize_t got = 0;

	while (!streams->no_input) {
		got = read(STDIN_FILENO, data, sizeof(data));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 ||
		    wire_send(streams->port_fd[WIRE_IN], WIRE_DATA, data, (uint32_t)got))
			break;
	}
	wire_send(streams->port_fd[WIRE_IN], WIRE_END, NULL, 0);
	return NULL;
}

/* Moves one output until its END. Reports once that the caller has closed it, and drops the rest. */
static void output_move(const struct host_streams *streams, uint32_t port, int fd)
{
	struct wire_frame frame;
	int closed = 0;
	char *data;

	while ((data = wire_receive(streams->port_fd[port], &frame)) && frame.type == WIRE_DATA) {
		if (!closed && wire_write(fd, data, frame.bytes)) {
			closed = 1;
			control_send(streams, WIRE_CLOSED, &port, sizeof(port));
		}
		free(data);
	}
	if (data)
		event_post(streams, port == WIRE_OUT ? HOST_OUT_DONE : HOST_ERR_DONE);
	free(data);
}

static void *output_run(void *argument)
{
	output_move(argument, WIRE_OUT, STDOUT_FILENO);
	return NULL;
}

static void *error_run(void *argument)
{
	output_move(argument, WIRE_ERR, STDERR_FILENO);
	return NULL;
}

void host_streams_look(struct host_streams *streams)
{
	streams->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	streams->err_apart = streams->terminal && !isatty(STDERR_FILENO);
	streams->no_input =
		!streams->terminal && (isatty(STDIN_FILENO) || fcntl(STDIN_FILENO, F_GETFD) < 0);
}

void host_streams_write_job(const struct host_streams *streams, const struct host_options *options,
			    int fd)
{
	struct text job = job_build(streams, options);

	if (wire_send(fd, WIRE_JOB, job.data, (uint32_t)job.bytes))
		host_fail("writing", "the job");
}

void host_streams_start(struct host_streams *streams, const struct host_options *options)
{
	void *(*const runs[])(void *) = { control_run, input_run, output_run, error_run };
	pthread_t thread;

	job_options = options;
	for (int i = 0; i < 4; i++) {
		/* Until the command starts, keys belong to the terminal's own line editing. */
		if (runs[i] == input_run && streams->terminal)
			continue;
		errno = pthread_create(&thread, NULL, runs[i], streams);
		if (errno)
			host_fail("starting", "a thread");
	}
}

void host_terminal_raw(const struct host_streams *streams)
{
	struct termios raw;
	pthread_t thread;

	if (!streams->terminal || tcgetattr(STDIN_FILENO, &terminal_saved) < 0)
		return;
	raw = terminal_saved;
	cfmakeraw(&raw);
	terminal_is_raw = 1;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	host_terminal_resize(streams);
	errno = pthread_create(&thread, NULL, input_run, (void *)(uintptr_t)streams);
	if (errno)
		host_fail("starting", "a thread");
}

void host_terminal_restore(void)
{
	if (terminal_is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal_saved);
	terminal_is_raw = 0;
}

void host_terminal_resize(const struct host_streams *streams)
{
	struct winsize size;

	if (streams->terminal && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		control_send(streams, WIRE_WINSIZE, &size, sizeof(size));
}
