/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/net_header.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>

#include "virtio-mmio/virtio_device.h"

#define GSO_UDP_L4 5 /* Linux 6.2 */

/* As many as Linux makes of the largest frame, 8 bytes in each (TCP_MIN_GSO_SIZE): the host may have to make them all at
 * once, of memory that nobody is charged for. */
#define SEGMENTS_MAX 8192u

/* The kinds of frames that are to be cut up: the features that they need, and where their checksum lies behind
 * csum_start. */
static const struct gso_kind {
	uint8_t type, header_bytes, csum_offset;
	uint64_t from_guest, to_guest;
} gso_kinds[] = {
	{ VIRTIO_NET_HDR_GSO_TCPV4, sizeof(struct tcphdr), offsetof(struct tcphdr, check),
	  VIRTIO_FEATURE(VIRTIO_NET_F_HOST_TSO4), VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_TSO4) },
	{ VIRTIO_NET_HDR_GSO_TCPV6, sizeof(struct tcphdr), offsetof(struct tcphdr, check),
	  VIRTIO_FEATURE(VIRTIO_NET_F_HOST_TSO6), VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_TSO6) },
	{ VIRTIO_NET_HDR_GSO_UDP, sizeof(struct udphdr), offsetof(struct udphdr, check),
	  VIRTIO_FEATURE(VIRTIO_NET_F_HOST_UFO), VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_UFO) },
	{ GSO_UDP_L4, sizeof(struct udphdr), offsetof(struct udphdr, check),
	  VIRTIO_FEATURE(NET_F_HOST_USO),
	  VIRTIO_FEATURE(NET_F_GUEST_USO4) | VIRTIO_FEATURE(NET_F_GUEST_USO6) },
};

static const struct gso_kind *find_kind(uint8_t type)
{
	for (size_t i = 0; i < sizeof(gso_kinds) / sizeof(gso_kinds[0]); i++)
		if (gso_kinds[i].type == type)
			return &gso_kinds[i];
	return NULL;
}

bool net_header_from_guest(struct virtio_net_hdr_v1 *header, uint64_t features, uint64_t bytes)
{
	const struct gso_kind *kind;

	header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (header->hdr_len > bytes)
		return false;
	if (header->flags != 0 &&
	    (!(features & VIRTIO_FEATURE(VIRTIO_NET_F_CSUM)) ||
	     (uint64_t)header->csum_start + header->csum_offset + sizeof(uint16_t) > bytes))
		return false;
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	/* HOST_ECN is not offered: with that bit it is none of these. */
	kind = find_kind(header->gso_type);
	return kind != NULL && (features & kind->from_guest) && header->flags != 0 &&
	       header->csum_offset == kind->csum_offset &&
	       (uint64_t)header->csum_start + kind->header_bytes <= bytes &&
	       /* Linux has a meaning of its own for it, GSO_BY_FRAGS. */
	       header->gso_size != UINT16_MAX && bytes <= (uint64_t)header->gso_size * SEGMENTS_MAX;
}

bool net_header_to_guest(const struct virtio_net_hdr_v1 *header, uint64_t features)
{
	uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	const struct gso_kind *kind = find_kind(type);

	if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
	    !(features & VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_CSUM)))
		return false;
	return type == VIRTIO_NET_HDR_GSO_NONE ||
	       (kind != NULL && (features & kind->to_guest) == kind->to_guest);
}
