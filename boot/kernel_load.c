/* SPDX-License-Identifier: MIT */
#include "boot/kernel_load.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "boot/bzimage.h"
#include "boot/elf.h"

#define SETUP_BOOT_FLAG_OFFSET 0x1fe
#define SETUP_MAGIC_OFFSET     0x202

static bool looks_like_bzimage(const uint8_t *head)
{
	return head[SETUP_BOOT_FLAG_OFFSET] == 0x55 && head[SETUP_BOOT_FLAG_OFFSET + 1] == 0xaa &&
	       memcmp(head + SETUP_MAGIC_OFFSET, "HdrS", 4) == 0;
}

/* Common mistakes, which the message names; the first match wins. */
static const struct {
	size_t offset, bytes;
	const char *magic, *what;
} foreign[] = {
	{ 0, 2, "\x1f\x8b", " (this is a gzip file: unpack it first)" },
	{ 0, 5, "\xfd\x37zXZ", " (this is an xz file: unpack it first)" },
	{ 0, 4, "\x28\xb5\x2f\xfd", " (this is a zstd file: unpack it first)" },
	{ 0, 3, "BZh", " (this is a bzip2 file: unpack it first)" },
	{ 0, 2, "MZ", " (this is an EFI or DOS program without a Linux x86 setup header)" },
	{ 0x38, 4, "ARM\x64", " (this is an arm64 kernel)" },
	{ 0, 2, "#!", " (this is a script)" },
	{ 0, 4, "QFI\xfb", " (this is a qcow2 disk image)" },
	{ 0, 4, "KDMV", " (this is a VMDK disk image)" },
	{ 0, 8, "conectix", " (this is a VHD disk image)" },
	{ 0, 8, "vhdxfile", " (this is a VHDX disk image)" },
	{ 0, 6, "070701", " (this is a cpio archive, such as an initrd)" },
	{ 0x438, 2, "\x53\xef", " (this is an ext2, ext3 or ext4 file system)" },
	{ SETUP_BOOT_FLAG_OFFSET, 2, "\x55\xaa", " (this is a disk image with a boot sector)" },
};

static const char *describe_foreign(const uint8_t *head)
{
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (memcmp(head + foreign[i].offset, foreign[i].magic, foreign[i].bytes) == 0)
			return foreign[i].what;
	return "";
}

bool kernel_load(struct kernel_image *image, const struct guest_memory *memory,
		 const struct input_file *file, uint64_t initrd_bytes, struct error_text *error)
{
	uint8_t head[KERNEL_HEAD_BYTES] = { 0 };
	size_t head_bytes = file->bytes < sizeof(head) ? (size_t)file->bytes : sizeof(head);

	if (!input_file_read(file, head, head_bytes, 0))
		return error_set_errno(error, "cannot read it: %s",
				       errno ? strerror(errno) : "the file became shorter");
	*image = (struct kernel_image){ 0 };
	if (looks_like_bzimage(head))
		return bzimage_load(image, memory, file, initrd_bytes, head, error);
	if (memcmp(head, ELFMAG, SELFMAG) == 0)
		return elf_load(image, memory, file, initrd_bytes, head, error);
	return error_set(error, "expected a bzImage or an ELF vmlinux for x86-64%s",
			 describe_foreign(head));
}
