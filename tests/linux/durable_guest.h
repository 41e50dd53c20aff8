/* SPDX-License-Identifier: MIT */
/* What the parts of the durability tests' guest share. */
#ifndef TESTS_LINUX_DURABLE_GUEST_H
#define TESTS_LINUX_DURABLE_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#define SECTOR 512u
#define BLOCK  4096u

uint32_t random_below(uint32_t n);
void seed(uint64_t number);

/* The guest ends if it is not so. */
void must(bool is_well, const char *what, unsigned number);

_Noreturn void end(int code);

/* Sectors tell where they were written and when: no two are the same. */
void stamp(uint8_t *data, const char *magic, uint32_t n, uint32_t sector);

/* Puts a record into a sector of the log. */
void note(const void *record, uint32_t sector);

/* Opens the log. */
void note_begin(void);

/* Works on /dev/vdc as writer number `writer`, until the log is full. */
void work_raw(unsigned writer);

/* Writes and removes files, and flushes nothing, for ever. */
_Noreturn void make_noise(void);

#endif
