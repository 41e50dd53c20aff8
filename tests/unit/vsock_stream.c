/* SPDX-License-Identifier: MIT */
/* A stream's counters (bug class 21): credit in both directions, wrap-around, shrinking buffers. */
#include "virtio-mmio/vsock/stream.h"

#include <linux/vm_sockets.h>

#include "tests/unit/check.h"

static void test_header(void)
{
	struct vsock_stream stream = { .guest_port = 5,
				       .host_port = 7,
				       .forwarded = 100,
				       .received = 300,
				       .sent = 0xfffffff0u };
	struct virtio_vsock_hdr header;

	vsock_stream_header(&stream, &header, 42, VIRTIO_VSOCK_OP_RW, 3, 0x20);
	CHECK_EQ(header.src_cid, VMADDR_CID_HOST);
	CHECK_EQ(header.dst_cid, 42);
	CHECK_EQ(header.src_port, 7);
	CHECK_EQ(header.dst_port, 5);
	CHECK_EQ(header.len, 0x20);
	CHECK_EQ(header.type, VIRTIO_VSOCK_TYPE_STREAM);
	CHECK_EQ(header.op, VIRTIO_VSOCK_OP_RW);
	CHECK_EQ(header.flags, 3);
	CHECK_EQ(header.buf_alloc, VSOCK_BUFFER_BYTES);
	CHECK_EQ(header.fwd_cnt, 100);
	CHECK_EQ(stream.told, 100);
	CHECK_EQ(stream.sent, 0x10); /* modulo 2^32 */
}

static void test_credit_table(void)
{
	static const struct {
		uint32_t buf_alloc, fwd_cnt, sent, credit;
	} cases[] = {
		{ 0, 0, 0, 0 },
		{ 1000, 0, 0, 1000 },
		{ 1000, 0, 999, 1 },
		{ 1000, 0, 1000, 0 },
		{ 1000, 0, 1001, 0 }, /* it has shrunk its buffer */
		{ 10, 500, 1500, 0 }, /* far below what is in flight */
		{ 0, 0xffffffff, 0, 0 },
		{ 1000, 5, 4, 0 }, /* has read what was not sent */
		{ 0xffffffff, 5, 4, 0 },
		{ 0xffffffff, 4, 5, 0xfffffffe },
		{ 0xffffffff, 0, 0, 0xffffffff },
		{ 1000, 0xffffff00, 0x100, 1000 - 0x200 }, /* over the wrap */
		{ 1000, 0xffffffff, 0, 999 },
		{ 0x100, 0xfffffff0, 0x10, 0x100 - 0x20 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vsock_stream stream = { .sent = cases[i].sent };
		struct virtio_vsock_hdr header = { .buf_alloc = cases[i].buf_alloc,
						   .fwd_cnt = cases[i].fwd_cnt };
		vsock_stream_update_credit(&stream, &header);
		CHECK_EQ(vsock_stream_credit(&stream), cases[i].credit);
	}
}

/* The guest may have a buffer's worth on its way, at any place of the counters, and no more. */
static void test_receive_bounds(void)
{
	static const uint32_t places[] = {
		0,          1,          VSOCK_BUFFER_BYTES,     0x7fffffff,
		0xffffffff, 0xfffffff0, 0u - VSOCK_BUFFER_BYTES
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		for (uint32_t held = 0; held <= VSOCK_BUFFER_BYTES; held += 4096) {
			struct vsock_stream stream = { .received = places[i] + held,
						       .forwarded = places[i] };
			uint32_t room = VSOCK_BUFFER_BYTES - held;
			CHECK(!vsock_stream_receive(&stream, room + 1));
			CHECK(!vsock_stream_receive(&stream, 0xffffffff));
			CHECK_EQ(stream.received, places[i] + held);
			CHECK(vsock_stream_receive(&stream, room));
			CHECK(vsock_stream_receive(&stream, 0));
			CHECK(!vsock_stream_receive(&stream, 1));
			CHECK_EQ(stream.received, places[i] + VSOCK_BUFFER_BYTES);
		}
	}
}

static void test_owes_update(void)
{
	for (uint32_t at = 0xfffe0000u; at != 0x40000; at += 0x8000) {
		struct vsock_stream stream = { .told = at, .forwarded = at };
		CHECK(!vsock_stream_owes_update(&stream));
		stream.forwarded = at + VSOCK_BUFFER_BYTES / 2 - 1;
		CHECK(!vsock_stream_owes_update(&stream));
		stream.forwarded++;
		CHECK(vsock_stream_owes_update(&stream));
		stream.forwarded = at + VSOCK_BUFFER_BYTES;
		CHECK(vsock_stream_owes_update(&stream));
	}
}

/* Class 21, as a model: an honest guest whose buffer grows and shrinks at random, with news of it
 * that arrives late. The device never sends more than the last news allowed, and the guest that obeys
 * is never refused; a long double is what 32 bits are compared with. */
static void test_class_21_vsock_credit_model(void)
{
	uint64_t state = 7, sent = 0, read = 0, came = 0, gone = 0, told = 0;
	uint32_t start = 0xfff00000u, guest_start = 0xffff8000u;
	struct vsock_stream stream = { .sent = start,
				       .peer_fwd_cnt = start,
				       .received = guest_start,
				       .forwarded = guest_start,
				       .told = guest_start };
	uint64_t alloc = 0, known_read = 0;

	for (unsigned i = 0; i < 2000000; i++) {
		uint32_t r = (uint32_t)(check_random(&state) >> 32), n = r % 70000;
		switch (r >> 29) {
		case 0: { /* news */
			known_read = read;
			alloc = (r & 0x100) ? n * 4 : n / 64;
			struct virtio_vsock_hdr header = { .buf_alloc = (uint32_t)alloc,
							   .fwd_cnt = start + (uint32_t)read };
			vsock_stream_update_credit(&stream, &header);
			break;
		}
		case 1:
		case 2: { /* to the guest */
			uint32_t credit = vsock_stream_credit(&stream);
			uint64_t allowed =
				sent - known_read < alloc ? alloc - (sent - known_read) : 0;
			struct virtio_vsock_hdr header;
			CHECK_EQ(credit, allowed);
			n = n < credit ? n : credit;
			vsock_stream_header(&stream, &header, 3, VIRTIO_VSOCK_OP_RW, 0, n);
			CHECK_EQ(header.fwd_cnt, guest_start + (uint32_t)gone);
			sent += n;
			told = gone;
			break;
		}
		case 3: /* the guest reads */
			read += n < sent - read ? n : sent - read;
			break;
		case 4:
		case 5: { /* from the guest */
			uint64_t room = VSOCK_BUFFER_BYTES - (came - gone);
			CHECK_EQ(vsock_stream_receive(&stream, n), n <= room);
			came += n <= room ? n : 0;
			break;
		}
		default: /* the host reads */
			n = n < came - gone ? n : (uint32_t)(came - gone);
			gone += n;
			stream.forwarded += n;
			CHECK_EQ(vsock_stream_owes_update(&stream),
				 gone - told >= VSOCK_BUFFER_BYTES / 2);
			break;
		}
		CHECK_EQ(stream.sent, start + (uint32_t)sent);
	}
	CHECK(sent > (uint64_t)1 << 32 && came > (uint64_t)1 << 32);
}

int main(void)
{
	RUN(test_header);
	RUN(test_credit_table);
	RUN(test_receive_bounds);
	RUN(test_owes_update);
	RUN(test_class_21_vsock_credit_model);
	return 0;
}
