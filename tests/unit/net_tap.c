/* SPDX-License-Identifier: MIT */
/* An inherited TAP on hosts old and new: its flags are its launcher's. */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "host/tap.h"
#include "tests/unit/check.h"

static uint32_t known_offloads; /* to this host's TUN */
static uint32_t offloads;

/* A TAP's ioctls, on any descriptor. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	(void)fd;

	va_start(list, request);
	void *argument = va_arg(list, void *);
	va_end(list);
	switch ((unsigned)request) {
	case (unsigned)TUNGETIFF:
		*(struct ifreq *)argument =
			(struct ifreq){ .ifr_name = "fake0",
					.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
		return 0;
	case (unsigned)TUNSETOFFLOAD:
		errno = EINVAL;
		if ((unsigned long)argument & ~(unsigned long)known_offloads)
			return -1;
		offloads = (uint32_t)(unsigned long)argument;
		return 0;
	case (unsigned)TUNSETVNETHDRSZ:
	case (unsigned)TUNGETFILTER:
	case (unsigned)TUNATTACHFILTER:
	case (unsigned)TUNDETACHFILTER:
		return 0;
	default:
		errno = ENODEV;
		return -1;
	}
}

static int write_error; /* that this host's TUN gives for one byte with RWF_NOWAIT */

long syscall(long number, ...)
{
	CHECK_EQ(number, SYS_pwritev2);
	errno = write_error;
	return -1;
}

static struct error_text error;

static bool adopt(int host_error, int flags, struct tap *tap)
{
	int fd = eventfd(0, 0);

	CHECK(fd >= 0 && fcntl(fd, F_SETFL, flags) == 0);
	flags = fcntl(fd, F_GETFL);
	write_error = host_error;
	bool adopted = tap_adopt(tap, fd, &error);

	CHECK_EQ(fcntl(fd, F_GETFL), flags);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	return adopted;
}

static void test_flags_stay(void)
{
	static const int flags[] = { 0, O_NONBLOCK, O_APPEND, O_NONBLOCK | O_APPEND };
	struct tap tap;

	for (unsigned i = 0; i < 4; i++) {
		CHECK(adopt(EINVAL, flags[i], &tap));
		CHECK(!tap.no_nowait);
	}
}

static void test_a_blocking_one_on_an_old_host(void)
{
	struct tap tap;

	CHECK(adopt(EOPNOTSUPP, O_NONBLOCK, &tap));
	CHECK(tap.no_nowait);
	CHECK(!adopt(EOPNOTSUPP, 0, &tap));
	CHECK_HAS(error.text, "it blocks, expected O_NONBLOCK");
}

static void test_offloads_of_hosts(void)
{
	static const uint32_t sets[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_UFO | TAP_F_USO4 | TAP_F_USO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_UFO,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		TUN_F_CSUM,
		0,
	};
	struct tap tap;

	for (unsigned i = 0; i < 5; i++) {
		offloads = 0;
		known_offloads = sets[i];
		CHECK(adopt(EINVAL, 0, &tap));
		CHECK_EQ(tap.offloads, sets[i]);
		CHECK_EQ(offloads, sets[i]); /* what most drivers want is there from the start */
	}
}

int main(void)
{
	RUN(test_flags_stay);
	RUN(test_a_blocking_one_on_an_old_host);
	RUN(test_offloads_of_hosts);
	return 0;
}
