/* SPDX-License-Identifier: MIT */
/* Registers, of every device. */
#include "hostile/hostile.h"

#define WINDOW_BYTES  0x1000u
#define REGISTERS_END 0x140u
#define OK_STATUS     (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK)
#define RESETS        (80u * effort)
#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))

static uint32_t read(const struct target *target, uint32_t reg)
{
	return virtio_read(target->device, reg);
}

static void write(const struct target *target, uint32_t reg, uint32_t value)
{
	virtio_write(target->device, reg, value);
}

static void reads_of_every_width(const struct target *target)
{
	uint64_t base = target->device->base;

	for (uint32_t offset = 0; offset < WINDOW_BYTES;
	     offset += offset < REGISTERS_END ? 1 : 509) {
		(void)mmio_read8(base + offset);
		(void)mmio_read16(base + offset);
		(void)mmio_read32(base + offset);
		(void)mmio_read64(base + offset);
	}
}

/* Widths and alignments that no register has are ignored, a status of 0 among them. */
static void odd_writes(const struct target *target)
{
	uint64_t base = target->device->base;

	for (uint32_t offset = 0; offset < REGISTERS_END; offset++) {
		mmio_write8(base + offset, 0);
		mmio_write16(base + offset, 0xffff);
		mmio_write64(base + offset, 0);
		if (offset % 4 != 0)
			mmio_write32(base + offset, UINT32_MAX);
	}
	if (read(target, REG_STATUS) != OK_STATUS)
		fails("a write that is none has changed the status");
}

static void behind_the_registers(const struct target *target)
{
	for (uint32_t offset = REG_CONFIG; offset < WINDOW_BYTES;
	     offset += offset < 0x200 ? 4 : 68) {
		write(target, offset, UINT32_MAX);
		if (offset >= 0x200 && read(target, offset) != 0)
			fails("there is something behind the configuration");
	}
}

static void config_reads_at_the_end(const struct target *target)
{
	for (uint32_t offset = REG_CONFIG; offset < REG_CONFIG + 0x80; offset++) {
		(void)mmio_read64(target->device->base + offset);
		(void)mmio_read16(target->device->base + offset);
	}
	if (mmio_read64(target->device->base + WINDOW_BYTES - 8) != 0)
		fails("the last bytes of the window are not 0");
}

/* Everything but the status, the notification and the queue's number. */
static void rewrite_all(const struct target *target, uint32_t value)
{
	for (uint32_t reg = 0; reg < REG_CONFIG; reg += 4)
		if (reg != REG_STATUS && reg != REG_QUEUE_NOTIFY && reg != REG_QUEUE_SEL)
			write(target, reg, value);
}

static void live_rewrite(const struct target *target, uint32_t value)
{
	for (uint32_t queue = 0; queue < target->queues; queue++) {
		write(target, REG_QUEUE_SEL, queue);
		rewrite_all(target, value);
		if (read(target, REG_QUEUE_READY) != 1)
			fails("a queue in use is not ready any more");
		kick(target);
	}
}

static void live_rewrite_zeroes(const struct target *target)
{
	live_rewrite(target, 0);
}

static void live_rewrite_ones(const struct target *target)
{
	live_rewrite(target, UINT32_MAX);
}

static void live_rewrite_small(const struct target *target)
{
	live_rewrite(target, 1);
	live_rewrite(target, 3);
}

/* Resized and moved behind the kick. */
static void live_rewrite_in_flight(const struct target *target)
{
	for (unsigned i = 0; i < 5 * effort; i++) {
		good_chain(target);
		kick(target);
		live_rewrite(target, random32());
	}
}

static void queue_select_anything(const struct target *target)
{
	static const uint32_t values[] = { 3,      4,       127,        128,       0xff,
					   0xffff, 0x10000, 0x80000000, UINT32_MAX };

	for (size_t i = 0; i < COUNT(values); i++) {
		write(target, REG_QUEUE_SEL, values[i]);
		if (read(target, REG_QUEUE_NUM_MAX) != 0 || read(target, REG_QUEUE_READY) != 0)
			fails("there is a queue of that number");
		rewrite_all(target, values[i]);
	}
}

static void feature_select_anything(const struct target *target)
{
	static const uint32_t values[] = { 2, 3, 31, 32, 63, 64, 0x80000000, UINT32_MAX };

	for (size_t i = 0; i < COUNT(values); i++) {
		write(target, REG_DEVICE_FEATURES_SEL, values[i]);
		write(target, REG_DRIVER_FEATURES_SEL, values[i]);
		write(target, REG_DRIVER_FEATURES, UINT32_MAX);
		if (read(target, REG_DEVICE_FEATURES) != 0)
			fails("there are features of that number");
	}
}

