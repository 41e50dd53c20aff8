/* SPDX-License-Identifier: MIT */
/* A refusal's text, one line that is never too long, and its exit status: 121 for the user's
 * mistake, 122 for what a retry or the host cures. */
#include "host/error.h"
#include "host/message.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#include "host/clock.h"
#include "host/fail.h"
#include "tests/unit/check.h"

static void test_errno_decides(void)
{
	static const int users[] = { 0,      ENOENT, ENOTDIR, EISDIR,   ELOOP, ENAMETOOLONG,
				     EINVAL, EBADF,  ENODEV,  ENOTSOCK, ENXIO, ENOTTY };
	static const int hosts[] = { EACCES,  EPERM,  EMFILE, ENFILE, ENOMEM,     ENOBUFS,
				     EAGAIN,  EBUSY,  EIO,    EROFS,  ENOSPC,     EDQUOT,
				     ETXTBSY, ENOLCK, EINTR,  ENOSYS, EOPNOTSUPP, EADDRINUSE };
	struct error_text error;

	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		errno = users[i];
		CHECK(!error_set_errno(&error, "%s", strerror(errno)));
		CHECK_EQ(error.code, EXIT_BAD_INPUT);
		CHECK_STRING(error.text, strerror(users[i]));
	}
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		errno = hosts[i];
		CHECK(!error_set_errno(&error, "cannot: %s", strerror(errno)));
		CHECK_EQ(error.code, EXIT_HOST_REFUSED);
		CHECK_HAS(error.text, strerror(hosts[i]));
	}
}

static void test_said_by_the_caller(void)
{
	struct error_text error;

	errno = EACCES;
	CHECK(!error_set(&error, "a %d", 1));
	CHECK_EQ(error.code, EXIT_BAD_INPUT);
	CHECK_STRING(error.text, "a 1");
	errno = ENOENT;
	CHECK(!error_set_refused(&error, "b %d", 2));
	CHECK_EQ(error.code, EXIT_HOST_REFUSED);
	CHECK_STRING(error.text, "b 2");
}

static void make_name(char *name, size_t bytes, const char *unit)
{
	size_t step = strlen(unit);

	memset(name, 0, bytes);
	for (size_t used = 0; used + step < bytes; used += step)
		memcpy(name + used, unit, step);
}

/* However long a string of the user's is: what it was given for is in front, what is wrong with it behind. */
static void test_middle_left_out(void)
{
	static const char *const units[] = { "x", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
	struct error_text error;
	char name[5000];

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		for (size_t bytes = 100; bytes < sizeof(name); bytes += bytes < 400 ? 1 : 997) {
			make_name(name, bytes, units[i]);
			error_set(&error, "--mem %sEND: expected a size", name);
			CHECK(strlen(error.text) < sizeof(error.text));
			CHECK(strncmp(error.text, "--mem ", 6) == 0);
			CHECK_HAS(error.text, "END: expected a size");
			char *gap = strstr(error.text, "...");
			CHECK_EQ(gap != NULL, strlen(name) + 26 >= sizeof(error.text));
			if (gap != NULL) {
				CHECK_EQ((size_t)(gap - error.text - 6) % strlen(units[i]), 0);
				CHECK_BYTES(gap + 3, units[i], strlen(units[i]));
			}
		}
	}
}

/* No UTF-8 at all, and nothing but the string. */
static void test_middle_of_anything(void)
{
	struct error_text error;
	char name[5000];

	make_name(name, sizeof(name), "\x80");
	error_set(&error, "%s", name);
	CHECK(strlen(error.text) < sizeof(error.text));
	CHECK_HAS(error.text, "...");
}

static void test_one_line(void)
{
	struct error_text error;

	error_set(&error, "--kernel %s: none", "a\nb\r\x1b[31m\tc\x7f\xc3\xa4");
	CHECK_STRING(error.text, "--kernel a?b??[31m?c?\xc3\xa4: none");
}

/* Callers may hold a device's lock: a tenth of a second in all, not for each line. */
static void test_reader_that_stands_still(void)
{
	static uint8_t got[1 << 20];
	int ends[2], real = dup(STDERR_FILENO);

	CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
	while (write(ends[1], got, 1) == 1)
		;
	for (unsigned turn = 0; turn < 2; turn++) {
		int64_t start_ms = clock_now_ms();
		for (unsigned i = 0; i < 100; i++)
			warn("line %u", i);
		/* Each for itself they were 10 s. */
		CHECK(clock_now_ms() - start_ms >= 99 && clock_now_ms() - start_ms < 5000);
		CHECK(read(ends[0], got, sizeof(got)) > 0);
		warn("taken");
		CHECK_EQ(read(ends[0], got, sizeof(got)), 11);
		CHECK_BYTES(got, "vmm: taken\n", 11);
		while (write(ends[1], got, 1) == 1)
			;
	}
	CHECK(dup2(real, STDERR_FILENO) == STDERR_FILENO);
	close(real);
	close(ends[0]);
	close(ends[1]);
}

static sem_t heir;

static void *fail_first(void *unused)
{
	fail_by_heir(&heir);
	fail(EXIT_HOST_REFUSED, "first");
	return unused;
}

/* Before it has looked whether there is anything to inherit. */
static _Noreturn void fail_twice(int stderr_fd)
{
	pthread_t first;

	alarm(10);
	dup2(stderr_fd, STDERR_FILENO);
	sem_init(&heir, 0, 0);
	pthread_create(&first, NULL, fail_first, NULL);
	sem_wait(&heir);
	fail(EXIT_BAD_INPUT, "second");
}

static void test_heir_fails_too(void)
{
	uint8_t got[64];
	int ends[2], status;

	CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	pid_t child = fork();
	if (child == 0)
		fail_twice(ends[1]);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), EXIT_HOST_REFUSED);
	CHECK_EQ(read(ends[0], got, sizeof(got)), 11);
	CHECK_BYTES(got, "vmm: first\n", 11);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	RUN(test_errno_decides);
	RUN(test_said_by_the_caller);
	RUN(test_middle_left_out);
	RUN(test_middle_of_anything);
	RUN(test_one_line);
	RUN(test_reader_that_stands_still);
	RUN(test_heir_fails_too);
	return 0;
}
