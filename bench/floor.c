/* SPDX-License-Identifier: MIT */
/*
 * floor: the least program that makes the VM that vmm makes, for startup.sh: what is above it is the monitor's own
 * doing, what is below it is KVM's. Memory (128 MiB, registered before the interrupt chips, which is the fast order),
 * interrupt chips, PIT, one vCPU with its CPUID; no device, no file, no thread. Runs the guest of
 * bench/guests/start.S: passes its byte on, and ends when it asks for a reset. Exit status 1: something failed.
 *
 *   floor [TAP IMAGE SOCKET]
 *
 * With arguments it also asks the host for what a disk, a NIC and a vsock need, and does nothing with it: the image
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

#define MEMORY_BYTES  (128ul << 20)
#define CPUID_ENTRIES 256
#define SERIAL_PORT   0x3f8
#define RESET_PORT    0x64
/* As vmm has them. */
#define RING_ENTRIES     256
#define RING_COMPLETIONS 4096
#define WINDOWS_GPA      0xc0001050ul /* QueueNotify of the first device */
#define FIRST_GSI        5u

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

int main(int argc, char **argv)
{
	const bool devices = argc == 4;
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm_fd < 0) {
		perror("/dev/kvm");
		return 1;
	}
	if (devices) {
		open_tap(argv[1]);
		open_image(argv[2]);
		open_socket(argv[3]);
		open_ring();
	}
	int vm_fd = MUST(kvm_fd, KVM_CREATE_VM, NULL);
	create_memory(vm_fd);
	MUST(vm_fd, KVM_CREATE_IRQCHIP, NULL);
	MUST(vm_fd, KVM_CREATE_PIT2, &pit);
	for (unsigned i = 0; devices && i < 3; i++)
		attach_device(vm_fd, i, i + 1);
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
