/* SPDX-License-Identifier: MIT */
/*
 * floor: the least program that makes the VM that vmm makes, for startup.sh and restore.sh: what is above it is the
 * monitor's own doing, what is below it is KVM's. Memory (128 MiB, registered before the interrupt chips, which is the
 * fast order), interrupt chips, PIT, one vCPU with its CPUID; no device, no thread. Runs the guest of
 * bench/guests/start.S: passes its byte on, and ends when it asks for a reset. Exit status 1: something failed.
 *
 *   floor [--restore FILE] [TAP IMAGE SOCKET]
 *
 * With --restore the VM is the one of vmm's snapshot: memory mapped from the file, chips and vCPU set to what it says. Nothing is
 * checked, and what the file says of devices is passed by.
 * With the other arguments it also asks the host for what a disk, a NIC and a vsock need, and does nothing with it: the image
 * locked, the TAP attached with its header and offloads, a listening socket, an io_uring, an irqfd for each device
 * and an ioeventfd for each of their six queues.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "cpu/vcpu_state.h"
#include "irq/irqchip_state.h"
#include "snapshot/file.h"

#define MEMORY_BYTES  (128ul << 20)
#define CPUID_ENTRIES 256
#define SERIAL_PORT   0x3f8
#define RESET_PORT    0x64
/* As vmm has them. */
#define RING_ENTRIES     256
#define RING_COMPLETIONS 4096
#define WINDOWS_GPA      0xc0001050ul /* QueueNotify of the first device */
#define FIRST_GSI        5u
#define MSR_TSC          0x10u

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

/* What is restored; head NULL: nothing is. */
static struct {
	int fd;
	const struct snapshot_header *head;
	const struct irqchip_state *chips;
	const struct vcpu_state *cpu;
	const void *xsave, *msrs;
} saved;

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

static int must_be(const char *name, int result)
{
	if (result < 0) {
		perror(name);
		exit(1);
	}
	return result;
}

static void open_image(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = must_be(path, open(path, O_RDWR | O_CLOEXEC));

	must_be("F_OFD_SETLK", fcntl(fd, F_OFD_SETLK, &lock));
}

static void open_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header_bytes = 12,
	    fd = must_be("tun", open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	MUST(fd, TUNSETIFF, &request);
	MUST(fd, TUNSETVNETHDRSZ, &header_bytes);
	MUST(fd, TUNSETOFFLOAD, (void *)(uintptr_t)(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6));
	MUST(fd, TUNSETOFFLOAD, NULL);
	fd = must_be("socket", socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	MUST(fd, SIOCGIFMTU, &request);
	close(fd);
}

static void open_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = must_be("socket", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	must_be("bind", bind(fd, (struct sockaddr *)&address, sizeof(address)));
	must_be("listen", listen(fd, 1024));
	unlink(path);
}

static void open_ring(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED,
		.cq_entries = RING_COMPLETIONS,
	};
	int fd = must_be("io_uring_setup", (int)syscall(SYS_io_uring_setup, RING_ENTRIES, &params));
	size_t bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	const int flags = MAP_SHARED | MAP_POPULATE;

	if (mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, IORING_OFF_SQ_RING) ==
		    MAP_FAILED ||
	    mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
		 flags, fd, IORING_OFF_SQES) == MAP_FAILED) {
		perror("mmap of the ring");
		exit(1);
	}
}

