/* SPDX-License-Identifier: MIT */
/*
 * States of devices out of a snapshot, as whoever writes such a file likes: what is accepted does no more than a guest can. The input chooses
 * the device, changes bytes of a good state, and then drives what has been restored. Guest memory lies between guard pages.
 */
#include "tests/fuzz/model/host.h"

#include "tests/fuzz/model/begin.h"

#include "io/console_state.h"
#include "tests/fuzz/hostile_driver.h"
#include "virtio-mmio/block_state.h"
#include "virtio-mmio/net_state.h"
#include "virtio-mmio/transport_state.h"
#include "virtio-mmio/vsock/vsock_state.h"

#define BUFFER_GPA   0x400000u
#define BUFFER_STEP  0x1000u
#define DISK_SECTORS 128u
#define EDITS_MAX    64u
#define OPERATIONS   400u

enum kind {
	KIND_CONSOLE,
	KIND_BLOCK,
	KIND_NET,
	KIND_VSOCK,
	KINDS
};

static struct {
	struct virtio_transport_state transport;
	union {
		struct block_state block;
		struct net_state net;
		struct vsock_device_state vsock;
	};
} state;

static struct guest_memory memory;
static struct block_image image;
static struct exit_request exit_request;
static struct block block;
static struct net net;
static struct tap tap;
static struct vsock vsock;
static struct listen_socket nobody = { .fd = -1 };
static struct console console;
static struct console_state console_state, console_again;
static int tap_peer;

/* The input's changes to what lies at `at`. */
static void edit(void *at, size_t bytes, struct fuzz_input *input)
{
	for (unsigned n = fuzz_byte(input) % EDITS_MAX; n > 0; n--) {
		size_t offset = fuzz_u16(input) % bytes;
		((uint8_t *)at)[offset] = fuzz_byte(input);
	}
}

static void raise_nothing(void *context)
{
	(void)context;
}

static void wait_for_nothing(void *context, bool begins)
{
	(void)context, (void)begins;
}

static bool write_nothing(void *context, uint8_t byte)
{
	(void)context, (void)byte;
	return true;
}

static void fuzz_console(struct fuzz_input *input)
{
	static const struct serial_host host = { write_nothing, raise_nothing, raise_nothing,
						 wait_for_nothing, NULL };
	struct error_text error;

	console_state =
		(struct console_state){ .serial = { .ier = 1, .rx_count = 3 }, .n_typed = 5 };
	edit(&console_state, offsetof(struct console_state, typed) + 64, input);
	serial_init(&console.serial, host);
	keyboard_init(&console.keyboard, &rig_ring, -1, &console.serial, &exit_request);
	if (!console_restore(&console, &console_state, &error))
		return;
	console_save(&console, &console_again);
	CHECK_EQ(console_again.n_typed, console_state.n_typed);
	CHECK_EQ(console_again.serial.rx_count, console_state.serial.rx_count);
	while (input->left > 0) {
		uint8_t what = fuzz_byte(input), value = fuzz_byte(input);
		struct bus_access access = { what & 7, 1, what >> 3 & 1, &value };
		serial_access(&console.serial, &access);
		if (what >> 4 == 0)
			keyboard_pump(&console.keyboard);
	}
}

/* Buffers that the driver gave before, in the first descriptors of each queue. */
static void write_descriptors(const struct virtio_device *device)
{
	for (unsigned i = 0; i < device->type->n_queues; i++) {
		struct vring_desc *desc = rig_at(queue_gpa(i));
		for (unsigned n = 0; n < 16; n++)
			driver_set_desc(&desc[n], BUFFER_GPA + n * BUFFER_STEP, 2048,
					VRING_DESC_F_WRITE, 0);
	}
}

/* As of a driver that is up. */
static void make_state(const struct virtio_device *device)
{
	memset(&state, 0, sizeof(state));
	state.transport = (struct virtio_transport_state){
		.features = virtio_transport_features(device),
		.device_id = device->type->device_id,
		.status = STATUS_DRIVER_OK,
		.claimed_by = VIRTIO_WINDOW_WORDS,
	};
	for (unsigned i = 0; i < device->type->n_queues; i++)
		state.transport.queues[i] = (struct virtqueue_state){
			.desc_gpa = queue_gpa(i),
			.avail_gpa = queue_gpa(i) + 0x4000,
			.used_gpa = queue_gpa(i) + 0x8000,
			.size = RIG_QUEUE_SIZE,
			.ready = 1,
		};
}

/* The driver finds its queues where the device has them. False: some are not ready. */
static bool find_queues(const struct virtio_device *device)
{
	for (unsigned i = 0; i < device->type->n_queues; i++) {
		const struct virtqueue *queue = &device->queues[i];
		if (!queue->ready)
			return false;
		rig.queues[i] = (struct driver_queue){
			.memory = &rig.memory,
			.size = queue->size,
			.desc = (void *)queue->desc,
			.avail = queue->avail,
			.used = queue->used,
		};
	}
	return true;
}

#include "tests/fuzz/model/end.h"

static void drive(struct virtio_device *device, struct fuzz_input *input)
{
	bool has_queues = find_queues(device);

	rig.indirect = virtio_device_has_feature(device, VIRTIO_RING_F_INDIRECT_DESC);
	for (unsigned n = OPERATIONS; n > 0 && input->left > 0; n--) {
		uint8_t operation = fuzz_byte(input) % DRIVER_OPERATIONS;
		if (operation == OP_START) {
			queues_reset();
			RIG_RUN_UNTIL(device->in_flight == 0);
			hostile_start(input);
			has_queues = true;
		} else if (has_queues || operation == OP_RUN || operation == OP_RESET ||
			   operation == OP_REGISTER) {
			hostile_operation(operation, input);
		}
	}
	for (unsigned turns = 8; hostile_turn() && turns > 0; turns--)
		;
	hostile_end();
}

