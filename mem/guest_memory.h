/* SPDX-License-Identifier: MIT */
/*
 * Guest RAM: one anonymous mapping, one or two KVM memory slots around the hole below 4 GiB.
 * This is the only module that turns a guest-physical address into a pointer.
 */
#ifndef MEM_GUEST_MEMORY_H
#define MEM_GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_memory {
	uint8_t *host; /* bytes long, 2 MiB aligned */
	uint64_t bytes;
	uint64_t low_bytes;  /* RAM at 0, at most up to the MMIO hole */
	uint64_t high_bytes; /* RAM at 4 GiB; follows the low part in *host */
};

/* Maps `bytes` (a multiple of 4 KiB) of zeroed memory. Returns false with errno set. */
bool guest_memory_map(struct guest_memory *memory, uint64_t bytes);

/* The same in 2 MiB pages of the host's pool (hugetlb), set aside for this VM alone. `bytes` is a multiple of 2 MiB. False with
 * errno set: ENOMEM where the pool has not so many. */
bool guest_memory_map_hugetlb(struct guest_memory *memory, uint64_t bytes);

/* The content of a file instead, from `offset` on, which is a multiple of 4 KiB: shared with all who map it until it is written to,
 * and the file stays as it is. False with errno set. */
bool guest_memory_map_file(struct guest_memory *memory, uint64_t bytes, int fd, uint64_t offset);

/* The memory that there is becomes that content, at the same addresses. What there was is in nobody's way until the process ends. False
 * with errno set: then there may be no memory any more. */
bool guest_memory_replace(const struct guest_memory *memory, int fd, uint64_t offset);

/* From now on the host backs it with transparent huge pages where it has them: faster for a guest that uses much of
 * it, and 2 MiB for one that uses little. */
void guest_memory_prefer_huge_pages(const struct guest_memory *memory);

/* The opposite: 4 KiB pages only, also where the host prefers transparent huge pages. */
void guest_memory_avoid_huge_pages(const struct guest_memory *memory);

/* Gives the RAM to the VM (KVM_SET_USER_MEMORY_REGION). Returns false with errno set. */
bool guest_memory_register(const struct guest_memory *memory, int vm_fd);

void guest_memory_unmap(struct guest_memory *memory);

/* Has the host back the page at gpa, with a huge one where it can; its content stays. No effect before Linux 5.14
 * and where there is no RAM. */
void guest_memory_populate(const struct guest_memory *memory, uint64_t gpa);

/* The host address of [gpa, gpa + length), or NULL unless length is at least 1 and every byte lies
 * in one stretch of RAM. Any 64-bit gpa and length are safe to pass. */
void *guest_memory_at(const struct guest_memory *memory, uint64_t gpa, uint64_t length);

/* The guest-physical address of a place in the mapping, `offset` < bytes from its start. */
uint64_t guest_memory_gpa(const struct guest_memory *memory, uint64_t offset);

/* Copies to or from a place that guest_memory_at() gave, and that the guest may write at any moment. What comes
 * out is to be checked in the copy. */
void guest_memory_copy(void *to, const void *from, size_t bytes);

/* Copies into or out of guest RAM; false, and nothing is copied, where guest_memory_at is NULL. */
bool guest_memory_write(const struct guest_memory *memory, uint64_t gpa, const void *data,
			size_t length);
bool guest_memory_read(const struct guest_memory *memory, uint64_t gpa, void *data, size_t length);

#endif
