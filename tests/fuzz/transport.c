/* SPDX-License-Identifier: MIT */
/*
 * The input is a sequence of register accesses (bug classes 1, 2, 4), of what the device does meanwhile, and of
 * what happens while a reset waits. A queue that is in use never changes, and what is ready lies in RAM.
 *
 * It does not reach, in transport.c: attach, start, detach and kicked(), which the fuzzers of the devices
 * do.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/unit/transport_rig.h"

#define OPERATIONS_MAX 400

enum operation {
	OP_READ,
	OP_WRITE,
	OP_ANY_ACCESS,
	OP_CLIMB,
	OP_BREAK,
	OP_START_WORK,
	OP_END_WORK,
	OP_PUSH,
	OP_CONFIG_CHANGED,
	OP_KICK_AGAIN,
	OP_READ_ACPI,
	OP_WRITE_ACPI,
	OPERATIONS,
};

/* The event that ends a reset's wait for the work of the earlier life. */
enum wait_end {
	WAIT_TIME_OUT,
	WAIT_WORK_ENDS,
	WAIT_OTHER_RESET,
	WAIT_NOTHING,
	WAIT_ENDS
};

static struct fuzz_input *current;

/* The clock and the other threads of a reset that waits. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
			   const struct timespec *end)
{
	enum wait_end what = (enum wait_end)(fuzz_byte(current) % WAIT_ENDS);

	(void)end;
	CHECK(condition == &device.drained && mutex == &device.lock && device.resetting);
	if (what == WAIT_WORK_ENDS) {
		device.in_flight = 0;
		virtio_device_drained(&device);
	} else if (what == WAIT_OTHER_RESET) {
		CHECK_EQ(pthread_mutex_unlock(mutex), 0);
		out(VIRTIO_MMIO_STATUS, 0);
		CHECK_EQ(pthread_mutex_lock(mutex), 0);
	}
	return what == WAIT_TIME_OUT ? ETIMEDOUT : 0;
}

static const uint16_t registers[] = {
	0x000, 0x004, 0x008, 0x00c, 0x010, 0x014, 0x020, 0x024, 0x030, 0x034, 0x038,
	0x044, 0x050, 0x060, 0x064, 0x070, 0x080, 0x084, 0x090, 0x094, 0x0a0, 0x0a4,
	0x0ac, 0x0b0, 0x0b4, 0x0b8, 0x0bc, 0x0c0, 0x0fc, 0x100, 0x104, 0x10c,
};

#define REGISTER_COUNT (sizeof(registers) / sizeof(registers[0]))

/* One write in the input's form. */
static size_t put_write(uint8_t *at, uint16_t offset, uint32_t value)
{
	unsigned i = 0;

	while (registers[i] != offset)
		i++;
	uint8_t bytes[] = { OP_WRITE, (uint8_t)i, 0, (uint8_t)value, (uint8_t)(value >> 8) };
	memcpy(at, bytes, sizeof(bytes));
	return sizeof(bytes);
}

struct bring_up {
	uint16_t offset;
	uint32_t value;
};

static const struct bring_up bring_up[] = {
	{ 0x070, 1 }, { 0x070, 3 },  { 0x024, 1 },      { 0x020, 1 },      { 0x070, 11 },
	{ 0x030, 0 }, { 0x038, 16 }, { 0x080, 0x1000 }, { 0x090, 0x2000 }, { 0x0a0, 0x3000 },
	{ 0x044, 1 }, { 0x070, 15 }, { 0x050, 0 },      { 0x064, 1 },
};

static size_t put_bring_up(uint8_t *at)
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof(bring_up) / sizeof(bring_up[0]); i++)
		n += put_write(at + n, bring_up[i].offset, bring_up[i].value);
	return n;
}

