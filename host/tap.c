/* SPDX-License-Identifier: MIT */
#include "host/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/ioctl.h"
#include "host/release.h"

bool tap_set_offloads(const struct tap *tap, uint32_t offloads)
{
	return host_ioctl(tap->fd, TUNSETOFFLOAD, (unsigned long)offloads) == 0;
}

/* The richest set that this kernel takes: it refuses a set with one bit that it does not know. It stays: most
 * drivers want it. */
static void probe_offloads(struct tap *tap)
{
	static const uint32_t sets[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_UFO | TAP_F_USO4 | TAP_F_USO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_UFO,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		TUN_F_CSUM,
	};

	tap->offloads = 0;
	for (size_t i = 0; tap->offloads == 0 && i < sizeof(sets) / sizeof(sets[0]); i++)
		if (tap_set_offloads(tap, sets[i]))
			tap->offloads = sets[i];
}

/* Returns false, with errno set, where there is no such interface. An MTU of more than 16 bits is none. */
static bool read_mtu(const char *name, uint16_t *mtu)
{
	struct ifreq request = { .ifr_ifindex = 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*mtu = 0;
	if (fd < 0)
		return false;
	memcpy(request.ifr_name, name, strlen(name) + 1);
	bool found = host_ioctl(fd, SIOCGIFMTU, &request) == 0;
	int error = errno;
	close(fd);
	errno = error;
	if (found && request.ifr_mtu > 0 && request.ifr_mtu <= UINT16_MAX)
		*mtu = (uint16_t)request.ifr_mtu;
	return found;
}

/* No frame is so short: EINVAL, once the flag is taken. */
static bool takes_nowait(const struct tap *tap)
{
	uint8_t byte = 0;
	struct iovec part = { &byte, sizeof(byte) };

	/* At offset -1, as a stream; musl 1.2.3 does not know this call. */
	return syscall(SYS_pwritev2, tap->fd, &part, 1, -1L, -1L, RWF_NOWAIT) < 0 &&
	       errno == EINVAL;
}

/* Common to both ways to a TAP: its name, header and offloads. */
static bool set_up(struct tap *tap, struct error_text *error)
{
	struct ifreq request = { .ifr_ifindex = 0 };
	int header_bytes = TAP_HEADER_BYTES;

	if (host_ioctl(tap->fd, TUNGETIFF, &request) < 0)
		return error_set_errno(error, "not a TAP descriptor: %s", strerror(errno));
	if ((request.ifr_flags & IFF_TAP) == 0)
		return error_set(error, "it is a TUN, expected a TAP");
	if (!(request.ifr_flags & IFF_VNET_HDR))
		return error_set(error, "it was opened without IFF_VNET_HDR");
	if (host_ioctl(tap->fd, TUNSETVNETHDRSZ, &header_bytes) < 0)
		return error_set_errno(error, "TUNSETVNETHDRSZ: %s", strerror(errno));
	memcpy(tap->name, request.ifr_name, sizeof(tap->name));
	tap->name[sizeof(tap->name) - 1] = '\0';
	probe_offloads(tap);
	tap->no_nowait = !takes_nowait(tap);
	return true;
}

static bool attach_failed(const char *name, struct error_text *error)
{
	switch (errno) {
	case EBUSY:
		return error_set_refused(error, "it is busy: another process is attached to it");
	case EPERM:
	case EACCES:
		return error_set_errno(error,
				       "%s (it needs CAP_NET_ADMIN, or `ip tuntap add %s mode tap "
				       "user USER`)",
				       strerror(errno), name);
	case EINVAL:
		return error_set(error, "it is not a TAP interface, or one with multi_queue");
	default:
		return error_set_errno(error, "%s", strerror(errno));
	}
}

static bool attach(const struct tap *tap, const char *name)
{
	struct release_wait wait = { 0 };
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	memcpy(request.ifr_name, name, strlen(name) + 1);
	while (host_ioctl(tap->fd, TUNSETIFF, &request) < 0)
		if (errno != EBUSY || !release_wait(&wait))
			return false;
	return true;
}

bool tap_open(struct tap *tap, const char *name, struct error_text *error)
{
	*tap = (struct tap){ .fd = -1 };
	if (name[0] == '\0' || strlen(name) >= IFNAMSIZ)
		return error_set(error, "expected an interface name of 1 to %d bytes",
				 IFNAMSIZ - 1);
	/* TUNSETIFF would make an interface that does not exist, and it would vanish with us. */
	if (!read_mtu(name, &tap->mtu) && errno == ENODEV)
		return error_set(error, "no such interface (`ip tuntap add %s mode tap` makes one)",
				 name);
	tap->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (tap->fd < 0)
		return error_set_refused(error, "cannot open /dev/net/tun: %s", strerror(errno));
	if (!attach(tap, name))
		attach_failed(name, error);
	else if (set_up(tap, error))
		return true;
	tap_close(tap);
	return false;
}

/* Whether frames come without a struct tun_pi in front. In the answer of TUNGETIFF IFF_NO_PI is also
 * IFF_NOFILTER: it only means something while the descriptor has a filter. */
static bool has_no_pi(const struct tap *tap)
{
	struct sock_filter accept_all = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	struct sock_fprog filter = { 0 };
	struct ifreq request = { .ifr_ifindex = 0 };
	bool attached = false;

	/* The one instruction of the last monitor's filter is still told when it is detached. */
	if (host_ioctl(tap->fd, TUNGETFILTER, &filter) == 0 && filter.len <= 1) {
		filter = (struct sock_fprog){ 1, &accept_all };
		attached = host_ioctl(tap->fd, TUNATTACHFILTER, &filter) == 0;
	}
	/* Where no filter can be attached the bit is set: the answer is unknown, and taken as yes. */
	bool no_pi = host_ioctl(tap->fd, TUNGETIFF, &request) < 0 ||
		     (request.ifr_flags & IFF_NO_PI) != 0;
	if (attached)
		host_ioctl(tap->fd, TUNDETACHFILTER, &filter);
	return no_pi;
}

bool tap_adopt(struct tap *tap, int fd, struct error_text *error)
{
	*tap = (struct tap){ .fd = fd };
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	if (!set_up(tap, error))
		return false;
	read_mtu(tap->name, &tap->mtu);
	if (!has_no_pi(tap))
		return error_set(error, "it was opened without IFF_NO_PI");
	if (tap->no_nowait && !(fcntl(fd, F_GETFL) & O_NONBLOCK))
		return error_set(error, "it blocks, expected O_NONBLOCK: a TUN before Linux "
					"6.4 needs it");
	return true;
}

void tap_close(struct tap *tap)
{
	if (tap->fd >= 0)
		close(tap->fd);
	tap->fd = -1;
}
