/* SPDX-License-Identifier: MIT */
/* A console without a guest: the real UART on the real ring. The test is its driver, and the person at the terminal. */
#ifndef TESTS_UNIT_CONSOLE_RIG_H
#define TESTS_UNIT_CONSOLE_RIG_H

#include "io/console.h"

#include <fcntl.h>

#include "tests/unit/check.h"
#include "tests/unit/ring_rig.h"

/* The UART's registers. */
#define DATA 0
#define IER  1
#define IIR  2
#define LSR  5

static struct exit_request exit_request;
static struct console console;
static int keyboard_fd, screen_fd; /* the person's ends of stdin and stdout */

static inline uint8_t access_register(uint64_t reg, bool is_write, uint8_t value)
{
	struct bus_access access = { reg, 1, is_write, &value };

	serial_access(&console.serial, &access);
	return value;
}

static inline uint8_t in(uint64_t reg)
{
	return access_register(reg, false, 0);
}

static inline void out(uint64_t reg, uint8_t value)
{
	access_register(reg, true, value);
}

/* stdin and stdout become pipes. */
static inline void console_rig_plug(void)
{
	int input[2], output[2];

	CHECK(pipe2(input, O_CLOEXEC) == 0 && pipe2(output, O_CLOEXEC) == 0);
	CHECK(dup2(input[0], 0) == 0 && dup2(output[1], 1) == 1);
	close(input[0]);
	close(output[1]);
	keyboard_fd = input[1];
	screen_fd = output[0];
}

static inline void console_rig_open(const struct file_name *file)
{
	ring_open(&rig_ring, 128);
	exit_request_open(&exit_request, &rig_ring);
	console_open(&console, file, &rig_vm_fd, &rig_ring, &exit_request);
}

static inline void console_rig_start(void)
{
	ring_start(&rig_ring);
	exit_request_start(&exit_request);
	console_start(&console);
}

static inline void console_rig_close(void)
{
	ring_close(&rig_ring);
	console_close(&console);
	close(console.wake.fd);
	close(exit_request.posted.fd);
}

#endif
