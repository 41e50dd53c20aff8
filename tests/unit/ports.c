/* SPDX-License-Identifier: MIT */
/* The small devices on the buses: what ends the VM, what never does, and what a probing driver reads. */
#include <fcntl.h>

#include "boot/reset_vector.h"
#include "host/error.h"
#include "io/boot_timer.h"
#include "io/cmos.h"
#include "io/exit_port.h"
#include "io/reset_port.h"
#include "io/sleep_port.h"
#include "mem/layout.h"
#include "tests/unit/ring_rig.h"

static struct bus ports, mmio;
static struct exit_request exit_request;
static struct boot_timer timer;

static uint8_t in(const struct bus *bus, uint64_t address)
{
	uint8_t value = 0xee;

	bus_access(bus, address, &value, 1, false);
	return value;
}

static void out(const struct bus *bus, uint64_t address, uint8_t value)
{
	bus_access(bus, address, &value, 1, true);
}

static int status(void)
{
	return exit_request_status(&exit_request);
}

/* Every value of the port but one leaves the VM alone; that one ends it. */
static void only_ends(uint64_t port, unsigned end, unsigned mask)
{
	for (unsigned value = 0; value < 256; value++)
		if ((value & mask) != (end & mask))
			out(&ports, port, (uint8_t)value);
	CHECK_EQ(status(), EXIT_REQUEST_NONE);
	out(&ports, port, (uint8_t)end);
	CHECK_EQ(status(), EXIT_GUEST_ENDED);
	exit_request.status = EXIT_REQUEST_NONE;
}

static void test_reset_port(void)
{
	reset_port_attach(&ports, &exit_request);
	CHECK_EQ(in(&ports, LAYOUT_I8042_COMMAND), 1);
	CHECK_EQ(in(&ports, LAYOUT_I8042_DATA), 0);
	for (unsigned value = 0; value < 256; value++)
		out(&ports, LAYOUT_I8042_DATA, (uint8_t)value);
	only_ends(LAYOUT_I8042_COMMAND, RESET_PORT_RESET, 0xff);
}

static void test_sleep_port(void)
{
	sleep_port_attach(&ports, &exit_request);
	for (unsigned i = 0; i < LAYOUT_SLEEP_PORTS; i++)
		CHECK_EQ(in(&ports, LAYOUT_SLEEP_PORT + i), 0);
	for (unsigned value = 0; value < 256; value++)
		out(&ports, LAYOUT_SLEEP_PORT + 1, (uint8_t)value);
	/* Its type, and the bit that enables it. */
	only_ends(LAYOUT_SLEEP_PORT, SLEEP_PORT_TYPE_S5 << 2 | 0x20, 0x3c);
}

static void test_exit_port(void)
{
	exit_port_attach(&ports, &exit_request);
	CHECK_EQ(in(&ports, LAYOUT_EXIT_PORT), 0);
	CHECK_EQ(status(), EXIT_REQUEST_NONE);
	out(&ports, LAYOUT_EXIT_PORT, 77);
	out(&ports, LAYOUT_EXIT_PORT, 78);
	CHECK_EQ(status(), EXIT_GUEST_STATUS + 77);
	exit_request.status = EXIT_REQUEST_NONE;
}

static void test_cmos(void)
{
	cmos_attach(&ports);
	for (unsigned i = 0; i < 256; i++) {
		out(&ports, LAYOUT_CMOS_PORT, (uint8_t)i);
		CHECK_EQ(in(&ports, LAYOUT_CMOS_PORT + 1), 0);
	}
	CHECK_EQ(status(), EXIT_REQUEST_NONE);
}

/* Only the first write of 123 counts; there is one line at most. */
static void test_boot_timer(void)
{
	static const char words[] = "vmm: boot-timer: process_start_us=";
	int ends[2], old_stderr = fcntl(2, F_DUPFD_CLOEXEC, 10);
	char line[1024] = "";

	CHECK(pipe2(ends, O_CLOEXEC) == 0 && dup2(ends[1], 2) == 2);
	boot_timer_start(&timer);
	boot_timer_attach(&timer, &mmio, true);
	CHECK(boot_timer_mark(&timer, BOOT_VM_CREATED));
	CHECK(!boot_timer_mark(&timer, BOOT_VM_CREATED));
	CHECK_EQ(in(&mmio, LAYOUT_BOOT_TIMER_GPA), 0);
	for (unsigned value = 0; value < 256; value++) {
		out(&mmio, LAYOUT_BOOT_TIMER_GPA + 1, (uint8_t)value);
		if (value != 123)
			out(&mmio, LAYOUT_BOOT_TIMER_GPA, (uint8_t)value);
	}
	CHECK_EQ(timer.phase_ns[BOOT_USERSPACE], 0);
	out(&mmio, LAYOUT_BOOT_TIMER_GPA, 123);
	int64_t reached = timer.phase_ns[BOOT_USERSPACE];
	CHECK(reached > 0);
	out(&mmio, LAYOUT_BOOT_TIMER_GPA, 123);
	CHECK_EQ(timer.phase_ns[BOOT_USERSPACE], reached);
	CHECK(dup2(old_stderr, 2) == 2);
	close(ends[1]);
	ssize_t n = read(ends[0], line, sizeof(line) - 1);
	CHECK(n > 0 && strncmp(line, words, sizeof(words) - 1) == 0);
	CHECK(strchr(line, '\n') == line + n - 1);
	close(ends[0]);
}

/* Where Linux jumps when nothing else has reset the machine: the way to the reset port, and nothing behind it. */
static void test_reset_vector(void)
{
	struct guest_memory memory;
	uint8_t code[8];

	CHECK(guest_memory_map(&memory, 2 << 20));
	CHECK(reset_vector_write(&memory));
	CHECK(guest_memory_read(&memory, LAYOUT_RESET_VECTOR_GPA, code, sizeof(code)));
	CHECK_BYTES(code, "\xb0\xfe\xe6\x64\xf4\xeb\xfd", 7);
	memory.low_bytes = LAYOUT_RESET_VECTOR_GPA;
	CHECK(!reset_vector_write(&memory));
	memory.low_bytes = memory.bytes;
	guest_memory_unmap(&memory);
}

int main(void)
{
	ring_open(&rig_ring, 16);
	exit_request_open(&exit_request, &rig_ring);
	RUN(test_reset_port);
	RUN(test_sleep_port);
	RUN(test_exit_port);
	RUN(test_cmos);
	RUN(test_boot_timer);
	RUN(test_reset_vector);
	ring_close(&rig_ring);
	return 0;
}