static bool restore_own(enum kind kind, struct error_text *error)
{
	switch (kind) {
	case KIND_BLOCK:
		return block_restore(&block, &state.block, error);
	case KIND_NET:
		return net_restore(&net, &state.net, error);
	default:
		return vsock_restore(&vsock, &state.vsock, error);
	}
}

static void save_own(enum kind kind)
{
	if (kind == KIND_BLOCK)
		block_save(&block, &state.block);
	else if (kind == KIND_NET)
		net_save(&net, &state.net);
	else
		vsock_save(&vsock, &state.vsock);
}

static struct virtio_device *make_device(enum kind kind)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 };

	if (kind == KIND_BLOCK) {
		memset(&block, 0, offsetof(struct block, requests));
		memset(block.requests, 0, sizeof(block.requests));
		block_init(&block, &image, &rig.memory, &rig_ring, &exit_request);
		return &block.device;
	}
	if (kind == KIND_NET) {
		memset(&net, 0, offsetof(struct net, stream));
		net_init(&net, &tap, mac, 0, &rig.memory, &rig_ring);
		return &net.device;
	}
	memset(&vsock, 0, sizeof(vsock));
	vsock_open(&vsock, 3, &nobody, (struct vsock_target){ NULL, -1 }, &rig.memory, &rig_ring);
	return &vsock.device;
}

static void open_rig(void)
{
	memset(&rig, 0, sizeof(rig));
	rig.memory = memory;
	ring_open(&rig_ring, VIRTQUEUE_MAX_SIZE);
}

static void close_rig(enum kind kind)
{
	virtio_transport_detach(&rig.transport);
	ring_close(&rig_ring);
	if (kind == KIND_VSOCK) {
		close(vsock.sockets.half_ended_fd);
		munmap(vsock.connections.buffers,
		       (size_t)VSOCK_MAX_CONNECTIONS * VSOCK_BUFFER_BYTES);
	}
}

static void fuzz_device(enum kind kind, struct fuzz_input *input)
{
	struct virtio_transport_state again;
	struct error_text error = { .text = "" };

	open_rig();
	struct virtio_device *device = make_device(kind);
	make_state(device);
	save_own(kind);
	edit(&state, sizeof(state), input);
	write_descriptors(device);
	queues_attach(device);
	if (virtio_transport_restore(&rig.transport, &state.transport, &error)) {
		virtio_transport_save(&rig.transport, &again);
		CHECK_EQ(again.features, state.transport.features);
		CHECK_EQ(again.status, state.transport.status);
		if (restore_own(kind, &error))
			save_own(kind);
		else
			CHECK(error.text[0] != '\0');
		drive(device, input);
	} else {
		CHECK(error.text[0] != '\0' && strchr(error.text, '\n') == NULL);
		host_clear_memory(&rig.memory);
	}
	close_rig(kind);
}

static void write_seeds(void)
{
	for (uint8_t kind = KIND_BLOCK; kind < KINDS; kind++) {
		struct fuzz_program seed = { .n = 0 };
		uint8_t pool = sizeof(struct virtio_transport_state) + 8;
		char name[16];
		FUZZ_APPEND(&seed, kind);
		if (kind == KIND_BLOCK)
			FUZZ_APPEND(&seed, 0);
		else if (kind == KIND_NET)
			FUZZ_APPEND(&seed, 2, (uint8_t)(pool + 2), 0, 1, (uint8_t)(pool + 4), 0, 5);
		else
			FUZZ_APPEND(&seed, 2, pool, 0, 1, (uint8_t)(pool + 2), 0, 5);
		FUZZ_APPEND(&seed, OP_RUN, 8, OP_KICK, 0, OP_OFFER, 0, 3, 1, OP_KICK, 0, OP_RUN, 8);
		FUZZ_APPEND(&seed, OP_OFFER, 2, 4, 2, OP_KICK, 2, OP_RUN, 8, OP_RESET, OP_START,
			    0xff, 0xff, 7, OP_RUN, 8);
		snprintf(name, sizeof(name), "device-%u", kind);
		fuzz_seed(name, seed.bytes, seed.n);
	}
	fuzz_seed("console", (const uint8_t[]){ KIND_CONSOLE, 0, 0, 0, 0, 0, 0, 0, 9, 1, 8, 2 },
		  12);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int ends[2];

	(void)argc, (void)argv;
	write_seeds();
	fuzz_map_memory(&memory, RIG_MEM_BYTES);
	host_own_memory(&memory);
	image = (struct block_image){ .fd = memfd_create("disk", MFD_CLOEXEC),
				      .path = "disk",
				      .sectors = DISK_SECTORS,
				      .is_regular = true };
	CHECK(ftruncate(image.fd, DISK_SECTORS * SECTOR_BYTES) == 0);
	host_own_file(image.fd, -1, DISK_SECTORS * SECTOR_BYTES);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	tap = (struct tap){ .fd = ends[0], .name = "fake0", .mtu = 1500, .offloads = 0x77 };
	tap_peer = ends[1];
	console.wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, bytes };
	enum kind kind = fuzz_byte(&input) % KINDS;
	uint8_t waste[2048];

	if (kind == KIND_CONSOLE)
		fuzz_console(&input);
	else
		fuzz_device(kind, &input);
	while (recv(tap_peer, waste, sizeof(waste), 0) > 0)
		;
	return 0;
}
