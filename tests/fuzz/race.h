/* SPDX-License-Identifier: MIT */
/*
 * A second vCPU, for the fuzzers of what a guest reaches: while the first one and the event loop do what the input says
 * (this thread), another rewrites the rings, the tables and the requests in them, kicks, and reads and writes registers.
 * The same input is its program, from the end on, again and again. Only with RACE, which NAME_race.c sets before it
 * includes NAME.c; else there is no second one.
 */
#ifndef TESTS_FUZZ_RACE_H
#define TESTS_FUZZ_RACE_H

#include "tests/fuzz/fuzz.h"

#ifdef RACE
#define RACING true
#else
#define RACING false
#endif

/* A stretch of guest memory that is worth it. */
struct race_place {
	uint64_t gpa;
	uint32_t bytes;
};

/* The rest of a step is the fuzzer's own: registers and kicks. */
typedef void race_step_fn(struct fuzz_input *input);

#ifdef RACE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static struct {
	bool has_thread;
	const struct guest_memory *memory;
	const struct race_place *places;
	unsigned n_places;
	race_step_fn *step;
	uint8_t program[256];
	size_t bytes;
	atomic_uint input; /* which one it is */
	atomic_bool runs, in_step;
} race;

/* One write as a processor does it, to a place that is aligned for it. */
static inline void race_write(uint8_t kind, struct fuzz_input *input)
{
	const struct race_place *place = &race.places[fuzz_byte(input) % race.n_places];
	uint64_t offset = fuzz_u16(input) % place->bytes & ~7ull, value = fuzz_number(input);
	uint8_t *at = guest_memory_at(race.memory, place->gpa + offset, 8);

	if (at == NULL)
		return;
	if (kind & 4) /* what stands there, and a little more */
		value = __atomic_load_n((uint16_t *)(void *)at, __ATOMIC_RELAXED) + (value & 3);
	switch (kind & 3) {
	case 0:
		__atomic_store_n((uint64_t *)(void *)at, value, __ATOMIC_RELAXED);
		break;
	case 1:
		__atomic_store_n((uint32_t *)(void *)(at + (value >> 8 & 4)), (uint32_t)value,
				 __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n((uint16_t *)(void *)(at + (value >> 8 & 6)), (uint16_t)value,
				 __ATOMIC_RELAXED);
	}
}

static inline void race_do_step(struct fuzz_input *input)
{
	uint8_t kind = fuzz_byte(input);

	if (kind < 0xc0 || race.step == NULL)
		race_write(kind, input);
	else
		race.step(input);
}

/* From the first input to the fuzzer's end: to make a thread takes longer than most inputs. */
static inline void *race_thread(void *unused)
{
	struct fuzz_input input = { NULL, 0 };
	unsigned known = 0;

	for (;;) {
		if (!atomic_load(&race.runs)) {
			sched_yield();
			continue;
		}
		atomic_store(&race.in_step, true);
		if (atomic_load(&race.runs)) {
			unsigned current = atomic_load(&race.input);
			if (current != known || input.left == 0)
				input = (struct fuzz_input){ race.program, race.bytes };
			known = current;
			race_do_step(&input);
		}
		atomic_store(&race.in_step, false);
	}
	return unused;
}

static inline void race_begin(const struct guest_memory *memory, const struct race_place *places,
			      unsigned n_places, race_step_fn *step, const uint8_t *data,
			      size_t bytes)
{
	pthread_t thread;

	race.memory = memory;
	race.places = places;
	race.n_places = n_places;
	race.step = step;
	race.bytes = bytes < sizeof(race.program) ? bytes : sizeof(race.program);
	for (size_t i = 0; i < race.bytes; i++)
		race.program[i] = data[bytes - 1 - i];
	atomic_fetch_add(&race.input, 1);
	atomic_store(&race.runs, race.bytes > 0);
	if (!race.has_thread)
		CHECK(pthread_create(&thread, NULL, race_thread, NULL) == 0);
	race.has_thread = true;
}

/* From here on there is one vCPU. */
static inline void race_end(void)
{
	atomic_store(&race.runs, false);
	while (atomic_load(&race.in_step))
		sched_yield();
}
#else
static inline void race_begin(const struct guest_memory *memory, const struct race_place *places,
			      unsigned n_places, race_step_fn *step, const uint8_t *data,
			      size_t bytes)
{
	(void)memory, (void)places, (void)n_places, (void)step, (void)data, (void)bytes;
}

static inline void race_end(void)
{
}
#endif

#endif
