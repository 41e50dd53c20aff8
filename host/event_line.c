/* SPDX-License-Identifier: MIT */
#include "host/event_line.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/message.h"
#include "host/write_within.h"

static struct {
	pthread_mutex_t lock;
	int fd; /* -1: nobody listens */
	int64_t exec_ns;
	bool failing; /* the last line was lost */
	bool stalled; /* because the reader took nothing */
	uint64_t n_lost;
	struct json json;
} events = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };
static char text[JSON_LINE_BYTES]; /* under the lock, and apart: it takes no space in the file */

bool event_line_open(int fd, int64_t exec_ns, struct error_text *error)
{
	if (!write_within_adopt(fd, error))
		return false;
	events.fd = fd;
	events.exec_ns = exec_ns;
	return true;
}

struct json *event_line_begin(const char *name)
{
	pthread_mutex_lock(&events.lock);
	if (events.fd < 0) {
		pthread_mutex_unlock(&events.lock);
		return NULL;
	}
	json_begin(&events.json, text);
	json_add_text(&events.json, "event", name);
	/* Under the lock: times ascend. */
	json_add_number(&events.json, "time_us",
			(uint64_t)(clock_ns(CLOCK_MONOTONIC) - events.exec_ns) / 1000);
	return &events.json;
}

static void stop(void)
{
	close(events.fd);
	events.fd = -1;
}

static void lose(bool cut)
{
	if (!events.failing || cut)
		warn("--events-fd %d: an event is not written%s: %s", events.fd,
		     cut ? " to its end, and no further one" : "", strerror(errno));
	events.failing = true;
	events.n_lost++;
	if (cut)
		events.fd =
			-1; /* open: a vCPU's thread may be the one that finds it, and closes nothing */
}

static void write_line(bool wait)
{
	unsigned length = json_end(&events.json);
	size_t n = write_within(events.fd, text, length, false, wait ? READER_WAIT_MS : 0);

	events.stalled = n < length && errno == ETIMEDOUT;
	if (n < length)
		lose(n > 0);
	else
		events.failing = false;
}

void event_line_send(void)
{
	write_line(!events.stalled);
	pthread_mutex_unlock(&events.lock);
}

void event_line_send_last(void)
{
	write_line(true);
	if (events.fd >= 0)
		stop();
	pthread_mutex_unlock(&events.lock);
}

void event_line_emit(const char *name)
{
	if (event_line_begin(name) != NULL)
		event_line_send();
}

uint64_t event_line_lost(void)
{
	pthread_mutex_lock(&events.lock);
	uint64_t n = events.n_lost;
	pthread_mutex_unlock(&events.lock);
	return n;
}
