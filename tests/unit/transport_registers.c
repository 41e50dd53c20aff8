/* SPDX-License-Identifier: MIT */
/* The register window: every offset, width and direction on every rung of the status ladder (bug
 * classes 1 and 4). */
#include "tests/unit/transport_rig.h"

/* The registers whose 4-byte reads give the same on every rung. */
static bool constant_register(uint64_t offset, uint32_t *value)
{
	static const struct {
		uint64_t offset;
		uint32_t value;
	} constants[] = {
		{ 0x000, 0x74726976 }, { 0x004, 2 },
		{ 0x008, 42 },         { 0x034, 128 },
		{ 0x0fc, 0 },          { 0x010, (uint32_t)(FEATURES | TRANSPORT_OWN) },
		{ 0x0b0, UINT32_MAX }, { 0x0b4, UINT32_MAX },
		{ 0x0b8, UINT32_MAX }, { 0x0bc, UINT32_MAX },
	};

	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
		if (constants[i].offset == offset) {
			*value = constants[i].value;
			return true;
		}
	*value = 0;
	/* Vendor, queue ready, interrupt status and status are looked at elsewhere. */
	return offset != 0x00c && offset != 0x044 && offset != 0x060 && offset != 0x070;
}

static void check_read(uint64_t offset, unsigned length)
{
	uint8_t data[9] = { 0 };
	uint32_t expected;
	struct bus_access access = { offset, length, false, data };

	memset(data, 0xee, sizeof(data));
	virtio_transport_access(&transport, &access);
	CHECK_FILLED(data + length, 0xee, sizeof(data) - length);
	if (offset >= 0x100) {
		for (unsigned i = 0; i < length; i++) {
			uint64_t at = offset - 0x100 + i;
			CHECK_EQ(data[i], at < sizeof(config) ? config[at] : 0);
		}
	} else if (length != 4 || offset % 4 != 0) {
		CHECK_FILLED(data, 0, length);
	} else if (constant_register(offset, &expected)) {
		CHECK_BYTES(data, &expected, 4);
	}
}

static void test_class_1_register_bounds_every_read(void)
{
	for (enum rung rung = RESET; rung < RUNGS; rung++) {
		climb(rung);
		uint32_t before = status();
		for (uint64_t offset = 0; offset < 0x1000; offset++)
			for (unsigned length = 1; length <= 8; length *= 2)
				if (offset + length <= 0x1000)
					check_read(offset, length);
		CHECK_EQ(status(), before);
	}
}

static void test_status_on_the_rungs(void)
{
	static const uint32_t expected[RUNGS] = { 0, 1, 3, 11, 11, 15, 15 | 64, 15 | 128 };

	for (enum rung rung = RESET; rung < RUNGS; rung++) {
		climb(rung);
		CHECK_EQ(status(), expected[rung]);
		CHECK_EQ(in(VIRTIO_MMIO_QUEUE_READY), rung >= QUEUE_MADE);
		CHECK_EQ(in(VIRTIO_MMIO_INTERRUPT_STATUS), rung == BROKEN ? 2 : 0);
		CHECK_EQ(interrupts(), rung == BROKEN);
	}
}

/* Registers that a write may change on this rung. */
static bool may_write(enum rung rung, uint64_t offset)
{
	if (offset == VIRTIO_MMIO_STATUS)
		return true;
	if (offset == VIRTIO_MMIO_DRIVER_FEATURES)
		return rung == WITH_DRIVER;
	bool of_queue =
		offset == VIRTIO_MMIO_QUEUE_NUM || offset == VIRTIO_MMIO_QUEUE_READY ||
		(offset >= VIRTIO_MMIO_QUEUE_DESC_LOW && offset <= VIRTIO_MMIO_QUEUE_USED_HIGH);
	return of_queue && (rung == FEATURES_CHOSEN ||
			    (rung == QUEUE_MADE && offset == VIRTIO_MMIO_QUEUE_READY));
}

/* Classes 1 and 4: every offset and width takes every kind of value on every rung; where it is not
 * that register's turn nothing changes. */
static void test_class_4_live_queue_every_write(void)
{
	static const uint64_t values[] = { 0,      1,          2,          128,       129,
					   0xffff, 0x80000000, UINT32_MAX, UINT64_MAX };

	for (enum rung rung = RESET; rung < RUNGS; rung++)
		for (uint64_t offset = 0; offset < 0x200; offset++)
			for (unsigned length = 1; length <= 8; length *= 2)
				for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
					bool whole = length == 4 && offset % 4 == 0;
					climb(rung);
					struct state before = state_now();
					driver_access(&transport, offset, length, true, values[v]);
					if (!whole || offset >= 0x100 || !may_write(rung, offset))
						CHECK(same_state(before));
					CHECK_EQ(notified, 0);
				}
	CHECK_BYTES(config, "configuration", sizeof(config));
}

static void test_class_4_live_queue_stays(void)
{
	static const uint64_t offsets[] = { 0x038, 0x080, 0x084, 0x090, 0x094, 0x0a0, 0x0a4 };

	for (enum rung rung = QUEUE_MADE; rung < RUNGS; rung++)
		for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
			climb(rung);
			struct state before = state_now();
			out(offsets[i], 0x40);
			CHECK(same_state(before));
		}
	climb(RUNNING);
	struct state before = state_now();
	out(VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK(same_state(before)); /* not after DRIVER_OK */
	climb(QUEUE_MADE);
	out(VIRTIO_MMIO_QUEUE_READY, 0);
	CHECK_EQ(in(VIRTIO_MMIO_QUEUE_READY), 0);
	out(VIRTIO_MMIO_QUEUE_NUM, 8);
	out(VIRTIO_MMIO_QUEUE_READY, 1);
	CHECK_EQ(in(VIRTIO_MMIO_QUEUE_READY), 1);
	CHECK_EQ(device.queues[0].size, 8);
}

int main(void)
{
	CHECK(guest_memory_map(&memory, MEM_BYTES));
	RUN(test_class_1_register_bounds_every_read);
	RUN(test_status_on_the_rungs);
	RUN(test_class_4_live_queue_every_write);
	RUN(test_class_4_live_queue_stays);
	return 0;
}
