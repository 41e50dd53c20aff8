/* SPDX-License-Identifier: MIT */
/*
 * clone-mark: an init for restore.sh's Linux guests. It uses some memory, waits until what the boot has begun is done, writes a byte to the console, and
 * asks the boot timer's page for a snapshot. What goes on from there writes another byte at once, shows the boot timer that it runs,
 * and resets the machine. With bytes=N of the environment, which is the kernel's command line, it writes so many and goes on writing
 * nothing: a monitor that does not know that page is asked for the snapshot by its API meanwhile.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>

#define PAGE_GPA          0xc0000000 /* mem/layout.h */
#define PAGE_BYTES        4096
#define USERSPACE_REACHED 123
#define SNAPSHOT_WANTED   124
#define USED_BYTES        (14 << 20) /* with what the kernel has: 26 MiB */

static uint8_t used[USED_BYTES];

int main(void)
{
	const char *bytes = getenv("bytes");
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	volatile uint8_t *page =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE_GPA);

	if (page == MAP_FAILED)
		return 1;
	memset(used, 1, sizeof(used));
	sleep(1);
	if (write(STDOUT_FILENO, "w", 1) != 1)
		return 1;
	*page = SNAPSHOT_WANTED;
	for (long left = bytes == NULL ? 1 : atol(bytes); left > 0; left--)
		if (write(STDOUT_FILENO, "@", 1) != 1)
			return 1;
	while (bytes != NULL)
		pause();
	*page = USERSPACE_REACHED;
	return reboot(RB_AUTOBOOT);
}
