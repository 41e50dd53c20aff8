/* SPDX-License-Identifier: MIT */
/* The header in front of each frame (virtio 1.2, 5.1.6): what it may say, by the features that the driver has accepted. */
#ifndef VIRTIO_MMIO_NET_HEADER_H
#define VIRTIO_MMIO_NET_HEADER_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

/* Linux 6.2; older headers do not have them. */
#define NET_F_GUEST_USO4 54
#define NET_F_GUEST_USO6 55
#define NET_F_HOST_USO   56

/* Whether the host may see the header of a frame from the guest, of `bytes` without it (5.1.6.2). Flags that the device
 * does not know are cleared. *header is a copy: the guest cannot change it any more. */
bool net_header_from_guest(struct virtio_net_hdr_v1 *header, uint64_t features, uint64_t bytes);

/* Whether the guest may see that of a frame from the host: one that was queued before the host knew the driver's features
 * may need one that it lacks. */
bool net_header_to_guest(const struct virtio_net_hdr_v1 *header, uint64_t features);

#endif
