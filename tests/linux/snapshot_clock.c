/* SPDX-License-Identifier: MIT */
/* In a guest: asks for a snapshot, and tells what this VM, or a clone, finds behind that instant: its clocks, how long it sleeps for a
 * millisecond, and its random numbers. With "spin" threads on all CPUs look for clocks that go back. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define PAGE_GPA        0xc0000000
#define SNAPSHOT_WANTED 124
#define GENERATION      8
#define SLEEPS          5
#define THREADS         4

static atomic_llong latest; /* that any thread has seen */
static atomic_int back;

static long long now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void *look(void *unused)
{
	for (;;) {
		long long seen = atomic_load(&latest), now = now_ns(CLOCK_MONOTONIC);
		if (now < seen)
			atomic_fetch_add(&back, 1);
		while (now > seen && !atomic_compare_exchange_weak(&latest, &seen, now))
			;
	}
	return unused;
}

static void sleep_some(long long *longest_us, long long *shortest_us)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	*longest_us = 0;
	*shortest_us = INT64_MAX;
	for (int i = 0; i < SLEEPS; i++) {
		long long start = now_ns(CLOCK_MONOTONIC);
		nanosleep(&ms, NULL);
		long long slept_us = (now_ns(CLOCK_MONOTONIC) - start) / 1000;
		if (slept_us > *longest_us)
			*longest_us = slept_us;
		if (slept_us < *shortest_us)
			*shortest_us = slept_us;
	}
}

int main(int argc, char **argv)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	volatile uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE_GPA);
	pthread_t thread;
	uint64_t random[2];

	if (page == MAP_FAILED)
		return 1;
	if (argc > 1 && strcmp(argv[1], "spin") == 0)
		for (int i = 0; i < THREADS; i++)
			pthread_create(&thread, NULL, look, NULL);
	long long before = now_ns(CLOCK_MONOTONIC);
	*page = SNAPSHOT_WANTED;
	long long after = now_ns(CLOCK_MONOTONIC), longest_us, shortest_us;
	sleep_some(&longest_us, &shortest_us);
	getrandom(random, sizeof(random), 0);
	printf("CLONE passed_us %lld\nCLONE longest_us %lld\nCLONE shortest_us %lld\nCLONE back "
	       "%d\nCLONE real_ms %lld\n"
	       "CLONE random %016" PRIx64 "%016" PRIx64 "\nCLONE generation %" PRIu64 "\n",
	       (after - before) / 1000, longest_us, shortest_us, atomic_load(&back),
	       now_ns(CLOCK_REALTIME) / 1000000, random[0], random[1],
	       *(volatile uint64_t *)(page + GENERATION));
	fflush(stdout);
	return 0;
}
