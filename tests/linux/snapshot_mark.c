/* SPDX-License-Identifier: MIT */
/* In a guest, as root: asks for a snapshot; a clone writes a byte to the console at once, and resets. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>

#define PAGE_GPA        0xc0000000
#define SNAPSHOT_WANTED 124

int main(void)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	volatile uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE_GPA);

	if (page == MAP_FAILED)
		return 1;
	*page = SNAPSHOT_WANTED;
	if (write(STDOUT_FILENO, "@", 1) != 1)
		return 1;
	return reboot(RB_AUTOBOOT);
}
