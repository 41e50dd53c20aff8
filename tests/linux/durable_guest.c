/* SPDX-License-Identifier: MIT */
/*
 * The guest of the durability tests, PID 1 of an initrd: random work on an ext4 (/dev/vda), and on a raw disk (/dev/vdc), beside
 * processes that make noise. What a flush has acknowledged is noted on /dev/vdb (durable_format.h). Words of the kernel's command
 * line: seed=N steps=N options=MOUNT-OPTIONS.
 */
#include "durable_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "durable_format.h"

#define FILE_BYTES  (96u << 10)
#define DIRECTORIES 4u
#define BATCH       12u

static uint32_t crc_of(const uint8_t *data, uint32_t bytes)
{
	static uint32_t table[256];
	uint32_t crc = ~0u;

	for (uint32_t i = 0; i < 256 && table[255] == 0; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
	}
	for (uint32_t i = 0; i < bytes; i++)
		crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
	return ~crc;
}

/* The files. */
struct slot {
	bool exists, data_unsure, name_unsure;
	uint32_t bytes;
	uint8_t data[FILE_BYTES];
};

enum step {
	STEP_WRITE,
	STEP_TRUNCATE,
	STEP_PUNCH,
	STEP_ZERO,
	STEP_RENAME,
	STEP_UNLINK,
	STEP_TRIM,
	STEP_FSYNC, /* and what else ends a batch */
	STEP_FDATASYNC,
	STEP_FSYNC_DIRECTORY,
	STEP_SYNC,
};

/* How many of 100. */
static const unsigned frequency[] = {
	[STEP_WRITE] = 40, [STEP_TRUNCATE] = 5,        [STEP_PUNCH] = 6,
	[STEP_ZERO] = 4,   [STEP_RENAME] = 8,          [STEP_UNLINK] = 5,
	[STEP_TRIM] = 1,   [STEP_FSYNC] = 18,          [STEP_FDATASYNC] = 6,
	[STEP_SYNC] = 2,   [STEP_FSYNC_DIRECTORY] = 5,
};

struct plan {
	enum step step;
	unsigned slot, other;
};

static struct slot slots[SLOTS];
static uint32_t writes;

static const char *path_of(unsigned slot)
{
	static char path[2][40];
	static unsigned turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "/w/d%u/f%u", slot % DIRECTORIES, slot);
	return path[turn];
}

static void note_files(uint32_t n, uint32_t touches)
{
	struct files_record record = { .n = n, .touches = touches };

	memcpy(record.magic, FILES_MAGIC, 8);
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct slot *slot = &slots[i];
		record.slots[i].state = slot->exists ? SLOT_PRESENT : SLOT_ABSENT;
		if (slot->data_unsure || slot->name_unsure)
			record.slots[i].state = SLOT_UNSURE;
		record.slots[i].bytes = slot->exists ? slot->bytes : 0;
		if (record.slots[i].state == SLOT_PRESENT)
			record.slots[i].crc = crc_of(slot->data, slot->bytes);
	}
	note(&record, n);
}

/* Random sectors of a file. */
static void choose_range(uint32_t *offset, uint32_t *bytes)
{
	uint32_t first = random_below(FILE_BYTES / SECTOR);
	uint32_t most = random_below(3) ? 24 : FILE_BYTES / SECTOR;

	if (random_below(4) == 0)
		first -= first % (BLOCK / SECTOR);
	*offset = first * SECTOR;
	*bytes = (1 + random_below(most)) * SECTOR;
	if (*bytes > FILE_BYTES - *offset)
		*bytes = FILE_BYTES - *offset;
}

static void do_write(struct slot *slot, int fd, unsigned index)
{
	uint32_t offset, bytes;

	choose_range(&offset, &bytes);
	if (random_below(3) == 0 && slot->bytes < FILE_BYTES - SECTOR)
		offset = slot->bytes; /* at the end */
	if (bytes > FILE_BYTES - offset)
		bytes = FILE_BYTES - offset;
	writes++;
	for (uint32_t at = offset; at < offset + bytes; at += SECTOR)
		stamp(slot->data + at, FILES_MAGIC, writes, index);
	must(pwrite(fd, slot->data + offset, bytes, offset) == (ssize_t)bytes, "write", index);
	if (offset + bytes > slot->bytes)
		slot->bytes = offset + bytes;
}

static void do_zero(struct slot *slot, int fd, unsigned index, bool is_punch)
{
	uint32_t offset, bytes;

	choose_range(&offset, &bytes);
	must(fallocate(fd,
		       (is_punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) |
			       FALLOC_FL_KEEP_SIZE,
		       offset, bytes) == 0,
	     "fallocate", index);
	/* What lies behind the end stays zeroes here, too. */
	memset(slot->data + offset, 0, bytes);
}

static void do_truncate(struct slot *slot, int fd, unsigned index)
{
	uint32_t bytes = random_below(FILE_BYTES / SECTOR) * SECTOR;

	must(ftruncate(fd, bytes) == 0, "truncate", index);
	memset(slot->data + bytes, 0, FILE_BYTES - bytes);
	slot->bytes = bytes;
}

static void do_change(enum step step, unsigned index)
{
	struct slot *slot = &slots[index];

	if (step != STEP_WRITE && !slot->exists)
		return;
	int fd = open(path_of(index), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0, "open", index);
	slot->data_unsure = true;
	if (!slot->exists) {
		memset(slot->data, 0, FILE_BYTES);
		slot->exists = slot->name_unsure = true;
		slot->bytes = 0;
	}
	if (step == STEP_WRITE)
		do_write(slot, fd, index);
	else if (step == STEP_TRUNCATE)
		do_truncate(slot, fd, index);
	else
		do_zero(slot, fd, index, step == STEP_PUNCH);
	close(fd);
}

