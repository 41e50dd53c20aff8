/* SPDX-License-Identifier: MIT */
/* Shared by the unit tests and the fuzzers: checks that end the program with exit status 1. */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			check_failed(__FILE__, __LINE__, #condition);                              \
	} while (0)

/* Integers. The second argument is what is right. */
#define CHECK_EQ(actual, expected)                                                                 \
	check_equal(__FILE__, __LINE__, #actual, (unsigned long long)(actual),                     \
		    (unsigned long long)(expected))

#define CHECK_STRING(actual, expected) check_string(__FILE__, __LINE__, #actual, actual, expected)

/* `part` is somewhere in `text`. */
#define CHECK_HAS(text, part) check_has(__FILE__, __LINE__, #text, text, part)

#define CHECK_BYTES(actual, expected, n)                                                           \
	check_bytes(__FILE__, __LINE__, #actual, actual, expected, n)

/* Every one of n bytes is `value`. */
#define CHECK_FILLED(actual, value, n) check_filled(__FILE__, __LINE__, #actual, actual, value, n)

#define RUN(test)                                                                                  \
	do {                                                                                       \
		test();                                                                            \
		printf("ok %s\n", #test);                                                          \
		fflush(stdout);                                                                    \
	} while (0)

/* abort() under a fuzzer, so that it keeps the input; exit status 1 otherwise. */
_Noreturn static inline void check_end(void)
{
	fflush(stdout);
#ifdef FUZZER
	abort();
#else
	_exit(1);
#endif
}

_Noreturn static inline void check_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
	check_end();
}

static inline void check_equal(const char *file, int line, const char *what,
			       unsigned long long actual, unsigned long long expected)
{
	if (actual == expected)
		return;
	fprintf(stderr, "%s:%d: %s is %llu (0x%llx), expected %llu (0x%llx)\n", file, line, what,
		actual, actual, expected, expected);
	check_end();
}

static inline void check_string(const char *file, int line, const char *what, const char *actual,
				const char *expected)
{
	if (actual != NULL && strcmp(actual, expected) == 0)
		return;
	fprintf(stderr, "%s:%d: %s is \"%s\", expected \"%s\"\n", file, line, what,
		actual ? actual : "(null)", expected);
	check_end();
}

static inline void check_has(const char *file, int line, const char *what, const char *text,
			     const char *part)
{
	if (strstr(text, part) != NULL)
		return;
	fprintf(stderr, "%s:%d: %s is \"%s\", expected \"%s\" in it\n", file, line, what, text,
		part);
	check_end();
}

static inline void check_bytes(const char *file, int line, const char *what, const void *actual,
			       const void *expected, size_t n)
{
	const uint8_t *a = actual, *e = expected;

	if (n == 0 || memcmp(a, e, n) == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (a[i] == e[i])
			continue;
		fprintf(stderr, "%s:%d: %s: byte %zu of %zu is %02x, expected %02x\n", file, line,
			what, i, n, a[i], e[i]);
		check_end();
	}
}

static inline void check_filled(const char *file, int line, const char *what, const void *actual,
				uint8_t value, size_t n)
{
	const uint8_t *a = actual;

	/* memcmp against itself, shifted by one: fast enough for hundreds of MiB. */
	if (n == 0 || (a[0] == value && memcmp(a, a + 1, n - 1) == 0))
		return;
	for (size_t i = 0; i < n; i++) {
		if (a[i] == value)
			continue;
		fprintf(stderr, "%s:%d: %s: byte %zu of %zu is %02x, expected %02x\n", file, line,
			what, i, n, a[i], value);
		check_end();
	}
}

/* A reproducible stream of numbers (xorshift64*). */
static inline uint64_t check_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* A file that exists in memory only, with these contents. */
static inline int check_memory_file(const void *data, size_t bytes)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(bytes == 0 || write(fd, data, bytes) == (ssize_t)bytes);
	return fd;
}

#endif
