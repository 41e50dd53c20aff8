/* SPDX-License-Identifier: MIT */
/* Frames from the guest, and a TAP that takes no more or goes away. */
#include <dirent.h>
#include <termios.h>

#include "tests/unit/check.h"
#include "tests/unit/net_tx_rig.h"

static void test_tx_order(void)
{
	static const uint64_t features[] = { 0, RING_FEATURES };

	for (unsigned f = 0; f < 2; f++) {
		uint64_t total = 0, bytes = 0;
		nic_open(ALL_OFFLOADS, 0);
		nic_start(features[f]);
		for (unsigned round = 0; round < 20; round++) {
			unsigned n = round % 3 ? round : RIG_QUEUE_SIZE;
			for (uint16_t head = 0; head < n; head++)
				offer_tx(head, 13 + (head * 977 + round) % 9000,
					 round * 128 + head);
			queues_kick(NET_TX);
			take_all_tx(n);
			CHECK(queues_interrupts() > 0 || (f == 1 && round > 0));
			for (unsigned head = 0; head < n; head++)
				check_sent(13 + (head * 977 + round) % 9000, round * 128 + head);
			check_nothing_sent();
			CHECK_EQ(nic.device.count.errors, 0);
			total += n;
			for (unsigned head = 0; head < n; head++)
				bytes += 1 + (head * 977 + round) % 9000;
			CHECK_EQ(nic.device.count.requests, total);
			CHECK_EQ(nic.device.count.out_bytes, bytes);
		}
		nic_close();
	}
}

/* A frame over many parts of odd sizes is one frame. */
static void test_tx_of_parts(void)
{
	struct rig_part parts[100];
	uint32_t bytes = 0;

	nic_open(0, 0);
	nic_start(FEATURE(VIRTIO_RING_F_INDIRECT_DESC));
	for (unsigned i = 0; i < 100; i++) {
		uint32_t n = 1 + i % 13;
		parts[i] = (struct rig_part){ TX_BUFFER_GPA + i * 32, n, false };
		make_frame(frame, 32, i);
		if (bytes < TAP_HEADER_BYTES) /* the header, and one byte of what follows or more */
			memset(frame + 12, 0, n);
		memcpy(rig_at(parts[i].gpa), frame + 12, n);
		memcpy(got + 5000 + bytes, frame + 12, n);
		bytes += n;
	}
	queues_offer(NET_TX, 0, parts, 100);
	queues_kick(NET_TX);
	take_all_tx(1);
	CHECK_EQ(recv(host_fd, got, 5000, 0), bytes);
	CHECK_BYTES(got, got + 5000, bytes);
	nic_close();
}

/* A chain that is no frame comes back unsent; those around it are sent. */
static void test_bad_tx_chains(void)
{
	nic_open(0, 0);
	nic_start(0);
	offer_tx(0, 100, 1);
	offer_tx(1, 1, 2);
	offer_tx(2, 12, 3);
	offer_tx(3, 13, 4);
	offer_tx(4, NET_MAX_FRAME_BYTES + 1, 5);
	offer_tx(5, NET_MAX_FRAME_BYTES, 6);
	queues_offer(NET_TX, 6, &(struct rig_part){ TX_BUFFER_GPA, 100, true }, 1);
	queues_offer(
		NET_TX, 8,
		(struct rig_part[]){ { TX_BUFFER_GPA, 100, false }, { TX_BUFFER_GPA, 9, true } },
		2);
	offer_tx(7, 200, 7);
	queues_kick(NET_TX);
	take_all_tx(9);
	check_sent(100, 1);
	check_sent(13, 4);
	check_sent(NET_MAX_FRAME_BYTES, 6);
	check_sent(200, 7);
	check_nothing_sent();
	CHECK(!queues_broken());
	nic_close();
}

/* A bad header loses its frame, no more. What the host gets is the header that was checked: the guest changes its own
 * while the write waits. */
