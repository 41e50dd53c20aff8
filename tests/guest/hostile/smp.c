/* SPDX-License-Identifier: MIT */
/* The other processors, which call what they are told to, again and again. They stay at CPL 0, and sleep when they have
 * nothing to do: a KVM that emulates CPL 0 starts none. */
#include "hostile/hostile.h"
#include "hostile/trampoline.h"
#include "rt/irq.h"

#define SETTLE_TSC 30000000u
#define CPUS_MAX   8u

typedef void work_fn(unsigned cpu);

unsigned smp_cpus = 1;
extern const uint8_t smp_trampoline[], smp_trampoline_end[], gdt_pointer[10];
extern uint8_t smp_stacks[CPUS_MAX][HOSTILE_STACK_BYTES];
void smp_main(unsigned cpu);

uint8_t smp_stacks[CPUS_MAX][HOSTILE_STACK_BYTES] __attribute__((aligned(16)));
static work_fn *volatile work;
static volatile bool works[CPUS_MAX];

void smp_main(unsigned cpu)
{
	work_fn *now;

	works[cpu] = true;
	while ((now = work) != NULL)
		now(cpu);
	works[cpu] = false;
}

static void start_cpu(uint32_t apic_id)
{
	uint64_t start;

	lapic_start_cpu(apic_id, HOSTILE_TRAMPOLINE, SETTLE_TSC);
	start = read_tsc();
	while (!works[apic_id] && read_tsc() - start < 5 * VIRTIO_WAIT_TSC)
		cpu_pause();
	if (!works[apic_id])
		fails("a processor does not come");
}

void smp_start(unsigned cpus)
{
	smp_cpus = cpus < CPUS_MAX ? cpus : CPUS_MAX;
	memcpy((void *)HOSTILE_TRAMPOLINE, smp_trampoline,
	       (size_t)(smp_trampoline_end - smp_trampoline));
	memcpy((void *)(HOSTILE_TRAMPOLINE + HOSTILE_GDT_OFFSET), gdt_pointer, sizeof(gdt_pointer));
	if (smp_cpus > 1)
		lapic_enable();
}

void smp_run(work_fn *new_work)
{
	work = new_work;
	for (unsigned id = 1; id < smp_cpus; id++)
		start_cpu(id);
}

void smp_step(void)
{
	if (smp_cpus == 1 && work != NULL)
		work(0);
}

void smp_rest(void)
{
	work = NULL;
	for (unsigned cpu = 1; cpu < smp_cpus; cpu++)
		while (works[cpu])
			cpu_pause();
}
