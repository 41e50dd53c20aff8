/* SPDX-License-Identifier: MIT */
/* Starts a NIC anew again and again, beside a vsock that only is there. Words of the command line:
 *   same=COUNT     so many times with the same features, then "same ok"
 *   changing=1     then for ever, with and without GUEST_CSUM in turn */
#include "rt/net.h"
#include "rt/rt.h"
#include "rt/vsock.h"

#define FEATURE_GUEST_CSUM (1ull << 1)

static struct net nic;
static struct vsock vsock;

void guest_main(const uint8_t *zero_page)
{
	const uint64_t features = FEATURE_NET_MRG_RXBUF | FEATURE_GUEST_CSUM;
	uint64_t count = cmdline_number(zero_page, "same=", 0);
	bool ok = true;

	print_check("vsock", vsock_start(&vsock, 1, FEATURE_EVENT_IDX));
	print_check("nic", net_start(&nic, 0, features));
	print("ready\n");
	for (uint64_t i = 0; ok && i < count; i++)
		ok = net_start(&nic, 0, features);
	print_check("same", ok);
	for (uint64_t i = 0; ok && cmdline_value(zero_page, "changing=") != NULL; i++)
		ok = net_start(&nic, 0, i & 1 ? features : FEATURE_NET_MRG_RXBUF);
	print_check("end", ok);
}
