/*
 * floor: the least program that makes the VM that vmm makes, for startup.sh: what is above it is the monitor's own
 * doing, what is below it is KVM's. Memory (128 MiB, registered before the interrupt chips, which is the fast order),
 * interrupt chips, PIT, one vCPU with its CPUID; no device, no file, no thread. Runs the guest of
 * bench/guests/start.S: passes its byte on, and ends when it asks for a reset. Exit status 1: something failed.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_BYTES  (128ul << 20)
#define CPUID_ENTRIES 256
#define SERIAL_PORT   0x3f8
#define RESET_PORT    0x64

/* As in start.S, in real mode, where a vCPU begins. */
static const uint8_t guest[] = {
	0xba, 0xf8, 0x03, /* mov $0x3f8, %dx */
	0xb0, '@',        /* mov $'@', %al */
	0xee,             /* out %al, %dx */
	0xb0, 0xfe,       /* mov $0xfe, %al */
	0xe6, 0x64,       /* out %al, $0x64 */
	0xf4,             /* hlt */
};

static struct {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES];
} cpuid = { .head.nent = CPUID_ENTRIES };

/* An ioctl that must not fail. musl declares the request as int. */
static int must(const char *name, int fd, unsigned long request, void *argument)
{
	int result = ioctl(fd, (int)request, argument);

	if (result < 0) {
		perror(name);
		exit(1);
	}
	return result;
}
#define MUST(fd, request, argument) must(#request, fd, request, argument)

static void create_memory(int vm_fd)
{
	void *memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct kvm_userspace_memory_region region = {
		.memory_size = MEMORY_BYTES,
		.userspace_addr = (uintptr_t)memory,
	};

	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	memcpy(memory, guest, sizeof(guest));
	MUST(vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void set_registers(int vcpu_fd)
{
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;

	MUST(vcpu_fd, KVM_GET_SREGS, &sregs);
	sregs.cs.base = sregs.cs.selector = 0;
	MUST(vcpu_fd, KVM_SET_SREGS, &sregs);
	MUST(vcpu_fd, KVM_SET_REGS, &regs);
}

/* Until the guest asks for a reset. */
static void run(int vcpu_fd, struct kvm_run *run)
{
	for (;;) {
		MUST(vcpu_fd, KVM_RUN, NULL);
		if (run->exit_reason != KVM_EXIT_IO) {
			fprintf(stderr, "floor: exit reason %u\n", run->exit_reason);
			exit(1);
		}
		if (run->io.port == RESET_PORT)
			return;
		if (run->io.port == SERIAL_PORT &&
		    write(STDOUT_FILENO, (uint8_t *)run + run->io.data_offset, 1) != 1)
			exit(1);
	}
}

int main(void)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm_fd < 0) {
		perror("/dev/kvm");
		return 1;
	}
	int vm_fd = MUST(kvm_fd, KVM_CREATE_VM, NULL);
	create_memory(vm_fd);
	MUST(vm_fd, KVM_CREATE_IRQCHIP, NULL);
	MUST(vm_fd, KVM_CREATE_PIT2, &pit);
	int vcpu_fd = MUST(vm_fd, KVM_CREATE_VCPU, NULL);
	MUST(kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid);
	MUST(vcpu_fd, KVM_SET_CPUID2, &cpuid);
	size_t run_bytes = (size_t)MUST(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
	struct kvm_run *state =
		mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	if (state == MAP_FAILED) {
		perror("mmap of kvm_run");
		return 1;
	}
	set_registers(vcpu_fd);
	run(vcpu_fd, state);
	return 0;
}
