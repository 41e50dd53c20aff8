/* SPDX-License-Identifier: MIT */
/*
 * Can KVM here run Linux? Ask it, with a guest of one page.
 *
 * Theory of operation. The guest starts in 64-bit long mode at CPL 0 and executes
 *   1. what a Linux kernel needs early and emulating hosts are known to lack: cmpxchg16b, fxsave, fxrstor;
 *   2. a counted loop of LOOP_INSNS instructions;
 * with one OUT after each part. Hardware, and KVM on emulated SVM, run the loop in well under 2 ms.
 * A host that emulates guest kernel mode instruction by instruction either fails at part 1 with an
 * internal error or needs some 50 ms for part 2. The best of several attempts counts, so a
 * busy machine is not taken for a slow one. CPU names are never looked at.
 *
 * Prints one line saying why. Exit status: 0 KVM can run Linux, 1 it cannot, 125 the probe itself failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PML4_GPA     0x1000u
#define PDPT_GPA     0x2000u
#define PD_GPA       0x3000u
#define CODE_GPA     0x4000u
#define DATA_GPA     0x5000u
#define MEMORY_BYTES 0x6000u

#define LOOP_INSNS    70000u /* dec + jnz, so LOOP_INSNS / 2 rounds */
#define LIMIT_US      20000  /* hardware: < 100; emulated SVM: < 2000; an emulating host: > 45000 */
#define ATTEMPTS      6
#define MARK_PORT     0x10
#define CPUID_ENTRIES 256

enum {
	EXIT_CAN = 0,
	EXIT_CANNOT = 1,
	EXIT_BROKEN = 125
};

struct guest {
	int vm_fd;
	int vcpu_fd;
	uint8_t *memory;
	struct kvm_run *run;
	size_t run_bytes;
};

/* rsi = DATA_GPA, rbp = loop rounds; marks 1 and 2 leave through MARK_PORT in al. */
static const uint8_t guest_code[] = {
	0x31, 0xc0,                  /* xor eax, eax */
	0x31, 0xd2,                  /* xor edx, edx */
	0x31, 0xdb,                  /* xor ebx, ebx */
	0x31, 0xc9,                  /* xor ecx, ecx */
	0x48, 0x0f,      0xc7, 0x0e, /* cmpxchg16b [rsi] */
	0x48, 0x0f,      0xae, 0x06, /* fxsave64 [rsi] */
	0x48, 0x0f,      0xae, 0x0e, /* fxrstor64 [rsi] */
	0xb0, 0x01,                  /* mov al, 1 */
	0xe6, MARK_PORT,             /* out MARK_PORT, al */
	0x48, 0xff,      0xcd,       /* dec rbp */
	0x75, 0xfb,                  /* jnz the dec */
	0xb0, 0x02,                  /* mov al, 2 */
	0xe6, MARK_PORT,             /* out MARK_PORT, al */
};

static _Noreturn void probe_answer(int status, const char *why)
{
	printf("%s\n", why);
	exit(status);
}

static _Noreturn void probe_cannot(const char *what)
{
	char why[160];

	snprintf(why, sizeof(why), "%s: %s", what, strerror(errno));
	probe_answer(EXIT_CANNOT, why);
}

static int64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void memory_fill(uint8_t *memory)
{
	static const uint64_t pml4_entry = PDPT_GPA | 3, pdpt_entry = PD_GPA | 3;
	static const uint64_t pd_entry = 0x83; /* present, writable, one 2 MiB page at 0 */

	memset(memory, 0, MEMORY_BYTES);
	memcpy(memory + PML4_GPA, &pml4_entry, sizeof(pml4_entry));
	memcpy(memory + PDPT_GPA, &pdpt_entry, sizeof(pdpt_entry));
	memcpy(memory + PD_GPA, &pd_entry, sizeof(pd_entry));
	memcpy(memory + CODE_GPA, guest_code, sizeof(guest_code));
}

static void vcpu_set_cpuid(int kvm_fd, int vcpu_fd)
{
	struct kvm_cpuid2 *cpuid;

	cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		probe_answer(EXIT_BROKEN, "out of memory");
	cpuid->nent = CPUID_ENTRIES;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		probe_cannot("KVM_GET_SUPPORTED_CPUID");
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
		probe_cannot("KVM_SET_CPUID2");
	free(cpuid);
}

