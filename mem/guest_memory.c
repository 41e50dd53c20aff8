/* SPDX-License-Identifier: MIT */
#include "mem/guest_memory.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/mman.h>

#include "host/ioctl.h"
#include "mem/layout.h"
#include "mem/page.h"

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26) /* musl 1.2.3 does not know it */
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4 /* Linux 5.7, for a file's memory 5.13; musl 1.2.3 does not know it */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; musl 1.2.3 does not know it */
#endif

/* NULL: it was not mapped. */
static bool set_regions(struct guest_memory *memory, uint8_t *host, uint64_t bytes)
{
	if (host == NULL)
		return false;
	memory->host = host;
	memory->bytes = bytes;
	memory->low_bytes = bytes < LAYOUT_MMIO_HOLE_GPA ? bytes : LAYOUT_MMIO_HOLE_GPA;
	memory->high_bytes = bytes - memory->low_bytes;
	/* Guest memory in a core dump is a leak. */
	madvise(host, bytes, MADV_DONTDUMP);
	return true;
}

/* NULL: there is no room. */
static uint8_t *map(void *at, uint64_t bytes, int flags, int fd, uint64_t offset)
{
	void *mapped = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | flags,
			    fd, (off_t)offset);

	return mapped == MAP_FAILED ? NULL : mapped;
}

/* How far it is above a place where a huge page may begin. */
static size_t above(const void *address)
{
	return (uintptr_t)address & (HUGE_PAGE_BYTES - 1);
}

/* A huge page can only back the guest where host and guest address agree modulo 2 MiB. */
static uint8_t *map_aligned(uint64_t bytes, int flags, int fd, uint64_t offset)
{
	/* Right below this program, where there is nearly always room: one call. */
	uint8_t *program = (uint8_t *)map;
	uint8_t *below = bytes < (uintptr_t)program / 2 ? program - above(program) - bytes : NULL;
	uint8_t *mapped = map(below, bytes, flags, fd, offset);

	if (mapped == NULL || above(mapped) == 0)
		return mapped;
	munmap(mapped, bytes);
	/* What is too much of it stays, and nobody may touch it. */
	mapped = mmap(NULL, bytes + HUGE_PAGE_BYTES, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapped == MAP_FAILED)
		return NULL;
	return map(mapped + HUGE_PAGE_BYTES - above(mapped), bytes, flags | MAP_FIXED, fd, offset);
}

bool guest_memory_map(struct guest_memory *memory, uint64_t bytes)
{
	return set_regions(memory, map_aligned(bytes, MAP_ANONYMOUS, -1, 0), bytes);
}

bool guest_memory_map_hugetlb(struct guest_memory *memory, uint64_t bytes)
{
	/* With a reservation: a page that is not there later would be a SIGBUS. */
	uint8_t *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);

	return set_regions(memory, mapped == MAP_FAILED ? NULL : mapped, bytes);
}

bool guest_memory_map_file(struct guest_memory *memory, uint64_t bytes, int fd, uint64_t offset)
{
	return set_regions(memory, map_aligned(bytes, 0, fd, offset), bytes);
}

/* Moved, not unmapped: the latter would free each page. */
bool guest_memory_replace(const struct guest_memory *memory, int fd, uint64_t offset)
{
	/* The kernel takes the last one for a wish. */
	return mremap(memory->host, memory->bytes, memory->bytes, MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
		      NULL) != MAP_FAILED &&
	       map(memory->host, memory->bytes, MAP_FIXED, fd, offset) != NULL &&
	       madvise(memory->host, memory->bytes, MADV_DONTDUMP) == 0;
}

void guest_memory_prefer_huge_pages(const struct guest_memory *memory)
{
	/* Advice: a host without transparent huge pages is slower, not wrong. */
	madvise(memory->host, memory->bytes, MADV_HUGEPAGE);
}

void guest_memory_avoid_huge_pages(const struct guest_memory *memory)
{
	madvise(memory->host, memory->bytes, MADV_NOHUGEPAGE);
}

static bool register_slot(int vm_fd, uint32_t slot, uint64_t gpa, uint8_t *host, uint64_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)host,
	};

	return bytes == 0 || host_ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) == 0;
}

bool guest_memory_register(const struct guest_memory *memory, int vm_fd)
{
	return register_slot(vm_fd, 0, 0, memory->host, memory->low_bytes) &&
	       register_slot(vm_fd, 1, LAYOUT_ABOVE_4G_GPA, memory->host + memory->low_bytes,
			     memory->high_bytes);
}

void guest_memory_unmap(struct guest_memory *memory)
{
	munmap(memory->host, memory->bytes);
	*memory = (struct guest_memory){ 0 };
}

void *guest_memory_at(const struct guest_memory *memory, uint64_t gpa, uint64_t length)
{
	uint64_t region_bytes = memory->low_bytes, offset = gpa;
	uint8_t *host = memory->host;

	if (gpa >= LAYOUT_ABOVE_4G_GPA) {
		region_bytes = memory->high_bytes;
		offset = gpa - LAYOUT_ABOVE_4G_GPA;
		host += memory->low_bytes;
	}
	/* No sum of guest values is formed, so nothing can wrap. */
	if (length == 0 || offset >= region_bytes || length > region_bytes - offset)
		return NULL;
	return host + offset;
}

uint64_t guest_memory_gpa(const struct guest_memory *memory, uint64_t offset)
{
	return offset < memory->low_bytes ? offset
					  : offset - memory->low_bytes + LAYOUT_ABOVE_4G_GPA;
}

void guest_memory_populate(const struct guest_memory *memory, uint64_t gpa)
{
	void *host = guest_memory_at(memory, gpa & ~(PAGE_BYTES - 1), PAGE_BYTES);

	/* A read would map the host's page of zeroes, which the guest's first write splits up. */
	if (host != NULL)
		madvise(host, PAGE_BYTES, MADV_POPULATE_WRITE);
}

void guest_memory_copy(void *to, const void *from, size_t bytes)
{
#ifdef __SANITIZE_THREAD__
	/* It would report the guest as a thread that races. */
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
#else
	memcpy(to, from, bytes);
#endif
}

bool guest_memory_write(const struct guest_memory *memory, uint64_t gpa, const void *data,
			size_t length)
{
	void *host = guest_memory_at(memory, gpa, length);

	if (host == NULL)
		return false;
	memcpy(host, data, length);
	return true;
}

bool guest_memory_read(const struct guest_memory *memory, uint64_t gpa, void *data, size_t length)
{
	const void *host = guest_memory_at(memory, gpa, length);

	if (host == NULL)
		return false;
	memcpy(data, host, length);
	return true;
}