/* A reset waits, with each end; then the driver is back before the work has ended. */
static void seed_waits(void)
{
	struct fuzz_program seed = { .n = put_bring_up(seed.bytes) };

	for (uint8_t end = 0; end < WAIT_ENDS; end++) {
		FUZZ_APPEND(&seed, OP_START_WORK);
		seed.n += put_write(seed.bytes + seed.n, 0x070, 0);
		FUZZ_APPEND(&seed, end, end, WAIT_TIME_OUT);
		seed.n += put_bring_up(seed.bytes + seed.n);
		FUZZ_APPEND(&seed, OP_CONFIG_CHANGED, OP_END_WORK, OP_KICK_AGAIN);
	}
	fuzz_seed("waits", seed.bytes, seed.n);
}

/* Every register and the configuration are read, and what must not be written is written. */
static void seed_reads(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_CLIMB, RUNNING);
	for (uint8_t i = 0; i < REGISTER_COUNT; i++)
		FUZZ_APPEND(&seed, OP_READ, i, OP_CLIMB, QUEUE_MADE, OP_READ, i);
	for (uint8_t i = 0; i < 16; i++)
		FUZZ_APPEND(&seed, OP_ANY_ACCESS, i, (uint8_t)(1 | i << 4), 0, i, 0);
	seed.n += put_write(seed.bytes + seed.n, 0x044, 0);
	fuzz_seed("reads", seed.bytes, seed.n);
}

/* A driver by ACPI, whose kernel finds the words' window, too; after its reset a driver there. */
static void seed_windows(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_READ_ACPI, 2, OP_READ, 2);
	seed.n += put_bring_up(seed.bytes + seed.n);
	for (size_t at = 4; at < seed.n; at += 5)
		seed.bytes[at] = OP_WRITE_ACPI;
	FUZZ_APPEND(&seed, OP_WRITE, 15, 0, 0, 0, OP_ANY_ACCESS, 0, 0, 0, 1);
	FUZZ_APPEND(&seed, OP_WRITE_ACPI, 15, 0, 0, 0, OP_READ, 2);
	seed.n += put_bring_up(seed.bytes + seed.n);
	fuzz_seed("windows", seed.bytes, seed.n);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint8_t seed[256];

	(void)argc, (void)argv;
	fuzz_map_memory(&memory, MEM_BYTES);
	fuzz_seed("bring-up", seed, put_bring_up(seed));
	seed_waits();
	seed_reads();
	seed_windows();
	for (uint8_t rung = 0; rung < RUNGS; rung++) {
		uint8_t climbing[] = {
			OP_CLIMB, rung, OP_READ, 15, OP_PUSH,     OP_START_WORK, OP_WRITE,
			15,       0,    0,       0,  OP_END_WORK, OP_BREAK,      OP_ANY_ACCESS,
			0,        1,    2
		};
		char name[16];
		snprintf(name, sizeof(name), "rung-%u", rung);
		fuzz_seed(name, climbing, sizeof(climbing));
	}
	return 0;
}

static void any_access(struct fuzz_input *input)
{
	uint16_t what = fuzz_u16(input);
	uint8_t data[16];
	struct bus_access access = { .length = 1u << (what >> 12 & 3),
				     .is_write = what >> 15,
				     .data = data };
	uint64_t value = fuzz_number(input);

	access.offset = what & 0xfff;
	if (access.offset + access.length > 0x1000)
		return;
	memset(data, 0xee, sizeof(data));
	memcpy(data, &value, 8);
	virtio_transport_access(&transport, &access);
	CHECK_FILLED(data + 8, 0xee, 8);
}

static uint32_t access_acpi(uint64_t offset, bool is_write, uint32_t value)
{
	struct bus_access access = { offset, sizeof(value), is_write, (uint8_t *)&value };

	virtio_transport_access_acpi(&transport, &access);
	return value;
}

/* The window that has not got the device shows none. Looking there changes nothing. */
static void check_windows(void)
{
	if (transport.claimed_by == VIRTIO_WINDOW_WORDS)
		CHECK_EQ(access_acpi(VIRTIO_MMIO_DEVICE_ID, false, 1), 0);
	else if (transport.claimed_by == VIRTIO_WINDOW_ACPI)
		CHECK_EQ(in(VIRTIO_MMIO_DEVICE_ID), 0);
	else
		CHECK_EQ(device.status & ~VIRTIO_CONFIG_S_NEEDS_RESET, 0u);
}

