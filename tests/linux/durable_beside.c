/* SPDX-License-Identifier: MIT */
/* The durability tests' guest: its log, and what goes on beside the work on files. */
#include "durable_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "durable_format.h"

#define RAW_MOST    24u /* sectors at once */
#define NOISE_BYTES (512u << 10)

static int log_fd;
static uint64_t chance;
static uint8_t *sectors; /* for direct I/O */

uint32_t random_below(uint32_t n)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return (uint32_t)((chance >> 16) % n);
}

void seed(uint64_t number)
{
	chance = (number + 1) * 0x9e3779b97f4a7c15;
	random_below(2);
}

_Noreturn void end(int code)
{
	sync();
	usleep(20000);
	reboot(RB_AUTOBOOT);
	_exit(code);
}

void must(bool is_well, const char *what, unsigned number)
{
	if (is_well)
		return;
	printf("durable: FAILED: %s %u: %s\n", what, number, strerror(errno));
	if (getpid() == 1)
		end(1);
	_exit(1);
}

void stamp(uint8_t *data, const char *magic, uint32_t n, uint32_t sector)
{
	for (uint32_t i = 0; i < SECTOR; i += 16) {
		memcpy(data + i, magic, 8);
		memcpy(data + i + 8, &n, 4);
		memcpy(data + i + 12, &sector, 4);
	}
}

void note(const void *record, uint32_t sector)
{
	must(sector < (RAW_WRITERS + 1) * LOG_SECTORS, "the log is full", sector);
	memcpy(sectors, record, SECTOR);
	must(pwrite(log_fd, sectors, SECTOR, (off_t)sector * SECTOR) == SECTOR, "log", sector);
}

void note_begin(void)
{
	log_fd = open("/dev/vdb", O_RDWR | O_DIRECT | O_CLOEXEC);
	must(log_fd >= 0, "log", 0);
	sectors = aligned_alloc(BLOCK, RAW_MOST * SECTOR);
}

_Noreturn void make_noise(void)
{
	static uint8_t data[NOISE_BYTES];
	char path[40];

	for (unsigned n = 0;; n++) {
		unsigned file = n % 6, bytes = 1 + random_below(NOISE_BYTES);
		snprintf(path, sizeof(path), "/w/noise%u", file);
		int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		memset(data, (int)n, bytes);
		must(fd >= 0, "noise", n);
		if (random_below(2) == 0)
			must(fallocate(fd, 0, 0, bytes) == 0, "noise's fallocate", n);
		must(write(fd, data, bytes) == (ssize_t)bytes, "noise's write", n);
		close(fd);
		if (random_below(2) == 0)
			unlink(path);
		mkdir("/w/noise", 0700);
		snprintf(path, sizeof(path), "/w/noise/link%u", n % 50);
		if (symlink("nowhere", path) < 0)
			unlink(path);
		usleep(30000 + random_below(60000));
	}
}

static void do_raw(int fd, const struct raw_record *record)
{
	uint64_t range[2] = { (uint64_t)record->sector * SECTOR,
			      (uint64_t)record->sectors * SECTOR };
	bool is_well;

	for (uint32_t i = 0; i < record->sectors; i++)
		stamp(sectors + i * SECTOR, RAW_MAGIC, record->n, record->sector + i);
	if (record->step == RAW_WRITE)
		is_well = pwrite(fd, sectors, range[1], (off_t)range[0]) == (ssize_t)range[1];
	else if (record->step == RAW_FLUSH)
		is_well = fsync(fd) == 0;
	else
		is_well = ioctl(fd, record->step == RAW_ZERO ? BLKZEROOUT : BLKDISCARD, range) == 0;
	must(is_well, "raw step", record->step);
}

void work_raw(unsigned writer)
{
	static const uint32_t steps[] = { RAW_WRITE, RAW_WRITE,   RAW_WRITE, RAW_WRITE, RAW_WRITE,
					  RAW_ZERO,  RAW_DISCARD, RAW_FLUSH, RAW_FLUSH, RAW_FLUSH };
	int fd = open("/dev/vdc", O_RDWR | O_DIRECT | O_CLOEXEC);

	must(fd >= 0, "raw disk", writer);
	for (uint32_t n = 0; n < LOG_SECTORS; n++) {
		struct raw_record record = { .n = n, .step = steps[random_below(10)] };
		uint32_t first = random_below(RAW_SECTORS - RAW_MOST);
		memcpy(record.magic, RAW_MAGIC, 8);
		record.sectors = record.step == RAW_FLUSH ? 0 : 1 + random_below(RAW_MOST);
		if (record.step == RAW_DISCARD || random_below(4) == 0) {
			first -= first % (BLOCK / SECTOR);
			record.sectors = (record.sectors + 7) / 8 * 8;
		}
		record.sector = writer * RAW_SECTORS + first;
		note(&record, (writer + 1) * LOG_SECTORS + n);
		do_raw(fd, &record);
		usleep(random_below(20000));
	}
}
