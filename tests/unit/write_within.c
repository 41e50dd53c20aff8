/* SPDX-License-Identifier: MIT */
/* Lines for readers that are stalled, have left, or share a file with others. */
#include "host/write_within.h"

#include <fcntl.h>
#include <signal.h>

#include "tests/unit/check.h"

static void test_reader_stands_still(void)
{
	char block[4096] = { 0 };
	int ends[2];

	CHECK(pipe(ends) == 0);
	CHECK(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
	while (write(ends[1], block, sizeof(block)) > 0)
		;
	for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
		CHECK(fcntl(ends[1], F_SETFL, flags) == 0);
		CHECK(!write_within(ends[1], "a\n", 2, false, 1));
		CHECK_EQ(errno, ETIMEDOUT);
		CHECK(!write_within(ends[1], "a\n", 2, true, 1));
		CHECK_EQ(errno, ETIMEDOUT);
	}
	CHECK(read(ends[0], block, sizeof(block)) > 0);
	CHECK(write_within(ends[1], "a\n", 2, true, 1));
	close(ends[0]);
	CHECK(!write_within(ends[1], "a\n", 2, false, 1));
	CHECK_EQ(errno, EPIPE);
	close(ends[1]);
	CHECK(!write_within(ends[1], "a\n", 2, false, 1));
}

/* At the end, whoever has written what since; the description's flags stay. */
static void test_append(void)
{
	int fd = check_memory_file("12345678", 8), flags = fcntl(fd, F_GETFL);
	char text[32] = { 0 };

	CHECK(lseek(fd, 2, SEEK_SET) == 2);
	CHECK(write_within(fd, "ab", 2, true, 1));
	CHECK(write_within(fd, "cd", 2, true, 1));
	CHECK(lseek(fd, 2, SEEK_SET) == 2);
	CHECK(write_within(fd, "xy", 2, false, 1));
	CHECK(pread(fd, text, sizeof(text), 0) == 12);
	CHECK_STRING(text, "12xy5678abcd");
	CHECK_EQ(fcntl(fd, F_GETFL), flags);
	close(fd);
}

static void test_full(void)
{
	int fd = open("/dev/full", O_WRONLY);

	CHECK(fd >= 0);
	for (int append = 0; append < 2; append++) {
		CHECK(!write_within(fd, "a", 1, append, 1));
		CHECK_EQ(errno, ENOSPC);
	}
	close(fd);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	RUN(test_reader_stands_still);
	RUN(test_append);
	RUN(test_full);
	return 0;
}
