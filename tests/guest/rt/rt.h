/* SPDX-License-Identifier: MIT */
/* The guests' library: what a program without an operating system needs. start.S tells how a guest
 * begins. */
#ifndef TESTS_GUEST_RT_RT_H
#define TESTS_GUEST_RT_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIAL_PORT 0x3f8

/* The zero page's fields that guests look at (Linux boot protocol). */
#define ZERO_PAGE_E820_ENTRIES  0x1e8
#define ZERO_PAGE_RAMDISK_IMAGE 0x218
#define ZERO_PAGE_RAMDISK_BYTES 0x21c
#define ZERO_PAGE_CMDLINE       0x228
#define ZERO_PAGE_E820_TABLE    0x2d0

/* The guest itself. */
void guest_main(const uint8_t *zero_page);

/* Resets the PC through the i8042. */
_Noreturn void guest_reset(void);

/* On the serial port, without looking at its status: the monitor holds the vCPU while its buffer is
 * full. */
void print(const char *text);
void print_bytes(const void *data, size_t length);
void print_hex(uint64_t value);                      /* as few lower-case digits as it needs */
void print_number(const char *name, uint64_t value); /* "name 0x1f\n" */
void print_check(const char *name, bool ok);         /* "name ok\n" or "name FAILED\n" */

/* A word of the kernel command line that begins with `name` ("rounds="): what follows it, else
 * NULL. */
const char *cmdline_value(const uint8_t *zero_page, const char *name);
uint64_t cmdline_number(const uint8_t *zero_page, const char *name, uint64_t absent);

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memset(void *to, int value, size_t length);

static inline uint32_t load32(const uint8_t *at)
{
	return *(const uint32_t *)at;
}

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* One access of the named width, in an instruction that every KVM emulates. */
static inline uint8_t mmio_read8(uint64_t gpa)
{
	uint8_t value;

	__asm__ volatile("movb (%1), %0" : "=a"(value) : "r"(gpa) : "memory");
	return value;
}

static inline uint16_t mmio_read16(uint64_t gpa)
{
	uint16_t value;

	__asm__ volatile("movw (%1), %0" : "=a"(value) : "r"(gpa) : "memory");
	return value;
}

static inline uint32_t mmio_read32(uint64_t gpa)
{
	uint32_t value;

	__asm__ volatile("movl (%1), %0" : "=a"(value) : "r"(gpa) : "memory");
	return value;
}

static inline uint64_t mmio_read64(uint64_t gpa)
{
	uint64_t value;

	__asm__ volatile("movq (%1), %0" : "=a"(value) : "r"(gpa) : "memory");
	return value;
}

static inline void mmio_write8(uint64_t gpa, uint8_t value)
{
	__asm__ volatile("movb %0, (%1)" ::"a"(value), "r"(gpa) : "memory");
}

static inline void mmio_write16(uint64_t gpa, uint16_t value)
{
	__asm__ volatile("movw %0, (%1)" ::"a"(value), "r"(gpa) : "memory");
}

static inline void mmio_write32(uint64_t gpa, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" ::"a"(value), "r"(gpa) : "memory");
}

static inline void mmio_write64(uint64_t gpa, uint64_t value)
{
	__asm__ volatile("movq %0, (%1)" ::"a"(value), "r"(gpa) : "memory");
}

static inline uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" ::: "memory");
}

static inline void wait_tsc(uint64_t ticks)
{
	uint64_t start = read_tsc();

	while (read_tsc() - start < ticks)
		cpu_pause();
}

static inline void compiler_barrier(void)
{
	__asm__ volatile("" ::: "memory");
}

#endif