static void attach_device(int vm_fd, unsigned device, unsigned n_queues)
{
	struct kvm_irqfd irq = { .gsi = FIRST_GSI + device };

	irq.fd = (uint32_t)must_be("eventfd", eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	MUST(vm_fd, KVM_IRQFD, &irq);
	for (unsigned queue = 0; queue < n_queues; queue++) {
		struct kvm_ioeventfd kick = {
			.datamatch = queue,
			.addr = WINDOWS_GPA + device * 4096ul,
			.len = 4,
			.fd = must_be("eventfd", eventfd(0, EFD_CLOEXEC)),
			.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
		};
		MUST(vm_fd, KVM_IOEVENTFD, &kick);
	}
}

static void *must_map(size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *memory = mmap(NULL, bytes, prot, flags, fd, offset);

	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return memory;
}

/* The sections lie in this order. */
static const void *next_section(const uint8_t **at, enum snapshot_kind kind)
{
	const struct snapshot_section *section = (const void *)*at;

	if (section->kind != kind) {
		fprintf(stderr, "floor: a section of kind %u, not %u\n", section->kind, kind);
		exit(1);
	}
	*at += sizeof(*section) + ((section->bytes + 7ul) & ~7ul);
	return section + 1;
}

static void open_snapshot(const char *path)
{
	saved.fd = must_be(path, open(path, O_RDONLY | O_CLOEXEC));
	saved.head = must_map(SNAPSHOT_HEADER_BYTES, PROT_READ, MAP_PRIVATE, saved.fd, 0);
	const uint8_t *at = must_map(saved.head->sections_bytes, PROT_READ,
				     MAP_PRIVATE | MAP_POPULATE, saved.fd, SNAPSHOT_HEADER_BYTES);

	saved.chips = next_section(&at, SNAPSHOT_IRQCHIP);
	saved.cpu = next_section(&at, SNAPSHOT_CPU);
	saved.xsave = next_section(&at, SNAPSHOT_CPU_XSAVE);
	saved.msrs = next_section(&at, SNAPSHOT_CPU_MSRS);
}

static void create_memory(int vm_fd)
{
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY_BYTES };
	void *memory;

	if (saved.head != NULL) {
		region.memory_size = saved.head->memory_bytes;
		memory = must_map(region.memory_size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_NORESERVE, saved.fd,
				  (off_t)saved.head->memory_offset);
	} else {
		memory = must_map(MEMORY_BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		memcpy(memory, guest, sizeof(guest));
	}
	region.userspace_addr = (uintptr_t)memory;
	MUST(vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void restore_chips(int vm_fd)
{
	for (unsigned i = 0; i < IRQCHIPS; i++)
		MUST(vm_fd, KVM_SET_IRQCHIP, (void *)&saved.chips->chips[i]);
}

static void restore_vcpu(int vcpu_fd)
{
	MUST(vcpu_fd, KVM_SET_SREGS, (void *)&saved.cpu->sregs);
	if (saved.cpu->xcrs.nr_xcrs != 0)
		MUST(vcpu_fd, KVM_SET_XCRS, (void *)&saved.cpu->xcrs);
	MUST(vcpu_fd, KVM_SET_LAPIC, (void *)&saved.cpu->lapic);
	MUST(vcpu_fd, KVM_SET_XSAVE, (void *)saved.xsave);
	MUST(vcpu_fd, KVM_SET_REGS, (void *)&saved.cpu->regs);
	MUST(vcpu_fd, KVM_SET_DEBUGREGS, (void *)&saved.cpu->debugregs);
	MUST(vcpu_fd, KVM_SET_MSRS, (void *)saved.msrs);
	MUST(vcpu_fd, KVM_SET_MP_STATE, (void *)&saved.cpu->mp);
	MUST(vcpu_fd, KVM_SET_VCPU_EVENTS, (void *)&saved.cpu->events);
}

/* The TSC and the clock go on where they stood. */
static void start_clocks(int vm_fd, int vcpu_fd)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} tsc = { .head.nmsrs = 1, .entry.index = MSR_TSC };
	uint64_t offset;
	struct kvm_device_attr attribute = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};
	struct kvm_clock_data clock = { .clock = saved.chips->clock.clock };

	MUST(vcpu_fd, KVM_GET_MSRS, &tsc);
	MUST(vcpu_fd, KVM_GET_DEVICE_ATTR, &attribute);
	offset += saved.cpu->tsc - tsc.entry.data;
	MUST(vcpu_fd, KVM_SET_DEVICE_ATTR, &attribute);
	MUST(vm_fd, KVM_SET_PIT2, (void *)&saved.chips->pit);
	MUST(vm_fd, KVM_SET_CLOCK, &clock);
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

static void open_devices(char **names)
{
	open_tap(names[0]);
	open_image(names[1]);
	open_socket(names[2]);
	open_ring();
}

static int create_vcpu(int kvm_fd, int vm_fd)
{
	int vcpu_fd = MUST(vm_fd, KVM_CREATE_VCPU, NULL);

	MUST(kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid);
	MUST(vcpu_fd, KVM_SET_CPUID2, &cpuid);
	return vcpu_fd;
}

int main(int argc, char **argv)
{
	const bool restores = argc > 2 && strcmp(argv[1], "--restore") == 0;
	char **names = argv + (restores ? 3 : 1);
	const bool devices = argv + argc - names == 3;
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int kvm_fd = must_be("/dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));

	if (devices)
		open_devices(names);
	if (restores)
		open_snapshot(argv[2]);
	int vm_fd = MUST(kvm_fd, KVM_CREATE_VM, NULL);
	create_memory(vm_fd);
	MUST(vm_fd, KVM_CREATE_IRQCHIP, NULL);
	MUST(vm_fd, KVM_CREATE_PIT2, &pit);
	if (restores)
		restore_chips(vm_fd);
	for (unsigned i = 0; devices && i < 3; i++)
		attach_device(vm_fd, i, i + 1);
	int vcpu_fd = create_vcpu(kvm_fd, vm_fd);
	size_t run_bytes = (size_t)MUST(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
	struct kvm_run *state = must_map(run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	if (restores) {
		restore_vcpu(vcpu_fd);
		start_clocks(vm_fd, vcpu_fd);
	} else {
		set_registers(vcpu_fd);
	}
	run(vcpu_fd, state);
	return 0;
}
