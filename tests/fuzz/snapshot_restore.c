/* SPDX-License-Identifier: MIT */
/*
 * The input changes a sound snapshot of a machine: its header, what its sections say, how long they are, the guest's page tables. It
 * says what the command line wants, too, and which of KVM's calls fails. All stages that read a snapshot then run as they are, but for
 * the devices, which have fuzzers of their own. KVM is a model: it reads all that it is given, and checks what the monitor promises (tests/fuzz/model/kvm.h).
 */
#include <sys/eventfd.h>

#include "tests/fuzz/failing.h"

#include "cpu/vcpu_state.h"
#include "io/console_state.h"
#include "irq/irqchip_state.h"
#include "machine/restore.h"
#include "machine/snapshot_plan.h"
#include "mem/layout.h"
#include "snapshot/touched.h"
#include "tests/fuzz/model/kvm.h"
#include "tests/fuzz/snapshot_sections.h"

#define SECTIONS_BYTES (32u << 10)
#define MEMORY_BYTES   ((uint64_t)2 << 20)
#define TABLES_GPA     0x10000u /* four levels, a page each; what they lead to has the same addresses */
#define TABLES_BYTES   0x4000u
#define CODE_GPA       0x20000u
#define CLOCK_GPA      0x24000u

enum {
	WANTS_MEM = 1,
	WANTS_CPUS = 2,
	WANTS_ACPI = 4,
	NO_SERIAL = 8,
	HAS_NET = 16,
	HAS_VSOCK = 32
};

static struct machine machine;
static struct snapshot_header header;
static _Alignas(8) uint8_t sections[SECTIONS_BYTES], placed[SECTIONS_BYTES];
static size_t sections_bytes;
static void add_section(enum snapshot_kind kind, unsigned instance, const void *data, size_t bytes)
{
	struct snapshot_section section = {
		.kind = (uint16_t)kind,
		.instance = (uint16_t)instance,
		.bytes = (uint32_t)bytes,
	};
	size_t padded = (bytes + 7) & ~(size_t)7;

	CHECK(sizeof(section) + padded <= SECTIONS_BYTES - sections_bytes);
	memcpy(sections + sections_bytes, &section, sizeof(section));
	memcpy(sections + sections_bytes + sizeof(section), data, bytes);
	sections_bytes += sizeof(section) + padded;
}

static void add_cpu(unsigned i, unsigned n_msrs)
{
	static const uint8_t xsave[MODEL_XSAVE_BYTES];
	static struct vcpu_msrs msrs;
	struct vcpu_state state = {
		.regs = { .rip = CODE_GPA, .rsp = CODE_GPA + 0x3000, .rflags = 2 },
		.sregs = { .cr0 = 0x80000001, .cr3 = TABLES_GPA, .cr4 = 0x20, .efer = 0x500 },
		.xcrs = { .nr_xcrs = 1 },
		.tsc = 1 << 30,
		.tsc_offset = 1 << 20,
		.tsc_deadline = i + 1,
	};

	state.sregs.gs.base = CODE_GPA + 0x1000;
	state.sregs.tr.base = CODE_GPA + 0x2000;
	state.lapic.regs[0x380] = 1;
	add_section(SNAPSHOT_CPU, i, &state, sizeof(state));
	add_section(SNAPSHOT_CPU_XSAVE, i, xsave, sizeof(xsave));
	msrs.head.nmsrs = n_msrs;
	for (unsigned n = 0; n < n_msrs; n++)
		msrs.entries[n] = (struct kvm_msr_entry){ .index = model_msrs[n % MODEL_MSRS],
							  .data = CLOCK_GPA | 1 };
	add_section(SNAPSHOT_CPU_MSRS, i, &msrs, vcpu_msrs_bytes(n_msrs));
}

static struct touched_pages touched; /* none, but by an edit */