static void notify_16_bits(const struct target *target)
{
	for (uint32_t value = 0; value <= 0xffff; value += value < 130 ? 1 : 1331)
		write(target, REG_QUEUE_NOTIFY, value);
}

static void notify_32_bits(const struct target *target)
{
	for (unsigned bit = 0; bit < 32; bit++) {
		write(target, REG_QUEUE_NOTIFY, 1u << bit);
		write(target, REG_QUEUE_NOTIFY, UINT32_MAX << bit);
		write(target, REG_QUEUE_NOTIFY, (1u << bit) + target->queues);
	}
}

static void notify_other_widths(const struct target *target)
{
	for (unsigned i = 0; i < 64; i++) {
		mmio_write8(target->device->base + REG_QUEUE_NOTIFY, (uint8_t)i);
		mmio_write16(target->device->base + REG_QUEUE_NOTIFY, (uint16_t)i);
		mmio_write64(target->device->base + REG_QUEUE_NOTIFY, i);
	}
}

static void notify_without_a_driver(const struct target *target)
{
	if (!virtio_reset(target->device))
		fails("no reset");
	for (unsigned i = 0; i < 100 * effort; i++)
		write(target, REG_QUEUE_NOTIFY, i % 4);
}

/* No queue is ready then. */
static void status_out_of_order(const struct target *target)
{
	for (uint32_t status = 0xff; status > 0;
	     status = effort > 1 ? status - 1 : status * 7 / 8) {
		if (!virtio_reset(target->device)) {
			fails("no reset");
			return;
		}
		write(target, REG_STATUS, status);
		write(target, REG_QUEUE_NOTIFY, 0);
		if (read(target, REG_STATUS) & STATUS_NEEDS_RESET)
			fails("it asks for a reset");
	}
}

static void status_of_32_bits(const struct target *target)
{
	for (unsigned bit = 8; bit < 32; bit++)
		write(target, REG_STATUS, 1u << bit);
	write(target, REG_STATUS, UINT32_MAX & ~0x80u);
	if (read(target, REG_STATUS) & ~0xcfu)
		fails("it keeps bits that are none");
}

/* The driver may not set NEEDS_RESET. */
static void status_needs_reset_by_the_driver(const struct target *target)
{
	write(target, REG_STATUS, OK_STATUS | STATUS_NEEDS_RESET);
	if (read(target, REG_STATUS) & STATUS_NEEDS_RESET)
		fails("the driver can set NEEDS_RESET");
}

static void features_after_ok(const struct target *target)
{
	for (unsigned half = 0; half < 2; half++) {
		write(target, REG_DRIVER_FEATURES_SEL, half);
		write(target, REG_DRIVER_FEATURES, UINT32_MAX);
	}
	good_chain(target);
	kick(target);
}

static void features_not_offered(const struct target *target)
{
	uint64_t offered = virtio_offered(target->device);

	for (unsigned bit = 0; bit < 64; bit++) {
		if (offered >> bit & 1)
			continue;
		if (!virtio_reset(target->device) || virtio_negotiate(target->device, 1ull << bit))
			fails("it accepts a feature that it does not offer");
	}
}

