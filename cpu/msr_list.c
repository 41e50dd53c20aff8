/* SPDX-License-Identifier: MIT */
#include "cpu/msr_list.h"

#include <linux/kvm.h>
#include <stddef.h>

#include "host/ioctl.h"

#define MEMORY_TYPES_MAX 64u
/* Hyper-V's, which no guest of ours sees: KVM lets only a monitor set them, and makes room for more of it then. */
#define HYPERV_FIRST 0x40000000u
#define HYPERV_LAST  0x400001ffu

/* Memory types, which a guest's firmware sets: first and last index. */
static const uint32_t memory_types[][2] = {
	{ 0x200, 0x20f }, { 0x250, 0x250 }, { 0x258, 0x259 }, { 0x268, 0x26f }, { 0x2ff, 0x2ff },
};

bool msr_list_has(const struct msr_list *list, uint32_t index, uint32_t *at)
{
	for (uint32_t n = 0; n < list->n; n++) {
		*at = *at < list->n ? *at : 0;
		if (list->indices[(*at)++] == index)
			return true;
	}
	return false;
}

_Static_assert(offsetof(struct msr_list, indices) == sizeof(struct kvm_msr_list),
	       "the indices follow the number, as KVM writes them");

bool msr_list_learn(struct msr_list *list, int kvm_fd)
{
	const unsigned n_ranges = sizeof(memory_types) / sizeof(memory_types[0]);
	uint32_t n = 0;

	list->n = MSR_LIST_MAX - MEMORY_TYPES_MAX;
	if (host_ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
		return false;
	for (uint32_t i = 0; i < list->n; i++)
		if (list->indices[i] < HYPERV_FIRST || list->indices[i] > HYPERV_LAST)
			list->indices[n++] = list->indices[i];
	list->n = n;
	for (unsigned i = 0; i < n_ranges; i++)
		for (uint32_t index = memory_types[i][0]; index <= memory_types[i][1]; index++)
			list->indices[list->n++] = index;
	return true;
}
