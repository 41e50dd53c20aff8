/* SPDX-License-Identifier: MIT */
/* The UART between two vCPUs, the event loop, and whoever types and reads. */
#include "io/console.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include "tests/unit/check.h"
#include "tests/unit/ring_rig.h"

#define RACE_MS    20000
#define RACE_BYTES 100000u /* that are read in all, or */

static struct exit_request exit_request;
static struct console console;
static int keyboard_fd, screen_fd; /* the person's ends of stdin and stdout */
static atomic_bool over;
static unsigned typed, seen;

/* Mostly sends; the FIFOs, interrupts and everything else between. */
static void *run_vcpu(void *seed)
{
	uint64_t random = (uintptr_t)seed;

	while (!atomic_load(&over)) {
		uint64_t number = check_random(&random);
		uint8_t value = (uint8_t)(number >> 8);
		struct bus_access access = { (number >> 16) % 8, 1, number & 1, &value };
		if (number % 8 < 5)
			access.offset = 0;
		if (access.offset == 3)
			value &= 0x7f; /* the divisor would hide the data */
		serial_access(&console.serial, &access);
	}
	return NULL;
}

static void *run_person(void *seed)
{
	static uint8_t bytes[4096];
	int64_t end = clock_now_ms() + RACE_MS;

	(void)seed;
	while (seen < RACE_BYTES && clock_now_ms() < end) {
		ssize_t n = write(keyboard_fd, "keys", 4);
		typed += n > 0 ? (unsigned)n : 0;
		n = read(screen_fd, bytes, sizeof(bytes));
		seen += n > 0 ? (unsigned)n : 0;
	}
	atomic_store(&over, true);
	return NULL;
}

static void open_console(void)
{
	int input[2], output[2];

	CHECK(pipe2(input, O_CLOEXEC) == 0 && pipe2(output, O_CLOEXEC) == 0);
	CHECK(dup2(input[0], 0) == 0 && dup2(output[1], 1) == 1);
	keyboard_fd = input[1];
	screen_fd = output[0];
	CHECK(fcntl(keyboard_fd, F_SETFL, O_NONBLOCK) == 0);
	CHECK(fcntl(screen_fd, F_SETFL, O_NONBLOCK) == 0);
	ring_open(&rig_ring, 128);
	exit_request_open(&exit_request, &rig_ring);
	console_open(&console, NULL, &rig_vm_fd, &rig_ring, &exit_request);
	ring_start(&rig_ring);
	exit_request_start(&exit_request);
	console_start(&console);
}

int main(void)
{
	void *(*const threads[])(void *) = { run_vcpu, run_vcpu, run_person };
	pthread_t ids[3];

	signal(SIGPIPE, SIG_IGN);
	open_console();
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&ids[i], NULL, threads[i], (void *)(uintptr_t)(i + 1)), 0);
	while (!atomic_load(&over))
		CHECK_EQ(ring_wait_for(&rig_ring, 20), 0);
	serial_stop(&console.serial); /* a vCPU may wait for room */
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(ids[i], NULL), 0);
	fprintf(stderr, "%u bytes typed, %u read\n", typed, seen);
	CHECK(typed > 1000 && seen > RACE_BYTES / 20);
	ring_close(&rig_ring);
	return 0;
}
