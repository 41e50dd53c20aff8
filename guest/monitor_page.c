/* SPDX-License-Identifier: MIT */
#include "monitor_page.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE_GPA        0xc0000000
#define BOOT_TIMER_BYTE 123
#define SNAPSHOT_BYTE   124
#define TIME_TRIES      16
#define TIME_GOOD_NS    4000000
#define HOLD_TRIES      10000 /* milliseconds: a host may have less processors */
/* As <linux/random.h> has them, which musl's compiler does not find. */
#define RNDADDENTROPY _IOW('R', 0x03, int[2])
#define RNDRESEEDCRNG _IO('R', 0x07)

/* Its words, 8 bytes each. */
enum {
	WORD_GENERATION = 1,
	WORD_TIME_NS,
	WORD_RANDOM,
	RANDOM_WORDS = 4,
	WORD_TEXT = 8,
	TEXT_WORDS = 32,
};

/* NULL without a /dev/mem. */
static volatile uint64_t *page_map(void)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE_GPA);
	close(fd);
	return page == MAP_FAILED ? NULL : page;
}

static void page_unmap(volatile uint64_t *page)
{
	munmap((void *)page, 4096);
}

void boot_timer_fire(void)
{
	volatile uint64_t *page = page_map();
	if (!page)
		return;
	*(volatile uint8_t *)page = BOOT_TIMER_BYTE;
	page_unmap(page);
}

static int64_t real_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/*
 * The host's time is that of some moment of the read. What happens behind it may last where there is much to do: so the
 * clock is looked at once more when it is set, until it is right as far as a short read can tell.
 */
static void clock_adjust(const volatile uint64_t *page)
{
	for (int i = 0; i < TIME_TRIES; i++) {
		int64_t start_ns = real_ns(), host_ns = (int64_t)page[WORD_TIME_NS],
			end_ns = real_ns();
		bool fits = start_ns <= host_ns && host_ns <= end_ns;
		if (fits && end_ns - start_ns < TIME_GOOD_NS)
			break;
		if (fits)
			continue;
		int64_t now_ns = real_ns() + host_ns - (start_ns + end_ns) / 2;
		struct timespec now = { (time_t)(now_ns / 1000000000),
					(long)(now_ns % 1000000000) };
		clock_settime(CLOCK_REALTIME, &now);
	}
}

/* The kernel's random numbers are those of every other clone until this is done, and its clock stood. Returns errno, 0 if all is well. */
static int clone_begin(const volatile uint64_t *page, int urandom_fd)
{
	struct {
		int entropy_bits, bytes;
		uint64_t random[RANDOM_WORDS];
	} pool = { RANDOM_WORDS * 64, RANDOM_WORDS * 8, { 0 } };

	for (int i = 0; i < RANDOM_WORDS; i++)
		pool.random[i] = page[WORD_RANDOM + i];
	int error =
		ioctl(urandom_fd, RNDADDENTROPY, &pool) < 0 || ioctl(urandom_fd, RNDRESEEDCRNG) < 0
			? errno
			: 0;
	clock_adjust(page);
	return error;
}

/* What the launcher tells this clone, if anything. */
static void clone_write_text(const volatile uint64_t *page)
{
	uint64_t text[TEXT_WORDS] = { page[WORD_TEXT] };
	FILE *file;

	if (text[0] == 0 || !(file = fopen("/run/clone.new", "we")))
		return;
	for (int i = 1; i < TEXT_WORDS; i++)
		text[i] = page[WORD_TEXT + i];
	fprintf(file, "%s\n", (const char *)text);
	fclose(file);
	rename("/run/clone.new", "/run/clone");
}

/* In real time (SCHED_FIFO) no other program gets this processor. libc's function may be a stub. */
static void schedule(int policy, int priority)
{
	struct sched_param param = { .sched_priority = priority };

	syscall(SYS_sched_setscheduler, 0, policy, &param);
}

