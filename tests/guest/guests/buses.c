/* SPDX-License-Identifier: MIT */
/* Ports and device memory: every width to claimed and unclaimed addresses, string I/O, accesses that
 * cross a window's edge, the boot timer. */
#include "rt/rt.h"

#define UNCLAIMED_PORT    0x9000
#define SERIAL_SCRATCH    0x3ff
#define SPEAKER_PORT      0x61
#define RESET_STATUS_PORT 0x64
#define BOOT_TIMER_GPA    0xc0000000u
#define VIRTIO_GPA        0xc0001000u
#define UNCLAIMED_GPA     0xc8000000u
#define VIRTIO_MAGIC      0x74726976u
#define STRING_BYTES      5000u

static uint8_t buffer[STRING_BYTES];

static void rep_outsb(uint16_t port, const void *from, size_t count)
{
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(port) : "memory");
}

static void rep_insb(uint16_t port, void *to, size_t count)
{
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

static void rep_insl(uint16_t port, void *to, size_t count)
{
	__asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

static bool all_are(uint8_t value, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (buffer[i] != value)
			return false;
	return true;
}

static void check_ports(void)
{
	outb(UNCLAIMED_PORT, 1);
	outw(UNCLAIMED_PORT, 1);
	outl(UNCLAIMED_PORT, 1);
	print_check("port 8 unclaimed", inb(UNCLAIMED_PORT) == 0xff);
	print_check("port 16 unclaimed", inw(UNCLAIMED_PORT) == 0xffff);
	print_check("port 32 unclaimed", inl(UNCLAIMED_PORT) == 0xffffffff);
	outb(SERIAL_SCRATCH, 0x5a);
	print_check("port 8 claimed", inb(SERIAL_SCRATCH) == 0x5a);
	outw(SERIAL_SCRATCH - 1, 0x1111);
	outl(SERIAL_SCRATCH, 0x11111111);
	print_check("port 16 crosses", inw(SERIAL_SCRATCH) == 0xffff);
	print_check("port 32 crosses", inl(SERIAL_SCRATCH) == 0xffffffff);
	print_check("port wide write is no byte write", inb(SERIAL_SCRATCH) == 0x5a);
	print_check("reset port status", (inb(RESET_STATUS_PORT) & 2) == 0);
	outb(RESET_STATUS_PORT, 0xaa); /* any other command resets nothing */
	uint8_t before = inb(SPEAKER_PORT);
	uint8_t after = inb(SPEAKER_PORT);
	print_check("speaker port refresh bit", ((before ^ after) & 0x10) || before != 0xff);
}

static void check_strings(void)
{
	outb(SERIAL_SCRATCH, 0xc3);
	rep_insb(SERIAL_SCRATCH, buffer, STRING_BYTES);
	print_check("rep insb claimed", all_are(0xc3, STRING_BYTES));
	rep_insl(UNCLAIMED_PORT, buffer, STRING_BYTES / 4);
	print_check("rep insl unclaimed", all_are(0xff, STRING_BYTES));
	rep_outsb(UNCLAIMED_PORT, buffer, STRING_BYTES);
	for (unsigned i = 0; i < STRING_BYTES; i++)
		buffer[i] = i % 50 == 49 ? '\n' : (uint8_t)('a' + i / 50 % 26);
	rep_outsb(SERIAL_PORT, buffer, STRING_BYTES);
	/* A count of 0 does nothing. */
	rep_outsb(SERIAL_PORT, buffer, 0);
}

static void check_memory(void)
{
	mmio_write8(UNCLAIMED_GPA, 1);
	mmio_write16(UNCLAIMED_GPA, 1);
	mmio_write32(UNCLAIMED_GPA, 1);
	mmio_write64(UNCLAIMED_GPA, 1);
	print_check("mmio 8 unclaimed", mmio_read8(UNCLAIMED_GPA) == 0xff);
	print_check("mmio 16 unclaimed", mmio_read16(UNCLAIMED_GPA) == 0xffff);
	print_check("mmio 32 unclaimed", mmio_read32(UNCLAIMED_GPA) == 0xffffffff);
	print_check("mmio 64 unclaimed", mmio_read64(UNCLAIMED_GPA) == UINT64_MAX);
	print_check("mmio last byte", mmio_read8(0xfebfffff) == 0xff);
	print_check("mmio 32 claimed", mmio_read32(VIRTIO_GPA) == VIRTIO_MAGIC);
	print_check("mmio 8 of a 32-bit register", mmio_read8(VIRTIO_GPA) == 0);
	/* Windows are pages, and KVM splits what crosses a page. The boot timer's window, which
	 * reads as 0, ends where the first virtio window begins. */
	print_check("mmio 64 crosses into another window",
		    mmio_read64(VIRTIO_GPA - 4) == (uint64_t)VIRTIO_MAGIC << 32);
	mmio_write64(VIRTIO_GPA - 4, 0);
	mmio_write64(VIRTIO_GPA + 0xffc, 0);
	print_check("mmio 64 crosses out of a window",
		    mmio_read64(VIRTIO_GPA + 0xffc) == 0xffffffff00000000);
	print_check("mmio 32 unaligned at the edge", mmio_read32(VIRTIO_GPA - 2) == 0);
}

static void check_boot_timer(void)
{
	print_check("boot timer reads 0", mmio_read8(BOOT_TIMER_GPA) == 0);
	mmio_write8(BOOT_TIMER_GPA, 122);
	mmio_write8(BOOT_TIMER_GPA + 1, 123);
	mmio_write32(BOOT_TIMER_GPA, 124);
	mmio_write8(BOOT_TIMER_GPA, 123);
	mmio_write8(BOOT_TIMER_GPA, 123);
}

void guest_main(const uint8_t *zero_page)
{
	(void)zero_page;
	check_ports();
	check_memory();
	check_boot_timer();
	check_strings();
}
