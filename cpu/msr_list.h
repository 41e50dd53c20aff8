/* SPDX-License-Identifier: MIT */
/* The registers that KVM names for a vCPU's state (KVM_GET_MSR_INDEX_LIST) but Hyper-V's, and those that older kernels leave out; some
 * twice. */
#ifndef CPU_MSR_LIST_H
#define CPU_MSR_LIST_H

#include <stdbool.h>
#include <stdint.h>

#define MSR_LIST_MAX 768u

struct msr_list {
	uint32_t n;
	uint32_t indices[MSR_LIST_MAX];
};

/* While /dev/kvm is open. False with errno. */
bool msr_list_learn(struct msr_list *list, int kvm_fd);

/* Looks from the place *at on, which is then behind the one found: whoever asks in the list's order finds each at once. */
bool msr_list_has(const struct msr_list *list, uint32_t index, uint32_t *at);

#endif
