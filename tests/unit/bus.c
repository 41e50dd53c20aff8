/* SPDX-License-Identifier: MIT */
/* Address to handler (bug class 3: an address plus a length that wraps). */
#include "io/bus.h"
#include "host/error.h"

#include <sys/wait.h>

#include "tests/unit/check.h"

static struct bus_access last;
static void *last_device;
static unsigned calls;

static void handler(void *device, const struct bus_access *access)
{
	last = *access;
	last_device = device;
	calls++;
	if (!access->is_write)
		bus_access_reply(access, 0x1122334455667788);
}

/* One access; returns whether a handler saw it. */
static bool reaches(const struct bus *bus, uint64_t address, unsigned length, bool is_write)
{
	uint8_t data[16];
	unsigned before = calls;

	memset(data, 0x5a, sizeof(data));
	bus_access(bus, address, data, length, is_write);
	if (!is_write && calls == before)
		CHECK_FILLED(data, 0xff, length);
	/* Never more than `length` bytes. */
	CHECK_FILLED(data + length, 0x5a, sizeof(data) - length);
	return calls != before;
}

static void test_every_edge(void)
{
	struct bus bus = { 0 };
	int first, second;

	bus_add(&bus, 0x1000, 0x10, handler, &first);
	bus_add(&bus, 0x1010, 0x8, handler, &second);
	for (unsigned length = 1; length <= 8; length *= 2)
		for (uint64_t at = 0xff0; at < 0x1020; at++)
			for (int write = 0; write < 2; write++) {
				bool in_first = at >= 0x1000 && at + length <= 0x1010;
				bool in_second = at >= 0x1010 && at + length <= 0x1018;
				CHECK_EQ(reaches(&bus, at, length, write), in_first || in_second);
				if (!in_first && !in_second)
					continue;
				CHECK(last_device == (in_first ? &first : &second));
				CHECK_EQ(last.offset, at - (in_first ? 0x1000 : 0x1010));
				CHECK_EQ(last.length, length);
				CHECK_EQ(last.is_write, write);
			}
}

static void test_class_3_address_wrap(void)
{
	struct bus bus = { 0 };

	bus_add(&bus, 0, 0x10, handler, NULL);
	bus_add(&bus, 0xfffffffffffff000, 0x800, handler, NULL);
	for (uint64_t below = 1; below <= 16; below++)
		for (unsigned length = 1; length <= 8; length *= 2) {
			CHECK(!reaches(&bus, (uint64_t)0 - below, length, false));
			CHECK(!reaches(&bus, (uint64_t)0 - below, length, true));
		}
	CHECK(reaches(&bus, 0, 1, false));
	CHECK(reaches(&bus, 0xfffffffffffff7ff, 1, false));
	CHECK(!reaches(&bus, 0xfffffffffffff7ff, 2, false));
}

static void test_values(void)
{
	struct bus bus = { 0 };
	uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	bus_add(&bus, 0x100, 8, handler, NULL);
	bus_access(&bus, 0x100, data, 4, true);
	last.data = data;
	CHECK_EQ(bus_access_value(&last), 0x04030201);
	bus_access(&bus, 0x100, data, 2, false);
	CHECK_BYTES(data, ((uint8_t[]){ 0x88, 0x77, 3, 4, 5, 6, 7, 8 }), 8);
	last.length = 8;
	CHECK_EQ(bus_access_value(&last), 0x0807060504037788);
}

/* The exit status of a process that adds the second range. */
static int status_of_adding(uint64_t start, uint64_t bytes, unsigned times)
{
	struct bus bus = { 0 };
	int status;
	pid_t child = fork();

	if (child == 0) {
		fclose(stderr);
		close(2);
		bus_add(&bus, 0x1000, 0x100, handler, NULL);
		for (unsigned i = 0; i < times; i++)
			bus_add(&bus, start + i * bytes, bytes, handler, NULL);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_overlaps_are_refused(void)
{
	CHECK_EQ(status_of_adding(0xf00, 0x100, 1), 0);
	CHECK_EQ(status_of_adding(0x1100, 1, 1), 0);
	CHECK_EQ(status_of_adding(0xf00, 0x101, 1), EXIT_MONITOR_FAILED);
	CHECK_EQ(status_of_adding(0x10ff, 1, 1), EXIT_MONITOR_FAILED);
	CHECK_EQ(status_of_adding(0x1000, 0x100, 1), EXIT_MONITOR_FAILED);
	CHECK_EQ(status_of_adding(0x1010, 1, 1), EXIT_MONITOR_FAILED);
	CHECK_EQ(status_of_adding(0, 0x10000, 1), EXIT_MONITOR_FAILED);
	CHECK_EQ(status_of_adding(0x2000, 1, BUS_MAX_RANGES - 1), 0);
	CHECK_EQ(status_of_adding(0x2000, 1, BUS_MAX_RANGES), EXIT_MONITOR_FAILED);
}

int main(void)
{
	RUN(test_every_edge);
	RUN(test_class_3_address_wrap);
	RUN(test_values);
	RUN(test_overlaps_are_refused);
	return 0;
}