static void do_operation(struct fuzz_input *input)
{
	uint8_t operation = fuzz_byte(input) % OPERATIONS;

	if (operation == OP_READ) {
		in(registers[fuzz_byte(input) % REGISTER_COUNT]);
	} else if (operation == OP_WRITE) {
		uint16_t offset = registers[fuzz_byte(input) % REGISTER_COUNT];
		out(offset, (uint32_t)fuzz_number(input));
	} else if (operation == OP_ANY_ACCESS) {
		any_access(input);
	} else if (operation == OP_CLIMB) {
		climb((enum rung)(fuzz_byte(input) % RUNGS));
		device.reset_wait_ms = 1;
	} else if (operation == OP_BREAK) {
		virtio_device_break(&device);
	} else if (operation == OP_START_WORK && virtio_device_is_live(&device)) {
		device.in_flight++;
	} else if (operation == OP_END_WORK && device.in_flight > 0) {
		if (--device.in_flight == 0)
			virtio_device_drained(&device);
	} else if (operation == OP_PUSH && virtio_device_is_live(&device) &&
		   device.queues[0].ready) {
		virtqueue_push(&device.queues[0], 0, 0);
		virtio_device_signal(&device);
	} else if (operation == OP_CONFIG_CHANGED) {
		virtio_device_config_changed(&device);
	} else if (operation == OP_KICK_AGAIN) {
		virtio_device_kick_again(&device, 1);
	} else if (operation == OP_READ_ACPI) {
		access_acpi(registers[fuzz_byte(input) % REGISTER_COUNT], false, 0);
	} else if (operation == OP_WRITE_ACPI) {
		uint16_t offset = registers[fuzz_byte(input) % REGISTER_COUNT];
		access_acpi(offset, true, (uint32_t)fuzz_number(input));
	}
}

static void check_queue(const struct virtqueue *queue)
{
	if (!queue->ready)
		return;
	CHECK(queue->size > 0 && queue->size <= VIRTQUEUE_MAX_SIZE);
	CHECK((queue->size & (queue->size - 1)) == 0);
	CHECK(fuzz_in_memory(&memory, queue->desc, queue->size * 16u));
	CHECK(fuzz_in_memory(&memory, queue->avail, queue->size * 2u + 6));
	CHECK(fuzz_in_memory(&memory, queue->used, queue->size * 8u + 6));
	CHECK(queue->desc == guest_memory_at(&memory, queue->desc_gpa, 1));
}

/* Places and sizes of the queues, which stay while DRIVER_OK does. */
static bool same_queues(const struct virtqueue *a, const struct virtqueue *b)
{
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		if (a[i].size != b[i].size || a[i].desc != b[i].desc || a[i].avail != b[i].avail ||
		    a[i].used != b[i].used || a[i].ready != b[i].ready)
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, bytes };

	current = &input;
	set_up();
	device.reset_wait_ms = 1;
	for (unsigned i = 0; i < OPERATIONS_MAX && input.left > 0; i++) {
		struct state before = state_now();
		uint32_t generation = device.generation;
		bool climbs = *input.at % OPERATIONS == OP_CLIMB;
		do_operation(&input);
		check_queue(&device.queues[0]);
		check_queue(&device.queues[1]);
		check_windows();
		CHECK_EQ(device.status & ~0xcfu, 0);
		CHECK((device.features & ~(FEATURES | TRANSPORT_OWN)) == 0 ||
		      !(device.status & VIRTIO_CONFIG_S_FEATURES_OK));
		CHECK(!device.resetting || device.in_flight > 0);
		if (!climbs && (before.status & VIRTIO_CONFIG_S_DRIVER_OK) &&
		    device.generation == generation)
			CHECK(same_queues(before.queues, device.queues));
	}
	return 0;
}