static void test_headers(void)
{
	struct virtio_net_hdr_v1 header = { .flags = 0xff, .csum_start = 34, .csum_offset = 16 };

	nic_open(ALL_OFFLOADS, 0);
	nic_start(FEATURE(VIRTIO_NET_F_CSUM));
	for (uint16_t head = 0; head < 5; head++)
		offer_tx(head, 200, head);
	for (uint16_t head = 0; head < 2; head++)
		memcpy(tx_at(head), &header, sizeof(header));
	tx_at(3)[1] = VIRTIO_NET_HDR_GSO_TCPV4; /* was not negotiated */
	tx_at(0)[6] = 250;
	queues_kick(NET_TX);
	net_tx_take(&nic.tx);
	for (uint16_t head = 0; head < 5; head++)
		memset(tx_at(head), 0xff, TAP_HEADER_BYTES);
	take_all_tx(5);
	CHECK_EQ(recv(host_fd, got, sizeof(got), 0), 200);
	header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM; /* the others mean nothing from a guest */
	CHECK_BYTES(got, &header, sizeof(header));
	check_sent(200, 2);
	check_sent(200, 4);
	check_nothing_sent();
	CHECK_EQ(nic.device.count.errors, 2);
	CHECK(!queues_broken());
	nic_close();
}

/* Of the kernel, which wait in a read or a write for this process. */
static unsigned count_workers(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	unsigned n = 0;

	CHECK(tasks != NULL);
	while ((task = readdir(tasks)) != NULL) {
		char path[300], name[8] = "";
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		n += fd >= 0 && read(fd, name, 7) == 7 && strcmp(name, "iou-wrk") == 0;
		close(fd);
	}
	closedir(tasks);
	return n;
}

/* An inherited TAP may block: frames do not wait in a worker, in whose hands their order would be lost. */
static void test_a_tap_that_blocks(void)
{
	nic_open(0, 0);
	CHECK(fcntl(nic_tap.fd, F_SETFL, 0) == 0);
	nic_start(MRG);
	for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
		nic_offer_rx(head, 2000);
	queues_kick(NET_RX);
	for (unsigned i = 0; i < 100; i++) {
		make_frame(frame, 200 + i, i);
		host_send(frame, 200 + i);
		RIG_RUN_UNTIL(queues_used(NET_RX) == 1);
		CHECK_EQ(queues_take(NET_RX).len, 200 + i);
		offer_tx((uint16_t)i, 300 + i, i);
		queues_kick(NET_TX);
		take_all_tx(1);
		check_sent(300 + i, i);
	}
	CHECK_EQ(count_workers(), 0);
	nic_close();
}

/* The host takes no more: frames are dropped, as on a wire, and none waits. */
static void test_tx_to_a_full_host(void)
{
	int bytes = 20000;
	unsigned arrived = 0;

	nic_open(0, 0);
	CHECK(fcntl(nic_tap.fd, F_SETFL, 0) == 0); /* an inherited TAP may block */
	nic_start(0);
	CHECK(setsockopt(nic_tap.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) == 0);
	for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
		offer_tx(head, 1000, head);
	queues_kick(NET_TX);
	take_all_tx(RIG_QUEUE_SIZE);
	CHECK_EQ(nic.device.in_flight, 0);
	for (; poll(&(struct pollfd){ host_fd, POLLIN, 0 }, 1, 0) == 1; arrived++)
		check_sent(1000, arrived);
	CHECK(arrived > 5 && arrived < RIG_QUEUE_SIZE);
	offer_tx(0, 1000, 999);
	queues_kick(NET_TX);
	take_all_tx(1);
	check_sent(1000, 999);
	CHECK_EQ(count_workers(), 0);
	nic_close();
}

