/* SPDX-License-Identifier: MIT */
/* A device with two windows: which of them has it, and since when; its doorbells. */
#include "tests/unit/transport_rig.h"

#define WORDS_GPA 0xc0001000u
#define ACPI_GPA  0xc0101000u

static struct bus mmio;

static uint32_t access_acpi(uint64_t offset, bool is_write, uint32_t value)
{
	bus_access(&mmio, ACPI_GPA + offset, (uint8_t *)&value, sizeof(value), is_write);
	return value;
}

static uint32_t acpi_in(uint64_t offset)
{
	return access_acpi(offset, false, 0xdeadbeef);
}

static void acpi_out(uint64_t offset, uint32_t value)
{
	access_acpi(offset, true, value);
}

static void set_up_two(void)
{
	set_up();
	mmio = (struct bus){ 0 };
	transport.gpas[VIRTIO_WINDOW_WORDS] = WORDS_GPA;
	virtio_transport_attach_acpi(&transport, &mmio, ACPI_GPA);
	atomic_store(&rig_doorbells, 0);
}

/* As Linux probes a window: what it is, a reset, the first step. */
static bool probe(uint32_t (*read)(uint64_t), void (*write)(uint64_t, uint32_t))
{
	CHECK_EQ(read(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	CHECK_EQ(read(VIRTIO_MMIO_VERSION), 2);
	if (read(VIRTIO_MMIO_DEVICE_ID) == 0)
		return false;
	CHECK_EQ(read(VIRTIO_MMIO_DEVICE_ID), 42);
	write(VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(read(VIRTIO_MMIO_STATUS), 0);
	write(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	CHECK_EQ(read(VIRTIO_MMIO_STATUS), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	return true;
}

static void test_first_probe_has_it(void)
{
	set_up_two();
	CHECK(probe(acpi_in, acpi_out));
	CHECK(!probe(in, out));
	CHECK(!probe(in, out));
	set_up_two();
	CHECK(probe(in, out));
	CHECK(!probe(acpi_in, acpi_out));
}

/* Two processors probe at once: one has seen the device before the other looks. */
static void test_look_is_enough(void)
{
	set_up_two();
	CHECK_EQ(acpi_in(VIRTIO_MMIO_DEVICE_ID), 42);
	CHECK_EQ(in(VIRTIO_MMIO_DEVICE_ID), 0);
	acpi_out(VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(in(VIRTIO_MMIO_DEVICE_ID), 0);
	/* A driver that does not look first. */
	set_up_two();
	out(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	CHECK_EQ(acpi_in(VIRTIO_MMIO_DEVICE_ID), 0);
	/* Whether there is a device at all can be asked at both. */
	set_up_two();
	CHECK_EQ(in(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	CHECK_EQ(in(VIRTIO_MMIO_STATUS), 0);
	CHECK_EQ(acpi_in(VIRTIO_MMIO_DEVICE_ID), 42);
}

/* The other window is a placeholder: nothing of the device is seen there, and nothing reaches it. */
static void test_placeholder(void)
{
	set_up_two();
	CHECK(probe(acpi_in, acpi_out));
	acpi_out(VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	struct state before = state_now();
	for (uint64_t offset = VIRTIO_MMIO_DEVICE_ID; offset < 0x200; offset += 4)
		CHECK_EQ(in(offset), 0);
	for (uint64_t offset = 0; offset < 0x200; offset += 4) {
		out(offset, 0);
		out(offset, UINT32_MAX);
	}
	CHECK(same_state(before));
	CHECK_EQ(resets, 1);
	CHECK_EQ(acpi_in(VIRTIO_MMIO_CONFIG), 'c' | 'o' << 8 | 'n' << 16 | (uint32_t)'f' << 24);
}

/* A driver's reset gives the device back: to the kernel that kexec starts, whichever window it knows. */
static void test_reset_gives_it_back(void)
{
	set_up_two();
	CHECK(probe(acpi_in, acpi_out));
	acpi_out(VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(acpi_in(VIRTIO_MMIO_STATUS), 0); /* a driver reads it back */
	CHECK(probe(in, out));
	CHECK(!probe(acpi_in, acpi_out));
	/* Linux unbinds a driver by a reset and the first step. */
	out(VIRTIO_MMIO_STATUS, 0);
	out(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	CHECK(!probe(acpi_in, acpi_out));
}

static void make_ready(void (*write)(uint64_t, uint32_t))
{
	write(VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	write(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	write(VIRTIO_MMIO_STATUS, STATUS_FEATURES_OK);
	write(VIRTIO_MMIO_STATUS, STATUS_DRIVER_OK);
	CHECK_EQ(device.status, STATUS_DRIVER_OK);
}

/* A queue's doorbell is connected by its first kick, once for each window, and by nothing else. */
static void test_doorbells(void)
{
	set_up_two();
	make_ready(out);
	out(VIRTIO_MMIO_QUEUE_NOTIFY, type.n_queues);
	acpi_out(VIRTIO_MMIO_QUEUE_NOTIFY, 0); /* a placeholder's */
	CHECK_EQ(atomic_load(&rig_doorbells), 0);
	out(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	out(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	CHECK_EQ(atomic_load(&rig_doorbells), 1);
	CHECK_EQ(atomic_load(&rig_doorbell_gpa), WORDS_GPA + VIRTIO_MMIO_QUEUE_NOTIFY);
	out(VIRTIO_MMIO_STATUS, 0);
	make_ready(acpi_out);
	acpi_out(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	CHECK_EQ(atomic_load(&rig_doorbells), 2);
	CHECK_EQ(atomic_load(&rig_doorbell_gpa), ACPI_GPA + VIRTIO_MMIO_QUEUE_NOTIFY);
	acpi_out(VIRTIO_MMIO_STATUS, 0);
	make_ready(acpi_out);
	acpi_out(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	acpi_out(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	CHECK_EQ(atomic_load(&rig_doorbells), 3);
	CHECK_EQ(activations, 3);
}

/* A kick that comes as an exit, before the doorbells are there, rings the same bell. */
static void test_kick_by_exit(void)
{
	uint64_t count = 0;

	set_up_two();
	ssize_t ignored = read(device.kick_fds[0], &count, sizeof(count));
	(void)ignored;
	make_ready(acpi_out);
	acpi_out(VIRTIO_MMIO_QUEUE_NOTIFY, 2); /* no such queue */
	CHECK(read(device.kick_fds[0], &count, sizeof(count)) < 0);
	acpi_out(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	CHECK_EQ(read(device.kick_fds[0], &count, sizeof(count)), sizeof(count));
	CHECK_EQ(count, 1);
	/* Nothing goes by the window that is a placeholder. */
	out(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	CHECK(read(device.kick_fds[0], &count, sizeof(count)) < 0);
}

int main(void)
{
	CHECK(guest_memory_map(&memory, MEM_BYTES));
	RUN(test_first_probe_has_it);
	RUN(test_look_is_enough);
	RUN(test_placeholder);
	RUN(test_reset_gives_it_back);
	RUN(test_doorbells);
	RUN(test_kick_by_exit);
	return 0;
}
