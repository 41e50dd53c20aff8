/* SPDX-License-Identifier: MIT */
/*
 * boot-mark: an init that does nothing but show that userspace runs. bench/boot-time.sh boots it as
 * init=/sbin/boot-mark: it writes one line to the first serial port, past the kernel's driver, which
 * a monitor's fastest command line leaves out; then to vmm's boot timer, which other monitors do not have and
 * ignore; and resets the machine.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/reboot.h>

#define COM1              0x3f8
#define BOOT_TIMER_GPA    0xc0000000 /* mem/layout.h */
#define PAGE_BYTES        4096
#define USERSPACE_REACHED 123

static void mark_boot_timer(void)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	volatile uint8_t *timer =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, BOOT_TIMER_GPA);

	if (timer != MAP_FAILED)
		*timer = USERSPACE_REACHED;
}

int main(void)
{
	static const char text[] = "@UP@\n";

	if (iopl(3) == 0)
		for (const char *at = text; *at; at++)
			outb((unsigned char)*at, COM1);
	mark_boot_timer();
	reboot(RB_AUTOBOOT);
	return 1;
}
