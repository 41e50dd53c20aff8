/* SPDX-License-Identifier: MIT */
/*
 * The input is a snapshot's header and sections. What the loader gives of them lies within them, its refusals are one line, and a file
 * that it takes whole has nothing left over. Checksums are set right, or nothing behind them would be reached; the devices' states have
 * fuzzers of their own.
 */
#include "irq/irqchip_state.h"
#include "snapshot/file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/snapshot_sections.h"

#define SECTIONS_MAX 65536u

static struct snapshot_file file;
static _Alignas(8) uint8_t sections[SECTIONS_MAX];
static struct error_text error;

static void check_refusal(void)
{
	CHECK(error.text[0] != '\0' && memchr(error.text, '\0', sizeof(error.text)) != NULL);
	CHECK(strchr(error.text, '\n') == NULL);
}

static void take_all(void)
{
	const struct snapshot_section *section;
	size_t length;

	while (file.header.sections_bytes - file.at >= sizeof(*section)) {
		section = (const void *)(file.sections + file.at);
		const void *data = snapshot_file_take(&file, section->kind, section->instance, 0,
						      SECTIONS_MAX, &length, &error);
		if (data == NULL) {
			check_refusal();
			return;
		}
		CHECK((const uint8_t *)data >= file.sections && length <= SECTIONS_MAX &&
		      (const uint8_t *)data + length <= file.sections + file.header.sections_bytes);
		if (section->kind == SNAPSHOT_IRQCHIP && length == sizeof(struct irqchip_state)) {
			CHECK(!irqchip_restore(-1, data, &error));
			check_refusal();
		}
	}
	CHECK(snapshot_file_ends(&file, &error) == (file.at == file.header.sections_bytes));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct {
		struct snapshot_header header;
		struct snapshot_section section;
		struct irqchip_state state;
	} seed = {
		.header = { .magic = SNAPSHOT_MAGIC,
			    .version = SNAPSHOT_VERSION,
			    .sections_bytes = sizeof(seed) - sizeof(seed.header),
			    .memory_offset = SNAPSHOT_MEMORY_ALIGN,
			    .memory_bytes = 128 << 20,
			    .n_cpus = 1 },
		.section = { .kind = SNAPSHOT_IRQCHIP, .bytes = sizeof(seed.state) },
		.state.chips = { { .chip_id = 0 },
				 { .chip_id = 1 },
				 { .chip_id = 2, .chip.ioapic.base_address = 0xfec00000 } },
	};

	(void)argc, (void)argv;
	fuzz_seed("plain", &seed, sizeof(seed));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (bytes < sizeof(file.header) || bytes - sizeof(file.header) > SECTIONS_MAX)
		return 0;
	bytes -= sizeof(file.header);
	memset(&file, 0, sizeof(file));
	memcpy(&file.header, data, sizeof(file.header));
	/* They end where the array does: what lies behind them is not to be read. */
	uint64_t taken = file.header.sections_bytes < bytes ? file.header.sections_bytes : bytes;
	taken &= ~7ull;
	uint8_t *first = sections + SECTIONS_MAX - taken;
	memcpy(first, data + sizeof(file.header), taken);
	snapshot_set_checksums(&file.header, first, taken);
	error.text[0] = '\0';
	if (!snapshot_header_check(&file.header,
				   file.header.memory_offset + file.header.memory_bytes, &error)) {
		check_refusal();
		return 0;
	}
	if (file.header.sections_bytes > taken)
		return 0; /* it would be too short */
	file.sections = first;
	take_all();
	return 0;
}