static void vcpu_set_long_mode(int vcpu_fd)
{
	const struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	const struct kvm_segment data = { .limit = 0xffffffff,
					  .selector = 16,
					  .type = 3,
					  .present = 1,
					  .s = 1,
					  .db = 1,
					  .g = 1 };
	const struct kvm_regs regs = {
		.rip = CODE_GPA, .rsi = DATA_GPA, .rbp = LOOP_INSNS / 2, .rflags = 2
	};
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		probe_cannot("KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr0 = 0x80000033; /* PG NE ET MP PE */
	sregs.cr3 = PML4_GPA;
	sregs.cr4 = 0x620;  /* OSXMMEXCPT OSFXSR PAE */
	sregs.efer = 0x500; /* LMA LME */
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
		probe_cannot("KVM_SET_SREGS");
	if (ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0)
		probe_cannot("KVM_SET_REGS");
}

static struct guest guest_create(int kvm_fd)
{
	struct guest guest = { 0 };
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY_BYTES };
	int run_bytes = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	guest.memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	if (guest.memory == MAP_FAILED)
		probe_answer(EXIT_BROKEN, "out of memory");
	memory_fill(guest.memory);
	guest.vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (guest.vm_fd < 0)
		probe_cannot("KVM_CREATE_VM");
	region.userspace_addr = (uintptr_t)guest.memory;
	if (ioctl(guest.vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		probe_cannot("KVM_SET_USER_MEMORY_REGION");
	guest.vcpu_fd = ioctl(guest.vm_fd, KVM_CREATE_VCPU, 0);
	if (guest.vcpu_fd < 0)
		probe_cannot("KVM_CREATE_VCPU");
	if (run_bytes < (int)sizeof(*guest.run))
		probe_cannot("KVM_GET_VCPU_MMAP_SIZE");
	guest.run_bytes = (size_t)run_bytes;
	guest.run =
		mmap(NULL, guest.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, guest.vcpu_fd, 0);
	if (guest.run == MAP_FAILED)
		probe_cannot("mapping kvm_run");
	vcpu_set_cpuid(kvm_fd, guest.vcpu_fd);
	vcpu_set_long_mode(guest.vcpu_fd);
	return guest;
}

static void guest_destroy(struct guest *guest)
{
	munmap(guest->run, guest->run_bytes);
	close(guest->vcpu_fd);
	close(guest->vm_fd);
	munmap(guest->memory, MEMORY_BYTES);
}

/* Runs until the guest gives the mark; any other exit means this KVM cannot run it. */
static void guest_run_to(struct guest *guest, uint8_t mark, const char *doing)
{
	const struct kvm_run *run = guest->run;
	char why[160];

	while (ioctl(guest->vcpu_fd, KVM_RUN, 0) < 0)
		if (errno != EINTR)
			probe_cannot("KVM_RUN");
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == MARK_PORT &&
	    ((const uint8_t *)run)[run->io.data_offset] == mark)
		return;
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		snprintf(why, sizeof(why),
			 "/dev/kvm here fails with internal error %u at %s in guest kernel mode",
			 run->internal.suberror, doing);
	else
		snprintf(why, sizeof(why),
			 "/dev/kvm here leaves with exit reason %u at %s in guest kernel mode",
			 run->exit_reason, doing);
	probe_answer(EXIT_CANNOT, why);
}

/* Returns the microseconds LOOP_INSNS instructions took. */
static int64_t guest_time_loop(int kvm_fd)
{
	struct guest guest = guest_create(kvm_fd);
	int64_t start;
	int64_t took;

	guest_run_to(&guest, 1, "cmpxchg16b, fxsave or fxrstor");
	start = clock_us();
	guest_run_to(&guest, 2, "a plain loop");
	took = clock_us() - start;
	guest_destroy(&guest);
	return took;
}

int main(void)
{
	int64_t best = INT64_MAX;
	char why[160];
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm_fd < 0)
		probe_cannot("/dev/kvm");
	if (ioctl(kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		probe_answer(EXIT_CANNOT, "/dev/kvm speaks another API version");
	for (int attempt = 0; attempt < ATTEMPTS && best > LIMIT_US; attempt++) {
		int64_t took = guest_time_loop(kvm_fd);

		best = took < best ? took : best;
	}
	snprintf(why, sizeof(why),
		 "/dev/kvm here %s guest kernel mode (%u instructions took %lld.%02lld ms)",
		 best > LIMIT_US ? "emulates" : "runs", LOOP_INSNS, (long long)best / 1000,
		 (long long)best % 1000 / 10);
	probe_answer(best > LIMIT_US ? EXIT_CANNOT : EXIT_CAN, why);
}
