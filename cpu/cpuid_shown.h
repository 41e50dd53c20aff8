/* SPDX-License-Identifier: MIT */
/* What a guest sees of CPUID: a list, with reasons, of leaves and of single bits. */
#ifndef CPU_CPUID_SHOWN_H
#define CPU_CPUID_SHOWN_H

#include <linux/kvm.h>

/* Clears everything that is not on the list. */
void cpuid_hide(struct kvm_cpuid_entry2 *entry);

#endif
