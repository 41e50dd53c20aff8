/* SPDX-License-Identifier: MIT */
/*
 * Shared by the fuzzers: an input that is taken apart from the front, guest RAM between guard pages,
 * and seeds. With FUZZ_SEEDS=DIR in the environment a fuzzer writes its seeds to DIR before it
 * starts: programs of good requests and good kernels, from which mutation reaches the far branches.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#define FUZZER

#include <fcntl.h>
#include <sys/mman.h>

#include "mem/guest_memory.h"
#include "tests/unit/check.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#ifndef FUZZ_REPLAY
/* The monitor frees next to nothing, and the fuzzer itself much: to keep that and where it came from takes half of the time. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=1:malloc_context_size=0";
}
#endif

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

/* The next byte; 0 behind the end. */
static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

static inline uint16_t fuzz_u16(struct fuzz_input *input)
{
	uint16_t low = fuzz_byte(input);

	return (uint16_t)(low | fuzz_byte(input) << 8);
}

/* Numbers of all sizes from few bytes: the first tells how the others are meant. */
static inline uint64_t fuzz_number(struct fuzz_input *input)
{
	uint8_t kind = fuzz_byte(input);
	uint64_t value = fuzz_u16(input);

	switch (kind >> 5) {
	case 0:
		return value;
	case 1:
		return value << 4;
	case 2:
		return value << 12;
	case 3:
		return value << (kind & 31) << 16;
	case 4:
		return ~value;
	case 5:
		return value << 48 | value;
	case 6:
		return ((uint64_t)1 << 32) - 1 - value;
	default:
		return ((uint64_t)1 << (kind & 31) << 16) - value;
	}
}

/* `bytes` of RAM (a multiple of 4 KiB) with no access before and behind. */
static inline void fuzz_map_memory(struct guest_memory *memory, uint64_t bytes)
{
	const uint64_t guard = 1 << 20;
	uint8_t *base = mmap(NULL, bytes + 2 * guard, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(base != MAP_FAILED);
	CHECK(mprotect(base + guard, bytes, PROT_READ | PROT_WRITE) == 0);
	*memory = (struct guest_memory){ .host = base + guard, .bytes = bytes, .low_bytes = bytes };
}

/* All RAM is zero again. */
static inline void fuzz_clear_memory(const struct guest_memory *memory)
{
	CHECK(madvise(memory->host, memory->bytes, MADV_DONTNEED) == 0);
}

/* Whether [at, at + bytes) lies in RAM. */
static inline bool fuzz_in_memory(const struct guest_memory *memory, const void *at, uint64_t bytes)
{
	uint64_t offset = (uint64_t)((const uint8_t *)at - memory->host);

	return (const uint8_t *)at >= memory->host && offset < memory->bytes &&
	       bytes <= memory->bytes - offset;
}

/* A seed that is put together step by step. */
struct fuzz_program {
	uint8_t bytes[4096];
	size_t n;
};

static inline void fuzz_append(struct fuzz_program *program, const uint8_t *step, size_t bytes)
{
	CHECK(bytes <= sizeof(program->bytes) - program->n);
	memcpy(program->bytes + program->n, step, bytes);
	program->n += bytes;
}

#define FUZZ_APPEND(program, ...)                                                                  \
	fuzz_append(program, (const uint8_t[]){ __VA_ARGS__ },                                     \
		    sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Writes a seed, if they are asked for. */
static inline void fuzz_seed(const char *name, const void *data, size_t bytes)
{
	const char *dir = getenv("FUZZ_SEEDS");
	char path[512];

	if (dir == NULL || dir[0] == '\0')
		return;
	CHECK((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) < sizeof(path));
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes);
	close(fd);
}

#ifdef FUZZ_REPLAY
/* Runs the inputs whose files are named, without a fuzzer. */
int main(int argc, char **argv)
{
	static uint8_t input[1 << 20];

	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		ssize_t bytes = read(fd, input, sizeof(input));
		CHECK(bytes >= 0);
		close(fd);
		LLVMFuzzerTestOneInput(input, (size_t)bytes);
	}
	return 0;
}
#endif

#endif
