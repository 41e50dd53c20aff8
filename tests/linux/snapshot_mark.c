/* SPDX-License-Identifier: MIT */
/* In a guest: asks for a snapshot; a clone writes a byte to the serial port at once, and resets. By /dev/port: the emulated machine of
 * the tests grants no port to a restored guest's user. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_GPA        0xc0000000
#define SNAPSHOT_WANTED 124
#define SERIAL_PORT     0x3f8
#define I8042_PORT      0x64

int main(void)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC), ports = open("/dev/port", O_RDWR);
	volatile uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE_GPA);

	if (page == MAP_FAILED)
		return 1;
	*page = SNAPSHOT_WANTED;
	pwrite(ports, "@", 1, SERIAL_PORT);
	pwrite(ports, "\xfe", 1, I8042_PORT);
	pause();
	return 1;
}