/* A host whose TAP does not take RWF_NOWAIT: a terminal does not, either. */
static void test_without_nowait(void)
{
	struct termios raw;
	int slave;

	host_fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	CHECK(host_fd >= 0 && grantpt(host_fd) == 0 && unlockpt(host_fd) == 0);
	slave = open(ptsname(host_fd), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	CHECK(tcgetattr(slave, &raw) == 0);
	cfmakeraw(&raw);
	CHECK(tcsetattr(slave, TCSANOW, &raw) == 0);
	nic_open_fd(slave, 0, 0);
	nic_tap.no_nowait = true;
	nic_start(0);
	for (uint16_t head = 0; head < 20; head++)
		nic_offer_rx(head, 2000);
	queues_kick(NET_RX);
	for (unsigned i = 0; i < 20; i++) {
		make_frame(frame, 200 + i, i);
		CHECK(write(host_fd, frame, 200 + i) == 200 + (int)i);
		RIG_RUN_UNTIL(queues_used(NET_RX) == 1);
		CHECK_EQ(queues_take(NET_RX).len, 200 + i);
		CHECK_BYTES((uint8_t *)rig_at(RX_BUFFER_GPA + i * BUFFER_STEP) + 12, frame + 12,
			    188 + i);
		CHECK_EQ(nic.rx.reads_in_flight, 0);
		offer_tx(0, 100 + i, i);
		queues_kick(NET_TX);
		take_all_tx(1);
		make_frame(frame, 100 + i, i);
		CHECK(read(host_fd, got, 4000) == 100 + (int)i);
		CHECK_BYTES(got + 12, frame + 12, 88 + i);
	}
	rig_idle();
	CHECK_EQ(rig_wake_ups(IDLE_MS), 0);
	queues_reset();
	CHECK_EQ(queues_status(), 0);
	nic_close();
}

/* A write that fails for another reason loses its frame, no more. */
static void test_tx_errors(void)
{
	nic_open_fd(open("/dev/null", O_RDONLY | O_CLOEXEC), 0, 0);
	host_fd = -1;
	nic_start(0);
	for (uint16_t head = 0; head < 10; head++)
		offer_tx(head, 100, head);
	queues_kick(NET_TX);
	take_all_tx(10);
	CHECK(!nic.link.down && !queues_broken());
	CHECK_EQ(nic.device.count.requests, 10);
	CHECK_EQ(nic.device.count.errors, 10);
	CHECK_EQ(nic.device.count.out_bytes, 0);
	nic_close();
}

static void check_link_down(uint32_t generation)
{
	CHECK(nic.link.down);
	CHECK_EQ(driver_access(&rig.transport, VIRTIO_MMIO_CONFIG + 6, 2, false, 0), 0);
	CHECK_EQ(driver_read(&rig.transport, VIRTIO_MMIO_CONFIG_GENERATION), generation + 1);
	CHECK(driver_read(&rig.transport, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
	CHECK(queues_interrupts() > 0);
	CHECK(!queues_broken());
	for (uint16_t head = 0; head < 5; head++) /* the driver's frames still come back */
		offer_tx(head, 100, head);
	queues_kick(NET_TX);
	take_all_tx(5);
	nic_offer_rx(9, 2000);
	queues_kick(NET_RX);
	rig_idle();
	CHECK_EQ(rig_wake_ups(IDLE_MS), 0);
}

/* The TAP is removed while it is polled: the peer is closed. */
static void test_gone_by_poll(void)
{
	uint32_t generation;

	nic_open(0, 0);
	nic_start(MRG);
	for (uint16_t head = 0; head < 8; head++)
		nic_offer_rx(head, 2000);
	queues_kick(NET_RX);
	rig_idle();
	generation = driver_read(&rig.transport, VIRTIO_MMIO_CONFIG_GENERATION);
	close(host_fd);
	host_fd = -1;
	RIG_RUN_UNTIL(nic.link.down);
	check_link_down(generation);
	queues_reset(); /* the link stays down, and the device works */
	CHECK_EQ(queues_status(), 0);
	nic_start(0);
	CHECK_EQ(driver_access(&rig.transport, VIRTIO_MMIO_CONFIG + 6, 2, false, 0), 0);
	offer_tx(0, 100, 0);
	queues_kick(NET_TX);
	take_all_tx(1);
	nic_close();
}

/* A descriptor whose interface is gone answers EBADFD, as one that never had an interface does. */
static void test_gone_by_write(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		printf("no /dev/net/tun: ");
		return;
	}
	nic_open_fd(fd, 0, 0);
	host_fd = -1;
	nic_start(0);
	uint32_t generation = driver_read(&rig.transport, VIRTIO_MMIO_CONFIG_GENERATION);
	for (uint16_t head = 0; head < 10; head++)
		offer_tx(head, 100, head);
	queues_kick(NET_TX);
	take_all_tx(10);
	check_link_down(generation);
	nic_close();
}

int main(void)
{
	RUN(test_tx_order);
	RUN(test_tx_of_parts);
	RUN(test_bad_tx_chains);
	RUN(test_headers);
	RUN(test_a_tap_that_blocks);
	RUN(test_tx_to_a_full_host);
	RUN(test_without_nowait);
	RUN(test_tx_errors);
	RUN(test_gone_by_poll);
	RUN(test_gone_by_write);
	return 0;
}
