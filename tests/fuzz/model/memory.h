/* SPDX-License-Identifier: MIT */
/*
 * Which pages of guest memory an input may have written: only those are zeroed after it. The linker leads the devices' and the
 * driver's calls of guest_memory_at(), guest_memory_write() and guest_memory_copy() here (--wrap); what the ring reads into
 * memory model_memory_touch() is told.
 */
#ifndef TESTS_FUZZ_MODEL_MEMORY_H
#define TESTS_FUZZ_MODEL_MEMORY_H

#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/model/begin.h"

#define MODEL_PAGE_BYTES 4096u
#define MODEL_MAX_PAGES  (64u << 8) /* 64 MiB */
/* A longer stretch is a buffer: whoever writes to all of it copies, or is the ring. */
#define MODEL_RING_BYTES 8192u

void *__real_guest_memory_at(const struct guest_memory *memory, uint64_t gpa, uint64_t length);
void *__wrap_guest_memory_at(const struct guest_memory *memory, uint64_t gpa, uint64_t length);
bool __real_guest_memory_write(const struct guest_memory *memory, uint64_t gpa, const void *data,
			       size_t length);
bool __wrap_guest_memory_write(const struct guest_memory *memory, uint64_t gpa, const void *data,
			       size_t length);
void __real_guest_memory_copy(void *to, const void *from, size_t bytes);
void __wrap_guest_memory_copy(void *to, const void *from, size_t bytes);

static uint8_t *model_memory; /* NULL: nothing is recorded */
static uint64_t model_memory_bytes;
static bool model_checks_clear; /* slowly, whether something was forgotten */
static bool model_is_touched[MODEL_MAX_PAGES];
static uint32_t model_touched[MODEL_MAX_PAGES], model_n_touched;

static inline void model_memory_begin(const struct guest_memory *memory)
{
	CHECK(memory->bytes <= (uint64_t)MODEL_MAX_PAGES * MODEL_PAGE_BYTES);
	model_memory = memory->host;
	model_memory_bytes = memory->bytes;
	model_checks_clear = getenv("FUZZ_CHECK_CLEAR") != NULL;
}

/* Any host address is safe to pass. */
static inline void model_memory_touch(const void *at, size_t bytes)
{
	uint64_t offset = (uint64_t)((const uint8_t *)at - model_memory);

	if (model_memory == NULL || (const uint8_t *)at < model_memory ||
	    offset >= model_memory_bytes || bytes == 0)
		return;
	for (uint64_t page = offset / MODEL_PAGE_BYTES;
	     page <= (offset + bytes - 1) / MODEL_PAGE_BYTES; page++) {
		if (model_is_touched[page])
			continue;
		model_is_touched[page] = true;
		model_touched[model_n_touched++] = (uint32_t)page;
	}
}

/* All RAM is zero again. */
static inline void model_memory_clear(void)
{
	for (uint32_t i = 0; i < model_n_touched; i++) {
		memset(model_memory + (uint64_t)model_touched[i] * MODEL_PAGE_BYTES, 0,
		       MODEL_PAGE_BYTES);
		model_is_touched[model_touched[i]] = false;
	}
	model_n_touched = 0;
	if (model_checks_clear)
		CHECK_FILLED(model_memory, 0, model_memory_bytes);
}

void *__wrap_guest_memory_at(const struct guest_memory *memory, uint64_t gpa, uint64_t length)
{
	uint8_t *host = __real_guest_memory_at(memory, gpa, length);

	if (host == NULL)
		return NULL;
	if (length <= MODEL_RING_BYTES) {
		model_memory_touch(host, length);
	} else {
		model_memory_touch(host, 1);
		model_memory_touch(host + length - 1, 1);
	}
	return host;
}

bool __wrap_guest_memory_write(const struct guest_memory *memory, uint64_t gpa, const void *data,
			       size_t length)
{
	model_memory_touch(__real_guest_memory_at(memory, gpa, length), length);
	return __real_guest_memory_write(memory, gpa, data, length);
}

void __wrap_guest_memory_copy(void *to, const void *from, size_t bytes)
{
	model_memory_touch(to, bytes);
	__real_guest_memory_copy(to, from, bytes);
}

#include "tests/fuzz/model/end.h"

#endif
