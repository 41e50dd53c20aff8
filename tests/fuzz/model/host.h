/* SPDX-License-Identifier: MIT */
/* The host of a fuzzer: the model, or with a second vCPU (race.h) the real one. Before any other header of tests/unit. */
#ifndef TESTS_FUZZ_MODEL_HOST_H
#define TESTS_FUZZ_MODEL_HOST_H

#ifdef RACE
#include "tests/fuzz/fuzz.h"

static inline void host_own_memory(const struct guest_memory *memory)
{
	(void)memory;
}

static inline void host_clear_memory(const struct guest_memory *memory)
{
	fuzz_clear_memory(memory);
}

static inline void host_own_file(int fd, int copy, size_t room)
{
	(void)fd, (void)copy, (void)room;
}

static inline void host_set_policy(uint8_t policy)
{
	(void)policy;
}

static inline bool host_pass_time(void)
{
	return false;
}

static inline void host_name_file(const char *path)
{
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}
#else
#include "tests/fuzz/model/ring.h"

/* From now on what is written to it is recorded. */
static inline void host_own_memory(const struct guest_memory *memory)
{
	model_memory_begin(memory);
}

static inline void host_clear_memory(const struct guest_memory *memory)
{
	(void)memory;
	model_memory_clear();
}

/* Of at most `room` bytes; copy: another descriptor of it, or -1. */
static inline void host_own_file(int fd, int copy, size_t room)
{
	model_adopt(fd, room);
	if (copy >= 0)
		model_adopt_copy(fd, copy);
}

/* In which order operations complete. */
static inline void host_set_policy(uint8_t policy)
{
	model_ring.policy = (enum model_policy)(policy % MODEL_POLICIES);
}

/* Until the next timer, or a second. False: time is not the fuzzer's to pass. */
static inline bool host_pass_time(void)
{
	model_pass_time(1000000000);
	return true;
}

/* A file that is no socket. */
static inline void host_name_file(const char *path)
{
	struct model_object *object = model_make(MODEL_FILE);

	object->references = 1;
	snprintf(object->path, sizeof(object->path), "%s", path);
}
#endif

#endif
