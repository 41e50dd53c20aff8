/* SPDX-License-Identifier: MIT */
/* KVM, for what restores a machine: it reads all that it is given, as the kernel copies it, checks what it would take as it is, and
 * fails at the call that the fuzzer names. */
#ifndef TESTS_FUZZ_MODEL_KVM_H
#define TESTS_FUZZ_MODEL_KVM_H

#include <linux/kvm.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "cpu/vcpu_state.h"
#include "mem/layout.h"
#include "tests/unit/check.h"

#define MODEL_KVM_FD      (-3)
#define MODEL_TSC_KHZ     2000000
#define MODEL_XSAVE_BYTES 4096u

static const uint32_t model_msrs[] = { 0x174,      0x175,      0x176,      0xc0000081,
				       0xc0000082, 0xc0000102, 0x4b564d01, 0x4b564d02,
				       0x10,       0x11,       0x40000000, 0x400000b0 };
#define MODEL_MSRS (sizeof(model_msrs) / sizeof(model_msrs[0]))

static struct model_kvm {
	unsigned calls_left; /* until one fails; 0: none does */
	int error;
	unsigned n_msrs_set;         /* calls */
	const struct msr_list *msrs; /* no others are set, but the TSC's deadline */
} model_kvm;

static inline void model_check_msrs(const struct kvm_msrs *msrs)
{
	CHECK(msrs->nmsrs <= MSR_LIST_MAX);
	for (uint32_t i = 0; i < msrs->nmsrs; i++) {
		uint32_t index = msrs->entries[i].index, at = 0;
		CHECK(index == 0x6e0 || msr_list_has(model_kvm.msrs, index, &at));
		CHECK(index >> 16 != 0x4000); /* Hyper-V's, which a guest cannot set */
	}
	model_kvm.n_msrs_set++;
}

/* What KVM would take as it is. */
static inline void model_check_argument(unsigned request, const void *argument)
{
	const struct kvm_irqchip *chip = argument;
	const struct kvm_vcpu_events *events = argument;
	const struct kvm_pit_state2 *pit = argument;

	if (request == (unsigned)KVM_SET_IRQCHIP)
		CHECK(chip->chip_id < 2 || (chip->chip_id == KVM_IRQCHIP_IOAPIC &&
					    chip->chip.ioapic.base_address == LAYOUT_IOAPIC_GPA));
	if (request == (unsigned)KVM_SET_VCPU_EVENTS)
		CHECK(!events->smi.smm && !events->smi.pending);
	if (request == (unsigned)KVM_SET_PIT2)
		for (unsigned i = 0; i < 3; i++)
			CHECK(pit->channels[i].count <= 0x10000);
	if (request == (unsigned)KVM_SET_MSRS)
		model_check_msrs(argument);
}

/* As KVM copies it. */
static inline void model_read_argument(unsigned request, const void *argument)
{
	static uint8_t copy[sizeof(struct vcpu_msrs) + MODEL_XSAVE_BYTES];
	size_t bytes = _IOC_SIZE(request);

	if (request == (unsigned)KVM_SET_XSAVE)
		bytes = MODEL_XSAVE_BYTES;
	if (request == (unsigned)KVM_SET_MSRS)
		bytes = vcpu_msrs_bytes(((const struct kvm_msrs *)argument)->nmsrs);
	memcpy(copy, argument, bytes);
}

static inline int model_learn_msrs(struct kvm_msr_list *list)
{
	CHECK(list->nmsrs >= MODEL_MSRS);
	list->nmsrs = MODEL_MSRS;
	memcpy(list->indices, model_msrs, sizeof(model_msrs));
	return 0;
}

static inline bool model_kvm_fails(void)
{
	if (model_kvm.calls_left == 0 || --model_kvm.calls_left > 0)
		return false;
	errno = model_kvm.error;
	return true;
}

/* How many KVM takes of them; or none, because it fails. */
static inline int model_take_few_msrs(const struct kvm_msrs *msrs)
{
	return msrs->nmsrs > 0 ? model_kvm.error % (int)msrs->nmsrs - model_kvm.error % 2 : -1;
}

int ioctl(int fd, unsigned long number, ...)
{
	unsigned request = (unsigned)number;
	va_list list;

	va_start(list, number);
	void *argument = va_arg(list, void *);
	va_end(list);
	if (fd != MODEL_KVM_FD)
		return (int)syscall(SYS_ioctl, fd, number, argument);
	if (_IOC_DIR(request) & _IOC_WRITE && _IOC_DIR(request) != (_IOC_READ | _IOC_WRITE)) {
		model_read_argument(request, argument);
		model_check_argument(request, argument);
	}
	if (model_kvm_fails())
		return request == (unsigned)KVM_SET_MSRS ? model_take_few_msrs(argument) : -1;
	switch (request) {
	case (unsigned)KVM_GET_MSR_INDEX_LIST:
		return model_learn_msrs(argument);
	case (unsigned)KVM_GET_TSC_KHZ:
		return MODEL_TSC_KHZ;
	case (unsigned)KVM_GET_MSRS:
	case (unsigned)KVM_SET_MSRS:
		return (int)((const struct kvm_msrs *)argument)->nmsrs;
	case (unsigned)KVM_GET_LAPIC:
		memset(argument, 0, sizeof(struct kvm_lapic_state));
		return 0;
	case (unsigned)KVM_GET_DEVICE_ATTR:
		*(uint64_t *)(uintptr_t)((const struct kvm_device_attr *)argument)->addr = 0;
		return 0;
	default:
		return 0;
	}
}

#endif