static void make_sections(unsigned n_msrs)
{
	const struct irqchip_state chips = {
		.chips = { { .chip_id = 0 },
			   { .chip_id = 1 },
			   { .chip_id = 2, .chip.ioapic.base_address = LAYOUT_IOAPIC_GPA } },
	};
	const struct identity_state identity = { .generation = 1 };
	struct {
		struct serial_state serial;
		uint32_t n_typed, reserved;
		uint8_t typed[4];
	} console = { .n_typed = 4 };

	sections_bytes = 0;
	add_section(SNAPSHOT_IRQCHIP, 0, &chips, sizeof(chips));
	for (unsigned i = 0; i < machine.config.n_cpus; i++)
		add_cpu(i, n_msrs);
	add_section(SNAPSHOT_IDENTITY, 0, &identity, sizeof(identity));
	if (machine.config.serial != SERIAL_NONE)
		add_section(SNAPSHOT_CONSOLE, 0, &console,
			    offsetof(__typeof__(console), typed) + console.n_typed);
}

/* Where the n-th section begins. */
static struct snapshot_section *find_section(unsigned n)
{
	size_t at = 0;

	for (;;) {
		struct snapshot_section *section = (void *)(sections + at);
		size_t next = at + sizeof(*section) + ((section->bytes + 7ull) & ~7ull);
		if (n-- == 0 || next >= sections_bytes)
			return section;
		at = next;
	}
}

/* Up to 8 bytes of what is there. */
static void edit(void *at, size_t room, struct fuzz_input *input)
{
	size_t offset = fuzz_u16(input) % room;
	uint8_t width = fuzz_byte(input) & 7;
	uint64_t number = width == 0 ? fuzz_byte(input) : fuzz_number(input);
	size_t bytes = width < room - offset ? width + 1u : room - offset;

	memcpy((uint8_t *)at + offset, &number, bytes);
}

static void edit_all(struct fuzz_input *input)
{
	while (input->left > 0) {
		uint8_t what = fuzz_byte(input);
		struct snapshot_section *section = find_section(what >> 3);
		switch (what & 7) {
		case 0:
			edit(&header, sizeof(header), input);
			break;
		case 1:
			edit(section, sizeof(*section), input);
			return; /* what follows is found no more */
		case 2:
			edit(machine.memory.host + TABLES_GPA, TABLES_BYTES, input);
			break;
		case 4:
			edit(&touched.n, sizeof(touched) - offsetof(struct touched_pages, n),
			     input);
			break;
		case 3:
			sections_bytes -= fuzz_u16(input) % sections_bytes & ~7ul;
			return;
		default:
			edit(section + 1, section->bytes, input);
			break;
		}
	}
}

/* Four levels that map the first 2 MiB to themselves, in pages of 4 KiB. */
static void map_pages(void)
{
	uint64_t *tables = (void *)(machine.memory.host + TABLES_GPA);

	memset(tables, 0, TABLES_BYTES);
	for (unsigned level = 0; level < 3; level++)
		tables[level * 512] = (TABLES_GPA + (level + 1) * 0x1000) | 3;
	for (unsigned i = 0; i < 512; i++)
		tables[3 * 512 + i] = i * 0x1000 | 3;
}

static void set_config(uint8_t wants, uint8_t cpus)
{
	struct vm_config *config = &machine.config;

	*config = (struct vm_config){
		.restore = { .text = "file" },
		.mem_bytes = MEMORY_BYTES,
		.n_cpus = 1 + (cpus & 7) / 7,
		.acpi = cpus & 8,
		.serial = wants & NO_SERIAL ? SERIAL_NONE : SERIAL_STDIO,
		.n_nets = wants & HAS_NET ? 1 : 0,
		.vsock.guest_cid = wants & HAS_VSOCK ? 3 : 0,
		.start_fd = -1,
	};
	config->mem_given = wants & WANTS_MEM;
	config->cpus_given = wants & WANTS_CPUS;
	config->acpi_given = wants & WANTS_ACPI;
}

/* What the file's header has made of the plan is no more than options could have. */
static void check_plan(void)
{
	const struct vm_config *config = &machine.config;

	CHECK(config->n_cpus >= 1 && config->n_cpus <= MAX_CPUS);
	CHECK(config->mem_bytes >= MEMORY_BYTES && config->mem_bytes <= 1ull << 40 &&
	      config->mem_bytes % 4096 == 0);
	for (unsigned i = 0; i < config->n_nets; i++)
		CHECK(config->nets[i].has_mac && !(config->nets[i].mac[0] & 1));
}

