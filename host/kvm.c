/* SPDX-License-Identifier: MIT */
#include "host/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/ioctl.h"
#include "host/text.h"

static const struct {
	int capability;
	const char *name;
} required_capabilities[] = {
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
	{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
	{ KVM_CAP_PIT2, "KVM_CAP_PIT2" },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

static const char *open_hint(int error)
{
	switch (error) {
	case ENOENT:
		return " (is the kvm_intel or kvm_amd module loaded, virtualisation enabled?)";
	case EACCES:
	case EPERM:
		return " (is this user in the group that owns it, usually kvm?)";
	case ENODEV:
	case ENXIO:
		return " (the kvm module is there, but the CPU or firmware gives no "
		       "virtualisation)";
	default:
		return "";
	}
}

int kvm_open(int inherited_fd)
{
	int kvm_fd = inherited_fd < 0 ? open("/dev/kvm", O_RDWR | O_CLOEXEC) : inherited_fd;

	if (kvm_fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "cannot open /dev/kvm%s", open_hint(errno));
	int version = host_ioctl(kvm_fd, KVM_GET_API_VERSION, 0);
	if (version < 0 && inherited_fd >= 0) {
		struct error_text error;
		error_set(&error, "expected /dev/kvm");
		fail_option(&error, "--kvm-fd %d", kvm_fd);
	}
	if (version < 0)
		fail_errno(EXIT_HOST_REFUSED, "/dev/kvm: KVM_GET_API_VERSION");
	if (version != KVM_API_VERSION)
		fail(EXIT_HOST_REFUSED, "/dev/kvm: API version %d, expected %d", version,
		     KVM_API_VERSION);
	for (size_t i = 0; i < sizeof(required_capabilities) / sizeof(required_capabilities[0]);
	     i++)
		if (kvm_capability(kvm_fd, required_capabilities[i].capability) == 0)
			fail(EXIT_HOST_REFUSED, "/dev/kvm: this host lacks %s",
			     required_capabilities[i].name);
	return kvm_fd;
}

/* A guest may hold its CPU, or with locks across cache lines the memory bus of all. Hardware and kernels that know these ask us, or
 * count as time of the host; the others refuse. */
static void watch_for_holding(int vm_fd)
{
	static const struct kvm_enable_cap watches[] = {
		{ .cap = KVM_CAP_X86_NOTIFY_VMEXIT, .args = { KVM_X86_NOTIFY_VMEXIT_ENABLED } },
		{ .cap = KVM_CAP_X86_BUS_LOCK_EXIT, .args = { KVM_BUS_LOCK_DETECTION_EXIT } },
	};

	for (size_t i = 0; i < sizeof(watches) / sizeof(watches[0]); i++)
		host_ioctl(vm_fd, KVM_ENABLE_CAP, &watches[i]);
}

int kvm_create_vm(int kvm_fd, uint32_t tss_gpa)
{
	int vm_fd;

	/* A signal while the host makes the VM's worker thread aborts the call. Signals are blocked, but a stop is
	 * none that can be. */
	do
		vm_fd = host_ioctl(kvm_fd, KVM_CREATE_VM, 0);
	while (vm_fd < 0 && errno == EINTR);
	if (vm_fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "/dev/kvm: KVM_CREATE_VM");
	if (host_ioctl(vm_fd, KVM_SET_TSS_ADDR, (unsigned long)tss_gpa) < 0)
		fail_errno(EXIT_HOST_REFUSED, "KVM_SET_TSS_ADDR");
	watch_for_holding(vm_fd);
	return vm_fd;
}

static char description[80];

void kvm_describe(void)
{
	static const char *const modules[] = { "kvm_intel", "kvm_amd", "kvm_pvm" };
	const char *name = "kvm";
	struct utsname host = { .release = "?" };
	char path[32];

	/* KVM takes one. */
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		text_format(path, sizeof(path), "/sys/module/%s", modules[i]);
		if (access(path, F_OK) == 0) {
			name = modules[i];
			break;
		}
	}
	uname(&host);
	text_format(description, sizeof(description), "%s, Linux %s", name, host.release);
}

const char *kvm_description(void)
{
	return description;
}

int kvm_capability(int kvm_fd, int capability)
{
	int value = host_ioctl(kvm_fd, KVM_CHECK_EXTENSION, (unsigned long)capability);

	return value < 0 ? 0 : value;
}
