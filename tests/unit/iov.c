/* SPDX-License-Identifier: MIT */
/* Runs of buffers: each operation against the same done byte by byte. */
#include "virtio-mmio/iov.h"

#include "tests/unit/check.h"

#define MAX_PARTS 6u
#define MAX_BYTES 64u

static uint8_t memory[2 * MAX_BYTES];
static struct iovec parts[2 * MAX_PARTS];

/* A run whose parts are so long, with a gap of one byte between them. Byte n of it is n. */
static struct iov make(const size_t *lengths, unsigned n)
{
	uint8_t *at = memory, value = 0;

	memset(memory, 0xee, sizeof(memory));
	for (unsigned i = 0; i < n; i++, at++) {
		parts[i] = (struct iovec){ at, lengths[i] };
		for (size_t byte = 0; byte < lengths[i]; byte++)
			*at++ = value++;
	}
	return (struct iov){ parts, n };
}

static unsigned make_random(struct iov *iov, uint64_t *state)
{
	size_t lengths[MAX_PARTS];
	unsigned n = (unsigned)(check_random(state) % (MAX_PARTS + 1)), bytes = 0;

	for (unsigned i = 0; i < n; i++) {
		lengths[i] = check_random(state) % 9; /* also empty ones */
		bytes += (unsigned)lengths[i];
	}
	*iov = make(lengths, n);
	return bytes;
}

/* It holds the bytes first, first + 1 and so on, `n` of them. */
static void check_holds(const struct iov *iov, unsigned first, unsigned n)
{
	unsigned seen = 0;

	CHECK_EQ(iov_bytes(iov), n);
	for (unsigned i = 0; i < iov->n; i++)
		for (size_t byte = 0; byte < iov->parts[i].iov_len; byte++, seen++)
			CHECK_EQ(((uint8_t *)iov->parts[i].iov_base)[byte], first + seen);
	CHECK_EQ(seen, n);
}

static void test_bytes(void)
{
	struct iovec huge[3] = { { memory, UINT32_MAX }, { memory, UINT32_MAX }, { memory, 2 } };

	CHECK_EQ(iov_bytes(&(struct iov){ huge, 3 }), 0x200000000);
	CHECK_EQ(iov_bytes(&(struct iov){ NULL, 0 }), 0);
}

static void test_skip(void)
{
	uint64_t state = 1;

	for (unsigned round = 0; round < 20000; round++) {
		struct iov iov;
		unsigned n = make_random(&iov, &state),
			 skip = (unsigned)(check_random(&state) % 50);
		iov_skip(&iov, skip);
		check_holds(&iov, skip, skip < n ? n - skip : 0);
		CHECK(iov.n == 0 || iov.parts[0].iov_len > 0);
	}
}

static void test_trim(void)
{
	uint64_t state = 2;

	for (unsigned round = 0; round < 20000; round++) {
		struct iov iov;
		unsigned n = make_random(&iov, &state),
			 keep = (unsigned)(check_random(&state) % 50);
		CHECK_EQ(iov_trim(&iov, keep), keep <= n);
		check_holds(&iov, 0, keep <= n ? keep : n);
	}
}

static void test_read(void)
{
	uint64_t state = 3;

	for (unsigned round = 0; round < 20000; round++) {
		struct iov iov;
		uint8_t copy[MAX_BYTES];
		unsigned n = make_random(&iov, &state),
			 most = (unsigned)(check_random(&state) % 50);
		unsigned expected = most < n ? most : n;
		memset(copy, 0xcc, sizeof(copy));
		CHECK_EQ(iov_read(&iov, copy, most), expected);
		for (unsigned i = 0; i < expected; i++)
			CHECK_EQ(copy[i], i);
		CHECK_FILLED(copy + expected, 0xcc, sizeof(copy) - expected);
		check_holds(&iov, 0, n);
	}
}

static void test_write(void)
{
	uint64_t state = 4;

	for (unsigned round = 0; round < 20000; round++) {
		struct iov iov;
		uint8_t data[MAX_BYTES], copy[MAX_BYTES], before[sizeof(memory)];
		unsigned n = make_random(&iov, &state),
			 most = (unsigned)(check_random(&state) % 50);
		unsigned expected = most < n ? most : n;
		memset(data, 0x77, sizeof(data));
		memcpy(before, memory, sizeof(memory));
		CHECK_EQ(iov_write(&iov, data, most), expected);
		iov_read(&iov, copy, n);
		CHECK_FILLED(copy, 0x77, expected);
		for (unsigned i = expected; i < n; i++)
			CHECK_EQ(copy[i], i);
		/* Nothing else has changed. */
		for (unsigned i = 0; i < sizeof(memory); i++)
			if (memory[i] != before[i])
				CHECK_EQ(before[i] != 0xee && memory[i] == 0x77, true);
	}
}

static void test_take(void)
{
	uint64_t state = 5;

	for (unsigned round = 0; round < 20000; round++) {
		struct iov iov;
		uint8_t copy[MAX_BYTES];
		unsigned n = make_random(&iov, &state),
			 bytes = (unsigned)(check_random(&state) % 50);
		bool enough = bytes <= n;
		CHECK_EQ(iov_take(&iov, copy, bytes), enough);
		for (unsigned i = 0; enough && i < bytes; i++)
			CHECK_EQ(copy[i], i);
		check_holds(&iov, enough ? bytes : 0, enough ? n - bytes : n);
	}
}

/* Behind what is there. */
static void test_append(void)
{
	uint64_t state = 6;

	for (unsigned round = 0; round < 20000; round++) {
		struct iovec room[1 + MAX_PARTS] = { { NULL, 0 } };
		struct iov iov, to = { room, 1 }, added;
		unsigned n = make_random(&iov, &state),
			 skip = (unsigned)(check_random(&state) % 50);
		unsigned most = (unsigned)(check_random(&state) % 50),
			 left = skip < n ? n - skip : 0;
		iov_append(&to, &iov, skip, most);
		CHECK(to.parts == room && to.n <= 1 + iov.n && room[0].iov_len == 0);
		added = (struct iov){ room + 1, to.n - 1 };
		check_holds(&added, skip, most < left ? most : left);
		for (unsigned i = 0; i < added.n; i++)
			CHECK(added.parts[i].iov_len > 0);
		check_holds(&iov, 0, n);
	}
}

int main(void)
{
	RUN(test_bytes);
	RUN(test_skip);
	RUN(test_trim);
	RUN(test_read);
	RUN(test_write);
	RUN(test_take);
	RUN(test_append);
	return 0;
}
