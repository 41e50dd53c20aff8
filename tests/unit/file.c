/* SPDX-License-Identifier: MIT */
/* Files with holes, read into zeroed memory; which descriptors stay open. */
#include "host/file.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/check.h"

#define BLOCK  65536u
#define BLOCKS 6u

static uint8_t memory[BLOCKS * BLOCK], expected[BLOCKS * BLOCK];

/* A file in which bit i of `data` says whether block i is data. */
static struct input_file make_file(unsigned data)
{
	struct input_file file = { .fd = check_memory_file("", 0), .bytes = BLOCKS * BLOCK };

	CHECK(ftruncate(file.fd, BLOCKS * BLOCK) == 0);
	memset(expected, 0, sizeof(expected));
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (!(data & 1u << i))
			continue;
		memset(expected + i * BLOCK, 'a' + (int)i, BLOCK);
		CHECK(pwrite(file.fd, expected + i * BLOCK, BLOCK, i * BLOCK) == BLOCK);
	}
	return file;
}

static void test_all_patterns(void)
{
	static const struct {
		size_t offset, length;
	} parts[] = {
		{ 0, BLOCKS * BLOCK }, { 1, BLOCKS * BLOCK - 2 }, { BLOCK, BLOCK },
		{ BLOCK / 2, BLOCK },  { 5 * BLOCK, BLOCK },      { 77, 0 },
	};

	for (unsigned data = 0; data < 1u << BLOCKS; data++) {
		struct input_file file = make_file(data);
		for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			memset(memory, 0, sizeof(memory));
			CHECK(input_file_read_into_zeroes(&file, memory, parts[i].length,
							  parts[i].offset));
			CHECK_BYTES(memory, expected + parts[i].offset, parts[i].length);
			for (size_t at = parts[i].length; at < sizeof(memory); at++)
				CHECK_EQ(memory[at], 0);
		}
		input_file_close(&file);
	}
}

/* A file that became shorter is no file with a hole at its end. */
static void test_cut_short(void)
{
	for (unsigned data = 0; data < 1u << BLOCKS; data += 5) {
		struct input_file file = make_file(data);
		CHECK(ftruncate(file.fd, 2 * BLOCK + 1) == 0);
		CHECK(!input_file_read_into_zeroes(&file, memory, BLOCKS * BLOCK, 0));
		CHECK_EQ(errno, 0);
		CHECK(!input_file_read_into_zeroes(&file, memory, BLOCK, 3 * BLOCK));
		CHECK(!input_file_read_into_zeroes(&file, memory, BLOCK, BLOCKS * BLOCK));
		CHECK(input_file_read_into_zeroes(&file, memory, BLOCK, BLOCK));
		input_file_close(&file);
	}
}

/* In a child, whose table is its own: exactly 3 and up are closed, but for the kept ones. */
static void check_kept(const int *kept, unsigned n)
{
	static const int numbers[] = { 3, 4, 5, 6, 63, 64, 65, 200, 255, 256, 900 };
	pid_t child = fork();
	int status;

	if (child == 0) {
		for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
			CHECK(dup2(STDERR_FILENO, numbers[i]) == numbers[i]);
		file_close_others(kept, n);
		for (int fd = 0; fd < 1000; fd++) {
			bool is_open = fd <= 2;
			for (unsigned i = 0; i < n; i++)
				is_open |= fd == kept[i];
			if ((fcntl(fd, F_GETFD) >= 0) != is_open)
				_exit(1);
		}
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
}

static void test_close_others(void)
{
	check_kept(NULL, 0);
	check_kept((int[]){ 3 }, 1);
	check_kept((int[]){ 900 }, 1);
	check_kept((int[]){ 3, 4, 5 }, 3);
	check_kept((int[]){ 4, 4, 64, 64, 65, 255 }, 6);
	check_kept((int[]){ 3, 4, 5, 6, 63, 64, 65, 200, 255, 256, 900 }, 11);
}

int main(void)
{
	RUN(test_all_patterns);
	RUN(test_cut_short);
	RUN(test_close_others);
	return 0;
}
