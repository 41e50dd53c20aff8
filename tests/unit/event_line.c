/* SPDX-License-Identifier: MIT */
/* Events: whole lines in the order of their times, from any thread; readers that are stalled or have left; files that are
 * full. */
#include "host/event_line.h"

#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "host/clock.h"
#include "host/status_report.h"
#include "tests/unit/json_check.h"

/* Each test has the one descriptor of a process for itself. */
static void in_child(void (*test)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		test();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
}

static void open_events(int fd)
{
	struct error_text error;

	CHECK(event_line_open(fd, clock_ns(CLOCK_MONOTONIC) - 1000000, &error));
}

/* All that the pipe holds. */
static size_t take(int fd, char *text, size_t bytes)
{
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	ssize_t n = read(fd, text, bytes - 1);
	n = n < 0 ? 0 : n;
	text[n] = '\0';
	return (size_t)n;
}

static void test_order(void)
{
	static const char *const names[] = { "started", "ready", "paused", "resumed" };
	char text[8192], *at = text;
	unsigned long before = 0;
	int ends[2];

	CHECK(pipe(ends) == 0);
	event_line_emit("nobody listens");
	open_events(ends[1]);
	for (int i = 0; i < 4; i++)
		event_line_emit(names[i]);
	status_report_send(&(struct vm_end){ .exit_code = 121, .message = "\xff\xfe \"a" }, NULL);
	event_line_emit("late");
	CHECK(fcntl(ends[1], F_GETFD) < 0); /* closed */
	CHECK(take(ends[0], text, sizeof(text)) > 0);
	for (int i = 0; i < 5; i++) {
		char name[16] = "";
		unsigned long us;
		char *end = strchr(at, '\n');
		CHECK(end != NULL);
		CHECK(json_is_line(at, (size_t)(end + 1 - at)));
		CHECK(sscanf(at, "{\"event\":\"%15[^\"]\",\"time_us\":%lu", name, &us) == 2);
		CHECK_STRING(name, i < 4 ? names[i] : "exit");
		CHECK(us >= before && us >= 1000 && us < 60000000);
		before = us;
		at = end + 1;
	}
	CHECK_STRING(at, "");
	CHECK_HAS(text, "\"exit_code\":121,\"reason\":\"bad_input\",\"message\":"
			"\"\xef\xbf\xbd\xef\xbf\xbd \\\"a\"");
}

static void *emit_many(void *name)
{
	for (int i = 0; i < 100; i++)
		event_line_emit(name);
	return NULL;
}

static void test_threads(void)
{
	static char text[65536], *at = text;
	unsigned long before = 0, us;
	pthread_t threads[4];
	int ends[2], n = 0;

	CHECK(pipe(ends) == 0);
	open_events(ends[1]);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, emit_many, "paused") == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	take(ends[0], text, sizeof(text));
	for (char *end; (end = strchr(at, '\n')) != NULL; at = end + 1, n++) {
		CHECK(json_is_line(at, (size_t)(end + 1 - at)));
		CHECK(sscanf(at, "{\"event\":\"paused\",\"time_us\":%lu}", &us) == 1);
		CHECK(us >= before);
		before = us;
	}
	CHECK_EQ(n, 400);
	CHECK_EQ(event_line_lost(), 0);
}

static void fill(int fd)
{
	static const char block[4096];

	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	CHECK(fcntl(fd, F_SETFL, 0) == 0);
}

/* One wait for a stalled reader, not one for each line; when it reads again, further lines come. A line on stderr for
 * each time that it stalls. */
static void test_stalled(void)
{
	static char block[1 << 20];
	int ends[2], err[2];

	CHECK(pipe(ends) == 0 && pipe(err) == 0);
	dup2(err[1], STDERR_FILENO);
	fill(ends[1]);
	open_events(ends[1]);
	int64_t start = clock_now_ms();
	for (int i = 0; i < 200; i++)
		event_line_emit("paused");
	CHECK(clock_now_ms() - start < 10000);
	CHECK_EQ(event_line_lost(), 200);
	take(ends[0], block, sizeof(block));
	event_line_emit("resumed");
	CHECK(take(ends[0], block, sizeof(block)) > 0);
	CHECK_HAS(block, "{\"event\":\"resumed\"");
	CHECK_EQ(event_line_lost(), 200);
	fill(ends[1]);
	event_line_emit("paused");
	CHECK_EQ(event_line_lost(), 201);
	take(err[0], block, sizeof(block));
	char line[128], expected[256];
	snprintf(line, sizeof(line), "vmm: --events-fd %d: an event is not written: %s\n", ends[1],
		 strerror(ETIMEDOUT));
	snprintf(expected, sizeof(expected), "%s%s", line, line);
	CHECK_STRING(block, expected);
}

static void test_left(void)
{
	int ends[2];

	CHECK(pipe(ends) == 0);
	open_events(ends[1]);
	close(ends[0]);
	for (int i = 0; i < 3; i++)
		event_line_emit("paused");
	CHECK_EQ(event_line_lost(), 3);
}

/* A file that takes half a line: what stands there is what can be read, and nothing follows the half. */
static void test_cut(void)
{
	struct rlimit limit = { 20, 20 };
	char text[128];
	int fd = check_memory_file("", 0);

	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	open_events(fd);
	int other = dup(fd);
	event_line_emit("started");
	event_line_emit("ready");
	CHECK_EQ(event_line_lost(), 1);
	CHECK_EQ(pread(other, text, sizeof(text), 0), 20);
	/* Open until the end: a vCPU's thread, which may close nothing, may be the one that finds the cut. */
	CHECK(fcntl(fd, F_GETFD) >= 0);
}

static void test_full(void)
{
	int fd = open("/dev/full", O_WRONLY);

	CHECK(fd >= 0);
	open_events(fd);
	event_line_emit("started");
	event_line_emit("ready");
	CHECK_EQ(event_line_lost(), 2);
}

static void test_not_for_writing(void)
{
	struct error_text error;
	int fd = open("/dev/null", O_RDONLY);

	CHECK(!event_line_open(fd, 0, &error));
	CHECK_EQ(error.code, EXIT_BAD_INPUT);
	CHECK_HAS(error.text, "reading only");
	close(fd);
	CHECK(!event_line_open(fd, 0, &error));
	CHECK_EQ(error.code, EXIT_BAD_INPUT);
	event_line_emit("nobody listens");
}

#define RUN_IN_CHILD(test)                                                                         \
	do {                                                                                       \
		in_child(test);                                                                    \
		printf("ok %s\n", #test);                                                          \
		fflush(stdout);                                                                    \
	} while (0)

int main(void)
{
	CHECK(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	RUN_IN_CHILD(test_order);
	RUN_IN_CHILD(test_threads);
	RUN_IN_CHILD(test_stalled);
	RUN_IN_CHILD(test_left);
	RUN_IN_CHILD(test_cut);
	RUN_IN_CHILD(test_full);
	RUN_IN_CHILD(test_not_for_writing);
	return 0;
}
