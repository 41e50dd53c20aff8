/* SPDX-License-Identifier: MIT */
/*
 * Runs in the guest: zero_range MODE DEVICE OFFSET LENGTH (bytes) asks the kernel for one operation on
 * a block device. MODE is "discard" (BLKDISCARD), "zero" (BLKZEROOUT: write zeroes that may unmap) or
 * "keep" (fallocate's zero range: the space stays allocated).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	uint64_t range[2] = { strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0) };
	int fd = open(argv[2], O_RDWR), result;

	if (strcmp(argv[1], "discard") == 0)
		result = ioctl(fd, BLKDISCARD, range);
	else if (strcmp(argv[1], "zero") == 0)
		result = ioctl(fd, BLKZEROOUT, range);
	else
		result = fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)range[0],
				   (off_t)range[1]);
	if (result < 0)
		printf("zero_range %s: %s\n", argv[1], strerror(errno));
	return result < 0;
}
