/* SPDX-License-Identifier: MIT */
/*
 * Runs a command beside a disk that does not do as it should:
 *
 *     fuse_disk DIRECTORY BYTES [hang=OPERATIONS] [delay=MS] -- COMMAND...
 *
 * DIRECTORY/disk is the disk, for the command alone. OPERATIONS are letters: r, w, f (fsync), a (fallocate). Exits 77
 * where this machine has no FUSE, or does not let us.
 */
#include "tests/unit/fuse_disk.h"

static unsigned operations(const char *letters)
{
	static const struct {
		char letter;
		unsigned operation;
	} names[] = { { 'r', FUSE_DISK_READ },
		      { 'w', FUSE_DISK_WRITE },
		      { 'f', FUSE_DISK_FSYNC },
		      { 'a', FUSE_DISK_FALLOCATE } };
	unsigned set = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strchr(letters, names[i].letter) != NULL)
			set |= names[i].operation;
	return set;
}

int main(int argc, char **argv)
{
	struct fuse_disk *disk =
		argc < 5 ? NULL : fuse_disk_mount(argv[1], strtoull(argv[2], NULL, 10));

	if (disk == NULL) {
		perror("fuse_disk: no FUSE here");
		return 77;
	}
	for (int i = 3; i < argc - 1; i++) {
		if (strncmp(argv[i], "hang=", 5) == 0) {
			disk->hang = operations(argv[i] + 5);
		} else if (strncmp(argv[i], "delay=", 6) == 0) {
			disk->delay_ms = (unsigned)atoi(argv[i] + 6);
		} else {
			execvp(argv[i + 1], argv + i + 1);
			break;
		}
	}
	perror("fuse_disk");
	return 1;
}
