/* SPDX-License-Identifier: MIT */
/* The other processors: from real mode to CPL 3, where they call what they are told to, again and again. */
#include "hostile/hostile.h"
#include "rt/irq.h"
#include "rt/segments.h"

#define TRAMPOLINE_GPA 0x8000u
#define GDT_OFFSET     0xf00u /* in the trampoline's page: where the GDT is */
#define ICR_INIT       0x4500u
#define ICR_STARTUP    0x4600u
#define SETTLE_TSC     30000000u
#define CPUS_MAX       8u
#define STACK_BYTES    8192u
#define STRING(x)      #x
#define TEXT(x)        STRING(x)

typedef void work_fn(unsigned cpu);

unsigned smp_cpus = 1;
extern const uint8_t smp_trampoline[], smp_trampoline_end[], gdt_pointer[10];
extern uint32_t smp_next;
extern uint8_t smp_stacks[CPUS_MAX][STACK_BYTES];
_Noreturn void smp_user(unsigned cpu);

uint32_t smp_next = 1;
uint8_t smp_stacks[CPUS_MAX][STACK_BYTES] __attribute__((aligned(16)));
static work_fn *volatile work;
static volatile bool is_here[CPUS_MAX], works[CPUS_MAX];

/* At TRAMPOLINE_GPA; the page tables are the boot processor's. No processor has a TSS: none takes an interrupt. */
__asm__(".pushsection .text\n"
	".code16\n"
	"smp_trampoline:\n"
	"	cli\n"
	"	mov %cs, %ax\n"
	"	mov %ax, %ds\n"
	"	lgdtl " TEXT(
		GDT_OFFSET) "\n"
			    "	mov $pml4, %eax\n"
			    "	mov %eax, %cr3\n"
			    "	mov %cr4, %eax\n"
			    "	or $0x20, %eax\n" /* PAE */
			    "	mov %eax, %cr4\n"
			    "	mov $0xc0000080, %ecx\n" /* EFER: LME */
			    "	rdmsr\n"
			    "	or $0x100, %eax\n"
			    "	wrmsr\n"
			    "	mov %cr0, %eax\n"
			    "	or $0x80000001, %eax\n" /* PG and PE */
			    "	mov %eax, %cr0\n"
			    "	ljmpl $" TEXT(
				    SELECTOR_CODE0) ", $smp_long\n"
						    "smp_trampoline_end:\n"
						    ".code64\n"
						    "smp_long:\n"
						    "	mov $" TEXT(
							    SELECTOR_DATA0) ", %eax\n"
									    "	mov %ax, %ds\n"
									    "	mov %ax, %es\n"
									    "	mov %ax, %ss\n"
									    "	mov $1, %edi\n"
									    "	lock xadd %edi, "
									    "smp_next\n"
									    "	lea 1(%rdi), %rax\n"
									    "	imul $" TEXT(
										    STACK_BYTES) ","
												 " "
												 "%"
												 "r"
												 "a"
												 "x"
												 ","
												 " "
												 "%"
												 "r"
												 "a"
												 "x"
												 "\n"
												 "	add $smp_stacks, %rax\n"
												 "	mov %rax, %rsp\n"
												 "	pushq $" TEXT(
													 SELECTOR_DATA3) "\n"
															 "	pushq %rax\n"
															 "	pushq $0x3002\n" /* IOPL 3, interrupts off */
															 "	pushq $" TEXT(
																 SELECTOR_CODE3) "\n"
																		 "	pushq $smp_enter\n"
																		 "	iretq\n"
																		 "smp_enter:\n"
																		 "	call smp_user\n"
																		 ".popsection\n");

_Noreturn void smp_user(unsigned cpu)
{
	is_here[cpu] = true;
	for (;;) {
		while (work == NULL)
			cpu_pause();
		works[cpu] = true;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		work_fn *now = work;
		if (now != NULL)
			now(cpu);
		works[cpu] = false;
	}
}

static void wait_tsc(uint64_t ticks)
{
	uint64_t start = read_tsc();

	while (read_tsc() - start < ticks)
		cpu_pause();
}

static void start_cpu(uint32_t apic_id)
{
	uint64_t start;

	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR_LOW, ICR_INIT);
	wait_tsc(SETTLE_TSC);
	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR_LOW, ICR_STARTUP | TRAMPOLINE_GPA >> 12);
	start = read_tsc();
	while (!is_here[apic_id] && read_tsc() - start < 5 * VIRTIO_WAIT_TSC)
		cpu_pause();
	if (!is_here[apic_id])
		print("a processor does not come\n");
}

void smp_start(unsigned cpus)
{
	if (cpus > CPUS_MAX)
		cpus = CPUS_MAX;
	memcpy((void *)TRAMPOLINE_GPA, smp_trampoline,
	       (size_t)(smp_trampoline_end - smp_trampoline));
	memcpy((void *)(TRAMPOLINE_GPA + GDT_OFFSET), gdt_pointer, sizeof(gdt_pointer));
	if (cpus > 1)
		lapic_enable();
	for (unsigned id = 1; id < cpus; id++)
		start_cpu(id);
	smp_cpus = cpus;
}

void smp_run(work_fn *new_work)
{
	work = new_work;
}

void smp_step(void)
{
	if (smp_cpus == 1 && work != NULL)
		work(0);
}

void smp_rest(void)
{
	work = NULL;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (unsigned cpu = 1; cpu < smp_cpus; cpu++)
		while (works[cpu])
			cpu_pause();
}