/* The other processors, each of which has a thread of ours until they are released. */
static struct holders {
	cpu_set_t own; /* those that init may use */
	pthread_t threads[CPU_SETSIZE];
	int n, real_time_us;
	bool have_all;
	atomic_bool begun, released;
	atomic_int n_holding;
} holders;

/* So much of each second real time may have, -1: all of it. Returns how much it had. */
static int real_time_allow(int us)
{
	FILE *file = fopen("/proc/sys/kernel/sched_rt_runtime_us", "r+e");
	int before = -1;

	if (!file)
		return before;
	if (fscanf(file, "%d", &before) == 1) {
		rewind(file);
		fprintf(file, "%d\n", us);
	}
	fclose(file);
	return before;
}

static void stay_on(unsigned processor)
{
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(processor, &only);
	sched_setaffinity(0, sizeof(only), &only);
}

static void *processor_hold(void *processor)
{
	stay_on((unsigned)(uintptr_t)processor);
	while (!atomic_load(&holders.begun))
		usleep(1000);
	schedule(SCHED_FIFO, 99);
	atomic_fetch_add(&holders.n_holding, 1);
	while (!atomic_load(&holders.released))
		__builtin_ia32_pause();
	return NULL;
}

static void processor_take(unsigned processor)
{
	if (holders.n < CPU_SETSIZE &&
	    pthread_create(&holders.threads[holders.n], NULL, processor_hold,
			   (void *)(uintptr_t)processor) == 0)
		holders.n++;
}

static void processors_take_all_but(unsigned own)
{
	FILE *online = fopen("/sys/devices/system/cpu/online", "re"); /* as 0-3,5 */
	unsigned first, last;

	if (!online)
		return;
	while (fscanf(online, "%u", &first) == 1) {
		last = first;
		fscanf(online, "-%u", &last);
		for (; first <= last; first++)
			if (first != own)
				processor_take(first);
		fscanf(online, ",");
	}
	fclose(online);
}

/*
 * Without a signal or a freezer: programs notice a stop, by EINTR or by what a shell's job does. Once the threads hold their processors
 * nothing is called that may wait for another program: that may never run.
 */
static void processors_hold(void)
{
	unsigned own = (unsigned)sched_getcpu();

	holders.n = 0;
	atomic_store(&holders.begun, false);
	atomic_store(&holders.released, false);
	atomic_store(&holders.n_holding, 0);
	sched_getaffinity(0, sizeof(holders.own), &holders.own);
	stay_on(own);
	processors_take_all_but(own);
	/* Or other programs would run where the host lets this processor wait for a second. */
	if (holders.n > 0)
		holders.real_time_us = real_time_allow(-1);
	schedule(SCHED_FIFO, 99);
	atomic_store(&holders.begun, true);
	for (int i = 0; i < HOLD_TRIES && atomic_load(&holders.n_holding) < holders.n; i++)
		usleep(1000);
	holders.have_all = atomic_load(&holders.n_holding) == holders.n;
}

static void processors_release(void)
{
	atomic_store(&holders.released, true);
}

static void processors_forget(void)
{
	schedule(SCHED_OTHER, 0);
	if (holders.n > 0)
		real_time_allow(holders.real_time_us);
	while (holders.n > 0)
		pthread_join(holders.threads[--holders.n], NULL);
	sched_setaffinity(0, sizeof(holders.own), &holders.own);
	if (!holders.have_all)
		printf("init: other programs ran during the snapshot\n");
}

void snapshot_take(void)
{
	int urandom_fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	volatile uint64_t *page = page_map();
	if (page) {
		uint64_t generation = page[WORD_GENERATION];
		processors_hold();
		*(volatile uint8_t *)page = SNAPSHOT_BYTE;
		bool is_clone = page[WORD_GENERATION] != generation;
		int error = is_clone ? clone_begin(page, urandom_fd) : 0;
		processors_release();
		if (is_clone)
			clone_write_text(page);
		processors_forget();
		if (error)
			printf("init: /dev/urandom: %s\n", strerror(error));
		page_unmap(page);
	}
	close(urandom_fd);
}
