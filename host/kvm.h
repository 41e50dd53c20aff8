/* SPDX-License-Identifier: MIT */
/* /dev/kvm and the VM: opening them, and saying clearly why the host refuses. */
#ifndef HOST_KVM_H
#define HOST_KVM_H

#include <stddef.h>
#include <stdint.h>

/* Opens /dev/kvm, or takes an inherited descriptor of it over unless that is -1, and checks the API version and the capabilities that the monitor cannot do
 * without. Does not return on failure (exit 122). */
int kvm_open(int inherited_fd);

/* KVM_CREATE_VM, and KVM_SET_TSS_ADDR with three guest-physical pages that are neither RAM nor a
 * device's. Does not return on failure (exit 122). */
int kvm_create_vm(int kvm_fd, uint32_t tss_gpa);

/* The host's KVM in words, for messages: "kvm_amd, Linux 6.1.0". Found by the first; the second can open nothing. */
void kvm_describe(void);
const char *kvm_description(void);

/* KVM_CHECK_EXTENSION: 0 when absent. */
int kvm_capability(int kvm_fd, int capability);

#endif
