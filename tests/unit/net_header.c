/* SPDX-License-Identifier: MIT */
/* Headers of frames, against the features that the driver has accepted. */
#include "virtio-mmio/net_header.h"
#include "tests/unit/check.h"
#include "virtio-mmio/virtio_device.h"

#define CSUM    VIRTIO_FEATURE(VIRTIO_NET_F_CSUM)
#define TSO4    VIRTIO_FEATURE(VIRTIO_NET_F_HOST_TSO4)
#define TSO6    VIRTIO_FEATURE(VIRTIO_NET_F_HOST_TSO6)
#define UFO     VIRTIO_FEATURE(VIRTIO_NET_F_HOST_UFO)
#define USO     VIRTIO_FEATURE(NET_F_HOST_USO)
#define ALL     (CSUM | TSO4 | TSO6 | UFO | USO)
#define BYTES   3000u
#define LARGEST (14u + 4u + 65535u)
#define NEEDS   VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCP4    VIRTIO_NET_HDR_GSO_TCPV4
#define TCP6    VIRTIO_NET_HDR_GSO_TCPV6
#define UDP     VIRTIO_NET_HDR_GSO_UDP
#define UDPL4   5u
#define ECN     VIRTIO_NET_HDR_GSO_ECN

static const struct {
	uint64_t features;
	uint32_t bytes;
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	bool good;
} cases[] = {
	/* Nothing is asked for: the other fields mean nothing, but for the length of the headers. */
	{ 0, BYTES, 0, 0, 0, 0, 0, 0, true },
	{ 0, BYTES, 0, 0, BYTES, 0xffff, 0xffff, 0xffff, true },
	{ 0, BYTES, 0, 0, BYTES + 1, 0, 0, 0, false },
	{ 0, 1, 0, 0, 2, 0, 0, 0, false },
	/* Flags that are not the guest's are no flags. */
	{ 0, BYTES, 0xfe, 0, 0, 0, 0xffff, 0xffff, true },
	/* The checksum, within the frame. */
	{ CSUM, BYTES, NEEDS, 0, 0, 0, 34, 16, true },
	{ ALL & ~CSUM, BYTES, NEEDS, 0, 0, 0, 34, 16, false },
	{ CSUM, BYTES, NEEDS, 0, 0, 0, 0, BYTES - 2, true },
	{ CSUM, BYTES, NEEDS, 0, 0, 0, 0, BYTES - 1, false },
	{ CSUM, BYTES, NEEDS, 0, 0, 0, BYTES - 2, 0, true },
	{ CSUM, BYTES, NEEDS, 0, 0, 0, BYTES - 1, 0, false },
	{ CSUM, BYTES, NEEDS, 0, 0, 0, BYTES, 0, false },
	{ CSUM, BYTES, NEEDS, 0, 0, 0, 0xffff, 0xffff, false },
	{ CSUM, BYTES, NEEDS, 0, 0, 0, 0xffff, 1, false },
	{ CSUM, BYTES, NEEDS, 0, 0, 0, 1, 0xffff, false },
	{ CSUM, 1, NEEDS, 0, 0, 0, 0, 0, false },
	{ CSUM, 2, NEEDS, 0, 0, 0, 0, 0, true },
	/* Segments, each kind with its own feature and its own checksum. */
	{ CSUM | TSO4, BYTES, NEEDS, TCP4, 54, 1448, 34, 16, true },
	{ CSUM | TSO6, BYTES, NEEDS, TCP6, 74, 1428, 54, 16, true },
	{ CSUM | UFO, BYTES, NEEDS, UDP, 42, 1480, 34, 6, true },
	{ CSUM | USO, BYTES, NEEDS, UDPL4, 42, 1472, 34, 6, true },
	{ ALL & ~TSO4, BYTES, NEEDS, TCP4, 54, 1448, 34, 16, false },
	{ ALL & ~TSO6, BYTES, NEEDS, TCP6, 74, 1428, 54, 16, false },
	{ ALL & ~UFO, BYTES, NEEDS, UDP, 42, 1480, 34, 6, false },
	{ ALL & ~USO, BYTES, NEEDS, UDPL4, 42, 1472, 34, 6, false },
	{ ALL & ~CSUM, BYTES, NEEDS, TCP4, 54, 1448, 34, 16, false },
	{ ALL, BYTES, NEEDS, TCP4, 54, 1448, 34, 6, false },
	{ ALL, BYTES, NEEDS, TCP4, 54, 1448, 34, 0, false },
	{ ALL, BYTES, NEEDS, UDP, 42, 1480, 34, 16, false },
	{ ALL, BYTES, NEEDS, UDPL4, 42, 1472, 34, 16, false },
	/* They need a checksum. */
	{ ALL, BYTES, 0, TCP4, 54, 1448, 34, 16, false },
	{ ALL, BYTES, 0xfe, TCP4, 54, 1448, 34, 16, false },
	/* The transport's header within the frame. */
	{ ALL, 54, NEEDS, TCP4, 54, 1448, 34, 16, true },
	{ ALL, 53, NEEDS, TCP4, 53, 1448, 34, 16, false },
	{ ALL, 42, NEEDS, UDPL4, 42, 1448, 34, 6, true },
	{ ALL, 41, NEEDS, UDPL4, 41, 1448, 34, 6, false },
	/* No kinds, and the bit of a feature that is not offered. */
	{ ALL, BYTES, NEEDS, 2, 54, 1448, 34, 16, false },
	{ ALL, BYTES, NEEDS, 6, 54, 1448, 34, 16, false },
	{ ALL, BYTES, NEEDS, 0x7f, 54, 1448, 34, 16, false },
	{ ALL, BYTES, NEEDS, 0xff, 54, 1448, 34, 16, false },
	{ ALL, BYTES, NEEDS, ECN, 54, 1448, 34, 16, false },
	{ ALL, BYTES, NEEDS, TCP4 | ECN, 54, 1448, 34, 16, false },
	/* Sizes of segments. */
	{ ALL, BYTES, NEEDS, TCP4, 54, 0, 34, 16, false },
	{ ALL, BYTES, NEEDS, TCP4, 54, 0xffff, 34, 16, false },
	{ ALL, BYTES, NEEDS, TCP4, 54, 0xfffe, 34, 16, true },
	{ ALL, BYTES, NEEDS, TCP4, 54, 1, 34, 16, true },
	{ ALL, LARGEST, NEEDS, TCP4, 54, 8, 34, 16, false },
	{ ALL, 8 * 8192, NEEDS, TCP4, 54, 8, 34, 16, true },
	{ ALL, LARGEST, NEEDS, TCP4, 54, 9, 34, 16, true },
	{ ALL, LARGEST, NEEDS, UDPL4, 42, 1, 34, 6, false },
};

static void test_from_guest(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct virtio_net_hdr_v1 header = {
			.flags = cases[i].flags,
			.gso_type = cases[i].gso_type,
			.hdr_len = cases[i].hdr_len,
			.gso_size = cases[i].gso_size,
			.csum_start = cases[i].csum_start,
			.csum_offset = cases[i].csum_offset,
		};
		bool good = net_header_from_guest(&header, cases[i].features, cases[i].bytes);
		if (good != cases[i].good)
			printf("case %zu: ", i);
		CHECK_EQ(good, cases[i].good);
		CHECK_EQ(header.flags, cases[i].flags & NEEDS);
	}
}

int main(void)
{
	RUN(test_from_guest);
	return 0;
}
