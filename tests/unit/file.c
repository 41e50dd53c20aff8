/* Files with holes, read into zeroed memory. */
#include "host/file.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/check.h"

#define BLOCK  65536u
#define BLOCKS 6u

static uint8_t memory[BLOCKS * BLOCK], expected[BLOCKS * BLOCK];

/* A file in which bit i of `data` says whether block i is data. */
static struct input_file make_file(unsigned data)
{
	struct input_file file = { check_memory_file("", 0), BLOCKS * BLOCK };

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

int main(void)
{
	RUN(test_all_patterns);
	RUN(test_cut_short);
	return 0;
}
