/* SPDX-License-Identifier: MIT */
/* A TAP interface of the host: frames with a virtio-net header in front, one by each read and
 * write. */
#ifndef HOST_TAP_H
#define HOST_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include <net/if.h>

#include "host/error.h"

/* virtio 1.2, 5.1.6: flags to num_buffers, as with VIRTIO_F_VERSION_1 whatever else is negotiated. */
#define TAP_HEADER_BYTES 12

/* The offloads of TUNSETOFFLOAD that linux/if_tun.h of older kernels does not have (Linux 6.2). */
#define TAP_F_USO4 0x20u
#define TAP_F_USO6 0x40u

struct tap {
	int fd; /* what is read and written with RWF_NOWAIT if possible, and is non-blocking if not */
	char name[IFNAMSIZ];
	uint32_t offloads; /* TUN_F_ and TAP_F_ bits that this host's TUN has; all are on */
	uint16_t mtu;      /* the interface's; 0: not known */
	bool no_nowait;    /* this host's TUN does not take RWF_NOWAIT (before Linux 6.4) */
};

/* Attaches to the existing TAP interface `name`. False: *error says what is wrong: no such interface,
 * not a TAP, busy (for a second, in which a monitor that is just ending may let it go), no permission. */
bool tap_open(struct tap *tap, const char *name, struct error_text *error);

/* Takes over an inherited TAP descriptor, whose flags stay as they are: others may share them. False: it is
 * none, or one without IFF_VNET_HDR or IFF_NO_PI, or it blocks where only O_NONBLOCK prevents that. */
bool tap_adopt(struct tap *tap, int fd, struct error_text *error);

/* Tells the host which offloaded frames may be read: bits of tap->offloads. False with errno. */
bool tap_set_offloads(const struct tap *tap, uint32_t offloads);

/* No effect on a closed one. */
void tap_close(struct tap *tap);

#endif
