/* SPDX-License-Identifier: MIT */
/* The NIC's features, and the frames that a driver gets with them. */
#include "tests/unit/check.h"
#include "tests/unit/net_rig.h"

static uint8_t frame[200];

#define MRG   FEATURE(VIRTIO_NET_F_MRG_RXBUF)
#define GCSUM FEATURE(VIRTIO_NET_F_GUEST_CSUM)
#define GTSO4 FEATURE(VIRTIO_NET_F_GUEST_TSO4)
#define GTSO6 FEATURE(VIRTIO_NET_F_GUEST_TSO6)
#define GUFO  FEATURE(VIRTIO_NET_F_GUEST_UFO)
#define GUSO  (FEATURE(54) | FEATURE(55))

static void test_mac(void)
{
	uint8_t macs[64][6];
	const char *const names[] = { "tap0",  "tap1", "0tap", "", "a", "fifteenbyteslon",
				      "tap00", "pat0" };

	for (unsigned n = 0; n < 8; n++) {
		for (unsigned i = 0; i < 8; i++) {
			uint8_t again[6];
			net_make_mac(macs[n * 8 + i], names[n], i);
			net_make_mac(again, names[n], i);
			CHECK_BYTES(again, macs[n * 8 + i], 6);
			CHECK_EQ(again[0] & 3, 2); /* unicast, locally administered */
		}
	}
	for (unsigned a = 0; a < 64; a++)
		for (unsigned b = 0; b < a; b++)
			CHECK(memcmp(macs[a], macs[b], 6) != 0);
}

static void test_config(void)
{
	static const struct {
		uint32_t offloads;
		uint64_t features;
	} cases[] = {
		{ 0, 0 },
		{ TUN_F_CSUM, GCSUM | FEATURE(0) },
		{ TUN_F_CSUM | TUN_F_TSO4, GCSUM | FEATURE(0) | GTSO4 | FEATURE(11) },
		{ ALL_OFFLOADS, GCSUM | FEATURE(0) | GTSO4 | FEATURE(11) | GTSO6 | FEATURE(12) |
					GUFO | FEATURE(14) | GUSO | FEATURE(56) },
	};
	const uint64_t always = MRG | FEATURE(VIRTIO_NET_F_MAC) | FEATURE(VIRTIO_NET_F_STATUS) |
				FEATURE(VIRTIO_NET_F_MTU);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		nic_open(cases[i].offloads, i == 3 ? 9000 : 0);
		CHECK_EQ(nic.device.offered_features, always | cases[i].features);
		for (unsigned at = 0; at < 6; at++)
			CHECK_EQ(
				driver_access(&rig.transport, VIRTIO_MMIO_CONFIG + at, 1, false, 0),
				rig_mac[at]);
		CHECK_EQ(driver_access(&rig.transport, VIRTIO_MMIO_CONFIG + 6, 2, false, 0),
			 VIRTIO_NET_S_LINK_UP);
		CHECK_EQ(driver_access(&rig.transport, VIRTIO_MMIO_CONFIG + 10, 2, false, 0),
			 i == 3 ? 9000 : 1500);
		CHECK_EQ(driver_access(&rig.transport, VIRTIO_MMIO_CONFIG + 12, 4, false, 0), 0);
		nic_close();
	}
}

/* Offloads that the TAP hands over are those that the driver asked for. It is told when they change, not
 * when the driver resets and comes back: each time tells the whole host. */
static void test_offloads_follow_the_driver(void)
{
	static const struct {
		uint64_t features;
		uint32_t offloads;
	} cases[] = {
		{ GCSUM | GTSO4 | GTSO6 | GUFO | GUSO, ALL_OFFLOADS },
		{ 0, 0 },
		{ GTSO4 | GTSO6 | GUFO | GUSO, 0 }, /* they need GUEST_CSUM */
		{ GCSUM, TUN_F_CSUM },
		{ GCSUM | GTSO6, TUN_F_CSUM | TUN_F_TSO6 },
		{ GCSUM | GTSO4 | GUFO, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_UFO },
		{ GCSUM | GTSO4 | GTSO6 | GUFO | GUSO, ALL_OFFLOADS },
	};

	nic_open(ALL_OFFLOADS, 0);
	uint32_t told = tap_offloads_set = ALL_OFFLOADS; /* as tap_open() leaves it */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tap_offloads_times = 0;
		for (unsigned life = 0; life < 3; life++) {
			nic_start(cases[i].features);
			CHECK_EQ(tap_offloads_set, cases[i].offloads);
			queues_reset();
		}
		CHECK_EQ(tap_offloads_times, told != cases[i].offloads);
		told = cases[i].offloads;
	}
	nic_close();
}

static void *restart_nic(void *none)
{
	queues_reset();
	driver_negotiate(&rig.transport, FEATURE(VIRTIO_F_VERSION_1) | GCSUM);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, STATUS_DRIVER_OK);
	return none;
}

static pthread_t second_vcpu;

