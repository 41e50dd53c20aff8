/* SPDX-License-Identifier: MIT */
/* Threads at a gate: it stops all of them, tells so, and loses no wish however fast they follow each other. */
#include "host/gate.h"

#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "tests/unit/check.h"

#define N_THREADS 5u
#define ROUNDS    20000u

static struct gate gate;
static int fd;
static atomic_bool over;
static _Atomic unsigned long steps[N_THREADS];

static void *run(void *argument)
{
	_Atomic unsigned long *counter = argument;
	unsigned i = 0;

	while (!over) {
		(*counter)++;
		if (++i % 64 == 0) { /* something else to wait for */
			gate_wait_begins(&gate);
			sched_yield();
			gate_wait_ends(&gate);
		}
		gate_pass(&gate);
	}
	return NULL;
}

static unsigned long sum(void)
{
	unsigned long total = 0;

	for (unsigned i = 0; i < N_THREADS; i++)
		total += steps[i];
	return total;
}

/* Until it tells that all wait, and they do. */
static void wait_for_all(void)
{
	struct pollfd told = { .fd = fd, .events = POLLIN };
	uint64_t count;

	do {
		CHECK_EQ(poll(&told, 1, 20000), 1);
		CHECK(read(fd, &count, sizeof(count)) == sizeof(count));
	} while (!gate_holds_all(&gate));
}

static void test_stops_all(void)
{
	pthread_t threads[N_THREADS];
	uint64_t seed = 1;

	fd = eventfd(0, EFD_CLOEXEC);
	gate_init(&gate, N_THREADS, fd);
	for (unsigned i = 0; i < N_THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, run, (void *)&steps[i]) == 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		gate_close(&gate);
		if (check_random(&seed) % 4 == 0) { /* not waited for */
			gate_open(&gate);
			continue;
		}
		wait_for_all();
		/* One that waits for something else may take a last step, to the gate. */
		unsigned long before = sum();
		if (round % 1000 == 0)
			usleep(2000);
		CHECK(sum() - before <= N_THREADS);
		gate_open(&gate);
		while (round % 8 == 0 && sum() < before + 2 * N_THREADS)
			sched_yield();
	}
	over = true;
	for (unsigned i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(gate.n_waiting, 0);
	CHECK(!gate_pass(&gate));
	close(fd);
}

int main(void)
{
	RUN(test_stops_all);
	return 0;
}