static void do_name(const struct plan *plan)
{
	struct slot *slot = &slots[plan->slot], *other = &slots[plan->other];

	if (!slot->exists || slot == other)
		return;
	slot->name_unsure = true;
	if (plan->step == STEP_UNLINK) {
		must(unlink(path_of(plan->slot)) == 0, "unlink", plan->slot);
	} else {
		must(rename(path_of(plan->slot), path_of(plan->other)) == 0, "rename", plan->slot);
		*other = *slot;
	}
	slot->exists = slot->data_unsure = false;
}

static void do_trim(unsigned number)
{
	struct fstrim_range range = { .len = UINT64_MAX };
	int fd = open("/w", O_RDONLY | O_CLOEXEC);

	must(ioctl(fd, (int)FITRIM, &range) == 0, "trim", number);
	close(fd);
}

static void do_sync(struct plan plan)
{
	struct slot *slot = &slots[plan.slot];
	char directory[40];

	if (!slot->exists && plan.step != STEP_SYNC)
		plan.step = STEP_FSYNC_DIRECTORY;
	snprintf(directory, sizeof(directory), "/w/d%u", plan.slot % DIRECTORIES);
	if (plan.step == STEP_SYNC) {
		int all = open("/w", O_RDONLY | O_CLOEXEC);
		must(syncfs(all) == 0, "syncfs", plan.slot);
		close(all);
		for (unsigned i = 0; i < SLOTS; i++)
			slots[i].data_unsure = slots[i].name_unsure = false;
		return;
	}
	int fd = open(plan.step == STEP_FSYNC_DIRECTORY ? directory : path_of(plan.slot),
		      O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && (plan.step == STEP_FDATASYNC ? fdatasync(fd) : fsync(fd)) == 0, "fsync",
	     plan.slot);
	close(fd);
	if (plan.step != STEP_FSYNC_DIRECTORY)
		slot->data_unsure = false;
	if (plan.step == STEP_FSYNC)
		slot->name_unsure = false;
	for (unsigned i = plan.slot % DIRECTORIES; plan.step == STEP_FSYNC_DIRECTORY && i < SLOTS;
	     i += DIRECTORIES)
		slots[i].name_unsure = false;
}

static struct plan choose(void)
{
	struct plan plan = { .slot = random_below(SLOTS), .other = random_below(SLOTS) };
	unsigned number = random_below(100);

	while (number >= frequency[plan.step])
		number -= frequency[plan.step++];
	return plan;
}

/* Changes, and what makes some of them sure. */
static unsigned do_batch(uint32_t number)
{
	struct plan batch[BATCH + 1];
	uint32_t touches = 0;
	unsigned n = 0;

	do {
		batch[n] = choose();
		if (n == BATCH)
			batch[n].step = STEP_FSYNC;
		if (batch[n].step < STEP_TRIM)
			touches |= 1u << batch[n].slot;
		if (batch[n].step == STEP_RENAME)
			touches |= 1u << batch[n].other;
	} while (batch[n++].step < STEP_FSYNC);
	note_files(number, touches);
	for (unsigned i = 0; i < n; i++) {
		if (batch[i].step >= STEP_FSYNC)
			do_sync(batch[i]);
		else if (batch[i].step == STEP_TRIM)
			do_trim(number);
		else if (batch[i].step == STEP_RENAME || batch[i].step == STEP_UNLINK)
			do_name(&batch[i]);
		else
			do_change(batch[i].step, batch[i].slot);
	}
	return n;
}

/* The files as the disk has them. */
static void check_files(void)
{
	static uint8_t data[FILE_BYTES + 1];

	sync();
	for (unsigned i = 0; i < SLOTS; i++) {
		int fd = open(path_of(i), O_RDONLY | O_CLOEXEC);
		must((fd >= 0) == slots[i].exists, "at the end: a name of slot", i);
		if (fd < 0)
			continue;
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		must(read(fd, data, sizeof(data)) == (ssize_t)slots[i].bytes &&
			     memcmp(data, slots[i].data, slots[i].bytes) == 0,
		     "at the end: the contents of slot", i);
		close(fd);
	}
}

static pid_t start(uint64_t number, unsigned kind)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	seed(number);
	if (kind == RAW_WRITERS)
		make_noise();
	work_raw(kind);
	_exit(0);
}

static uint64_t word(const char *name)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static void prepare(void)
{
	const char *options = getenv("options");
	char path[40];

	mkdir("/dev", 0755);
	mkdir("/w", 0755);
	must(mount("dev", "/dev", "devtmpfs", 0, NULL) == 0 || errno == EBUSY, "devtmpfs", 0);
	must(mount("/dev/vda", "/w", "ext4", 0, options) == 0, "mount", 0);
	note_begin();
	for (unsigned i = 0; i < DIRECTORIES; i++) {
		snprintf(path, sizeof(path), "/w/d%u", i);
		must(mkdir(path, 0700) == 0, "mkdir", i);
	}
	sync();
}

int main(void)
{
	uint64_t number = word("seed"), steps = word("steps"), done = 0;
	pid_t children[RAW_WRITERS + 1];
	uint32_t batches = 0;
	int status;

	prepare();
	for (unsigned i = 0; i <= RAW_WRITERS; i++)
		children[i] = start(number * 4 + i + 1, i);
	seed(number * 4);
	while (done < steps) {
		done += do_batch(batches++);
		must(waitpid(-1, &status, WNOHANG) == 0, "a child has ended", batches);
	}
	for (unsigned i = 0; i <= RAW_WRITERS; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	check_files();
	must(umount("/w") == 0, "umount", 0);
	printf("durable: %llu steps, %u batches: well\n", (unsigned long long)done, batches);
	end(0);
}