/* One vCPU waits for the host: nobody else waits for the device, frames arrive, and another
 * vCPU starts the NIC anew with other features. */
static void others_go_on(void)
{
	int64_t limit = clock_now_ms() + RIG_WAIT_MS;

	if (tap_offloads_times != 1)
		return;
	CHECK_EQ(pthread_mutex_trylock(&nic.device.lock), 0);
	pthread_mutex_unlock(&nic.device.lock);
	nic_offer_rx(0, 2000);
	queues_kick(NET_RX);
	make_frame(frame, sizeof(frame), 1);
	host_send(frame, sizeof(frame));
	RIG_RUN_UNTIL(queues_used(NET_RX) == 1);
	CHECK_EQ(pthread_create(&second_vcpu, NULL, restart_nic, NULL), 0);
	while (!(driver_read(&rig.transport, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_DRIVER_OK) ||
	       !(nic.device.features & GCSUM))
		CHECK(clock_now_ms() < limit);
}

/* Class 26: the host's RTNL lock may be held for seconds. Only the vCPU that starts the NIC waits for it. */
static void test_class_26_host_lock_only_the_vcpu_waits(void)
{
	tap_offloads_times = 0;
	tap_offloads_waits = others_go_on;
	nic_open(ALL_OFFLOADS, 0);
	nic_start(0);
	CHECK_EQ(pthread_join(second_vcpu, NULL), 0);
	CHECK_EQ(tap_offloads_times, 2);
	CHECK_EQ(tap_offloads_set, TUN_F_CSUM);
	tap_offloads_waits = NULL;
	nic_close();
}

static bool should_accept(uint64_t features, uint8_t flags, uint8_t gso)
{
	if ((flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !(features & GCSUM))
		return false;
	switch (gso & 0x7f) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return features & GTSO4;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return features & GTSO6;
	case VIRTIO_NET_HDR_GSO_UDP:
		return features & GUFO;
	case 5:
		return (features & GUSO) == GUSO;
	default:
		return false;
	}
}

/* A frame with every header arrives whole behind 12 bytes of header, or is dropped and its buffer
 * used for the next. */
static void check_headers(uint64_t features)
{
	static const uint8_t gso_types[] = { 0, 1, 3, 4, 5, 0x81, 0x84, 2, 0x7f, 0xff };
	static const uint8_t flags[] = { 0, VIRTIO_NET_HDR_F_NEEDS_CSUM,
					 VIRTIO_NET_HDR_F_DATA_VALID };

	nic_start(features);
	nic_offer_rx(0, 80000);
	queues_kick(NET_RX);
	for (unsigned i = 0; i < sizeof(gso_types) * sizeof(flags); i++) {
		uint8_t gso = gso_types[i % sizeof(gso_types)], flag = flags[i / sizeof(gso_types)];
		uint8_t *at = rig_at(RX_BUFFER_GPA);
		make_frame(frame, 200, i);
		frame[0] = flag;
		frame[1] = gso;
		memcpy(frame + 2, "\x36\x00\xb4\x05\x22\x00\x10\x00\xff\xff", 10);
		host_send(frame, 200);
		RIG_RUN_UNTIL(!tap_holds_frames() && nic.rx.reads_in_flight == 0);
		if (!should_accept(features, flag, gso)) {
			CHECK_EQ(queues_used(NET_RX), 0);
			continue;
		}
		CHECK_EQ(queues_used(NET_RX), 1);
		struct vring_used_elem used = queues_take(NET_RX);
		CHECK_EQ(used.id, 0);
		CHECK_EQ(used.len, 200);
		frame[10] = 1; /* num_buffers */
		frame[11] = 0;
		CHECK_BYTES(at, frame, 200);
		CHECK_FILLED(at + 200, 0xee, 100);
		nic_offer_rx(0, 80000);
		queues_kick(NET_RX);
	}
	queues_reset();
	RIG_RUN_UNTIL(queues_status() == 0);
}

/* Class 18: the header's size and meaning with every subset of what may be negotiated. */
static void test_class_18_header_size_feature_subsets(void)
{
	static const uint64_t bits[] = { MRG,
					 GCSUM,
					 GTSO4,
					 GTSO6,
					 GUFO,
					 GUSO,
					 FEATURE(VIRTIO_RING_F_EVENT_IDX),
					 FEATURE(VIRTIO_RING_F_INDIRECT_DESC) };

	nic_open(ALL_OFFLOADS, 0);
	for (unsigned subset = 0; subset < 256; subset++) {
		uint64_t features = 0;
		for (unsigned i = 0; i < 8; i++)
			features |= subset >> i & 1 ? bits[i] : 0;
		check_headers(features);
	}
	nic_close();
}

int main(void)
{
	RUN(test_mac);
	RUN(test_config);
	RUN(test_offloads_follow_the_driver);
	RUN(test_class_26_host_lock_only_the_vcpu_waits);
	RUN(test_class_18_header_size_feature_subsets);
	return 0;
}
