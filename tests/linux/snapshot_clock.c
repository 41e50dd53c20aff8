/* SPDX-License-Identifier: MIT */
/*
 * What a clone's clocks are worth.
 *
 *   snapshot_clock [spin]       in a guest: asks for a snapshot, and tells what this VM, or a clone, finds behind that instant: its
 *                               clocks, how long it sleeps for a millisecond, and its random numbers. A clone sets its clock as
 *                               docs/guest.md has it. With "spin" threads on all CPUs look for clocks that go back
 *   snapshot_clock sleep        in a guest: how long it sleeps for a millisecond
 *   snapshot_clock draw         in a guest: waits until it is a clone, and draws a random number at once
 *   snapshot_clock real         in a guest: how far its clock can at most be from that of the host
 *   snapshot_clock serve PATH   on the host: tells a guest the time
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define PAGE_GPA        0xc0000000
#define SNAPSHOT_WANTED 124
#define WORD_GENERATION 1
#define WORD_TIME_NS    2
#define SLEEPS          5 /* at least; a busy machine needs more until one is as short as wanted */
#define MOST_SLEEPS     500
#define SHORT_US        2000
#define THREADS         4
#define TIME_PORT       700
#define TIME_ROUNDS     30 /* at least; a busy machine needs more until they tell enough */
#define MOST_ROUNDS     3000
#define TIME_SPAN_NS    6000000

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

static void sleep_some(void)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	long long longest_us = 0, shortest_us = INT64_MAX;

	for (int i = 0; i < SLEEPS || (i < MOST_SLEEPS && shortest_us >= SHORT_US); i++) {
		long long start = now_ns(CLOCK_MONOTONIC);
		nanosleep(&ms, NULL);
		long long slept_us = (now_ns(CLOCK_MONOTONIC) - start) / 1000;
		if (slept_us > longest_us)
			longest_us = slept_us;
		if (slept_us < shortest_us)
			shortest_us = slept_us;
	}
	printf("CLONE longest_us %lld\nCLONE shortest_us %lld\n", longest_us, shortest_us);
}

static void set_clock(const volatile uint64_t *page)
{
	for (int i = 0; i < 16; i++) {
		int64_t before = now_ns(CLOCK_REALTIME), host = (int64_t)page[WORD_TIME_NS],
			after = now_ns(CLOCK_REALTIME);
		if (before <= host && host <= after) {
			if (after - before < 4000000)
				return;
			continue;
		}
		int64_t now = now_ns(CLOCK_REALTIME) + host - (before + after) / 2;
		clock_settime(CLOCK_REALTIME,
			      &(struct timespec){ now / 1000000000, now % 1000000000 });
	}
}

static volatile uint64_t *map_page(void)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE_GPA);

	if (page == MAP_FAILED) {
		perror("/dev/mem");
		exit(1);
	}
	return page;
}

static int draw(void)
{
	const volatile uint64_t *page = map_page();
	uint64_t generation = page[WORD_GENERATION], random;

	while (page[WORD_GENERATION] == generation)
		;
	getrandom(&random, sizeof(random), 0);
	printf("CLONE drawn %016" PRIx64 "\n", random);
	return 0;
}

static int ask(bool spins)
{
	volatile uint64_t *page = map_page();
	pthread_t thread;
	uint64_t random[2];

	for (int i = 0; spins && i < THREADS; i++)
		pthread_create(&thread, NULL, look, NULL);
	uint64_t generation = page[WORD_GENERATION];
	long long before = now_ns(CLOCK_MONOTONIC);
	*(volatile uint8_t *)page = SNAPSHOT_WANTED;
	long long after = now_ns(CLOCK_MONOTONIC);
	sleep_some();
	getrandom(random, sizeof(random), 0);
	printf("CLONE age_ms %lld\nCLONE passed_us %lld\nCLONE back %d\nCLONE random %016" PRIx64
	       "%016" PRIx64 "\nCLONE generation %" PRIu64 "\n",
	       before / 1000000, (after - before) / 1000, atomic_load(&back), random[0], random[1],
	       page[WORD_GENERATION]);
	if (page[WORD_GENERATION] != generation)
		set_clock(page);
	return 0;
}

/* The host's time lies between those before the question and behind its answer: as often as it takes, the least of what is left. */
static int compare(void)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK,
				       .svm_cid = VMADDR_CID_HOST,
				       .svm_port = TIME_PORT };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	long long behind_ns = INT64_MIN, ahead_ns = INT64_MIN;

	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("connect");
		return 1;
	}
	for (int i = 0;
	     i < TIME_ROUNDS || (i < MOST_ROUNDS && -behind_ns - ahead_ns > TIME_SPAN_NS); i++) {
		long long host_ns, start = now_ns(CLOCK_REALTIME);
		if (write(fd, "?", 1) != 1 ||
		    read(fd, &host_ns, sizeof(host_ns)) != sizeof(host_ns))
			return 1;
		long long end = now_ns(CLOCK_REALTIME);
		if (host_ns - end > behind_ns)
			behind_ns = host_ns - end;
		if (start - host_ns > ahead_ns)
			ahead_ns = start - host_ns;
	}
	/* It is ahead by at least ahead_ns, and at most by -behind_ns. */
	printf("CLONE ahead_us %lld to %lld\n", ahead_ns / 1000, -behind_ns / 1000);
	long long error_ns =
		llabs(ahead_ns) > llabs(behind_ns) ? llabs(ahead_ns) : llabs(behind_ns);
	printf("CLONE real_error_us %lld\n", error_ns / 1000);
	return 0;
}

static int serve(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	char byte;

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 16) < 0) {
		perror(path);
		return 1;
	}
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		while (read(fd, &byte, 1) == 1) {
			long long now = now_ns(CLOCK_REALTIME);
			if (write(fd, &now, sizeof(now)) != sizeof(now))
				break;
		}
		close(fd);
	}
	return 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc > 2 && strcmp(what, "serve") == 0)
		return serve(argv[2]);
	if (strcmp(what, "real") == 0)
		return compare();
	if (strcmp(what, "draw") == 0)
		return draw();
	if (strcmp(what, "sleep") == 0) {
		sleep_some();
		return 0;
	}
	return ask(strcmp(what, "spin") == 0);
}