/* Those that would restore devices find none. */
static void leave_devices_out(void)
{
	machine.config.n_nets = 0;
	machine.config.vsock.guest_cid = 0;
}

static void restore(void)
{
	static const atomic_bool never;
	struct snapshot_file *file = &machine.snapshot.file;
	struct error_text error;

	*file = (struct snapshot_file){ .fd = -1, .header = header };
	if (!snapshot_header_check(&header, header.memory_offset + header.memory_bytes, &error))
		return;
	if (header.sections_bytes > sections_bytes || !FUZZ_SURVIVES(machine_adopt_plan(&machine)))
		return;
	check_plan();
	leave_devices_out();
	file->sections = placed + SECTIONS_BYTES - sections_bytes;
	file->touched = &touched;
	machine_warm_clone(&machine, &never);
	if (!FUZZ_SURVIVES(machine_restore(&machine)))
		return;
	CHECK_EQ(model_kvm.n_msrs_set, machine.config.n_cpus);
	if (!FUZZ_SURVIVES(machine_restore_devices(&machine)))
		return;
	CHECK_EQ(file->at, header.sections_bytes);
	if (FUZZ_SURVIVES(machine_start_clocks(&machine)))
		CHECK(model_kvm.n_msrs_set <= 2 * machine.config.n_cpus);
}

static void write_seeds(void)
{
	static const uint8_t plain[] = { 0, 0, 0, 0, 10 };
	static const uint8_t many[] = { WANTS_MEM | WANTS_CPUS | WANTS_ACPI, 15, 0, 0, 255 };
	static const uint8_t edits[] = { HAS_NET | HAS_VSOCK,
					 8,
					 0,
					 0,
					 7,
					 0,
					 187,
					 0,
					 0,
					 1,
					 0xc,
					 8,
					 0,
					 0,
					 9,
					 2,
					 8,
					 0,
					 7,
					 32,
					 0,
					 1 };
	char name[16];

	fuzz_seed("plain", plain, sizeof(plain));
	fuzz_seed("many", many, sizeof(many));
	fuzz_seed("edits", edits, sizeof(edits));
	for (uint8_t call = 1; call < 24; call++) {
		snprintf(name, sizeof(name), "fails-%u", call);
		fuzz_seed(name, (const uint8_t[]){ 0, 8, call, EINVAL, 10 }, 5);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	write_seeds();
	fuzz_map_memory(&machine.memory, MEMORY_BYTES);
	machine.kvm_fd = machine.vm_fd = MODEL_KVM_FD;
	for (unsigned i = 0; i < MAX_CPUS; i++)
		machine.vcpus[i].fd = MODEL_KVM_FD;
	machine.console.wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	machine.cpuid.head.nent = 1;
	machine.cpuid.entries[0].function = 1;
	set_config(0, 0);
	machine_describe_host(&machine);
	CHECK_EQ(machine.snapshot.xsave_bytes, MODEL_XSAVE_BYTES);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, bytes };
	uint8_t wants = fuzz_byte(&input), cpus = fuzz_byte(&input);

	model_kvm = (struct model_kvm){ .calls_left = fuzz_byte(&input),
					.msrs = &machine.snapshot.msrs };
	model_kvm.error = 1 + fuzz_byte(&input) % 40;
	set_config(wants, cpus);
	machine.snapshot.file.header.generation = 0;
	machine_describe(&machine, &header);
	make_sections(fuzz_byte(&input));
	map_pages();
	memset(&touched, 0, sizeof(touched));
	edit_all(&input);
	touched.checksum =
		snapshot_checksum(&touched.n, sizeof(touched) - offsetof(struct touched_pages, n));
	header.magic = SNAPSHOT_MAGIC;
	header.version = SNAPSHOT_VERSION;
	header.sections_bytes = header.sections_bytes == 0 ? sections_bytes : header.sections_bytes;
	header.memory_offset = SNAPSHOT_MEMORY_ALIGN;
	/* They end where the array does: what lies behind them is not to be read. */
	memcpy(placed + SECTIONS_BYTES - sections_bytes, sections, sections_bytes);
	snapshot_set_checksums(&header, placed + SECTIONS_BYTES - sections_bytes, sections_bytes);
	restore();
	return 0;
}