/* VERSION_1 is not optional. */
static void features_without_version_1(const struct target *target)
{
	if (!virtio_reset(target->device))
		fails("no reset");
	write(target, REG_STATUS, STATUS_ACKNOWLEDGE);
	write(target, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	write(target, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	if (read(target, REG_STATUS) & STATUS_FEATURES_OK)
		fails("it accepts a driver without VERSION_1");
}

/* One after the other of the offered ones alone, and all of them. */
static void feature_subsets(const struct target *target)
{
	uint64_t offered = virtio_offered(target->device);

	for (unsigned bit = 0; bit <= 64; bit++) {
		uint64_t set = bit == 64 ? offered : 1ull << bit & offered;
		if (set == 0)
			continue;
		if (!target->start(set)) {
			fails("it does not start with a feature that it offers");
			return;
		}
		good_chain(target);
		kick(target);
	}
}

static void reset_storm(const struct target *target)
{
	for (unsigned i = 0; i < RESETS; i++)
		if (!virtio_reset(target->device))
			fails("no reset");
}

static void restart_storm(const struct target *target)
{
	for (unsigned i = 0; i < RESETS / 8; i++) {
		if (!target->start(0))
			fails("it does not start");
		good_chain(target);
		kick(target);
	}
}

/* A driver that does not wait until the status reads 0. */
static void restart_without_waiting(const struct target *target)
{
	for (unsigned i = 0; i < RESETS / 4; i++) {
		good_chain(target);
		kick(target);
		write(target, REG_STATUS, 0);
		(void)virtio_negotiate(target->device, 0);
		for (uint32_t queue = 0; queue < target->queues; queue++)
			virtio_make_queue(target->device, target->queue, queue);
		target->queue->number = i % target->queues;
		virtio_driver_ok(target->device);
	}
	target->queue->number = 0;
}

static void interrupt_acknowledge_anything(const struct target *target)
{
	for (unsigned bit = 0; bit < 32; bit++)
		write(target, REG_INTERRUPT_ACK, UINT32_MAX << bit);
	write(target, REG_INTERRUPT_STATUS, UINT32_MAX);
	if (read(target, REG_INTERRUPT_STATUS) & ~(INTERRUPT_RING | INTERRUPT_CONFIG))
		fails("an interrupt that is none");
}

/* Every completion raises an interrupt, none is acknowledged. */
static void interrupt_flood(const struct target *target)
{
	for (unsigned i = 0; i < 100 * effort; i++) {
		good_chain(target);
		target->queue->avail.flags = 0;
		kick(target);
	}
}

static void exit_flood(const struct target *target)
{
	for (unsigned i = 0; i < 500 * effort; i++)
		(void)read(target, REG_INTERRUPT_STATUS);
}

static void random_registers(const struct target *target)
{
	for (unsigned i = 0; i < 400 * effort; i++) {
		uint32_t reg = random32() % (REG_CONFIG / 4) * 4;
		/* No queue at an address that the device could write to: that is another case. */
		bool is_address = reg >= REG_QUEUE_DESC && reg < REG_QUEUE_USED + 8;
		write(target, reg, is_address ? random32() | 1 : random32());
	}
}

/* cases: block net stream vsock */
static const struct hostile_case cases[] = {
	{ "reads-of-every-width", 1, LIVES, 0, reads_of_every_width },
	{ "odd-writes", 1, LIVES, 0, odd_writes },
	{ "behind-the-registers", 1, LIVES, 0, behind_the_registers },
	{ "config-reads-at-the-end", 1, LIVES, 0, config_reads_at_the_end },
	{ "live-rewrite-zeroes", 4, LIVES, 0, live_rewrite_zeroes },
	{ "live-rewrite-ones", 4, LIVES, 0, live_rewrite_ones },
	{ "live-rewrite-small", 4, LIVES, 0, live_rewrite_small },
	{ "live-rewrite-in-flight", 4, ANY, 0, live_rewrite_in_flight },
	{ "queue-select-anything", 1, LIVES, 0, queue_select_anything },
	{ "feature-select-anything", 1, LIVES, 0, feature_select_anything },
	{ "notify-16-bits", 2, LIVES, 0, notify_16_bits },
	{ "notify-32-bits", 2, LIVES, 0, notify_32_bits },
	{ "notify-other-widths", 2, LIVES, 0, notify_other_widths },
	{ "notify-without-a-driver", 2, LIVES, 0, notify_without_a_driver },
	{ "status-out-of-order", 4, LIVES, 0, status_out_of_order },
	{ "status-of-32-bits", 1, LIVES, 0, status_of_32_bits },
	{ "status-needs-reset-by-the-driver", 4, LIVES, 0, status_needs_reset_by_the_driver },
	{ "features-after-ok", 18, LIVES, 0, features_after_ok },
	{ "features-not-offered", 18, LIVES, 0, features_not_offered },
	{ "features-without-version-1", 18, LIVES, 0, features_without_version_1 },
	{ "feature-subsets", 18, LIVES, 0, feature_subsets },
	{ "reset-storm", 17, LIVES, 0, reset_storm },
	{ "restart-storm", 17, LIVES, 0, restart_storm },
	{ "restart-without-waiting", 17, ANY, 0, restart_without_waiting },
	{ "interrupt-acknowledge-anything", 1, LIVES, 0, interrupt_acknowledge_anything },
	{ "interrupt-flood", 15, ANY, 0, interrupt_flood },
	{ "exit-flood", 9, LIVES, 0, exit_flood },
	{ "random-registers", 4, ANY, 0, random_registers },
};
HOSTILE_TABLE(transport_table, cases, "block net stream vsock");
