/* SPDX-License-Identifier: MIT */
/* A host on the network: answers ARP, ICMP echo and UDP echo on each NIC (10.77.N.2), and does what UDP
 * datagrams to port 9 ask for:
 *   "burst COUNT"     sends COUNT datagrams of all sizes up to the MTU, whose contents the host knows
 *   "starve MS"       resets the NIC and gives it no receive buffers for so long
 *   "storm COUNT"     notifies queues, there or not, so many times
 *   "features BITS"   starts the NIC anew with these features (decimal, beside the usual)
 *   "end"             answers, and resets the PC
 * Each is answered with "done" when it is done. Words of the command line: nics=, features=. */
#include "rt/net.h"
#include "rt/rt.h"

#define NICS_MAX      2u
#define ETH_BYTES     14u
#define IP_BYTES      20u
#define UDP_BYTES     8u
#define HEADERS_BYTES (ETH_BYTES + IP_BYTES + UDP_BYTES)
#define PORT_ECHO     7u
#define PORT_COMMANDS 9u
#define TSC_MS        2000000u /* at 2 GHz; what it is exactly does not matter */

static struct net nics[NICS_MAX];
static uint8_t frame[NET_FRAME_MAX], out[NET_FRAME_MAX];
static uint64_t basic_features = FEATURE_NET_MAC | FEATURE_NET_MTU | FEATURE_NET_STATUS;

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t sum16(const uint8_t *at, uint32_t length)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i + 1 < length; i += 2)
		sum += get16(at + i);
	if (length & 1)
		sum += (uint32_t)at[length - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void swap(uint8_t *a, uint8_t *b, unsigned n)
{
	for (; n > 0; n--, a++, b++) {
		uint8_t byte = *a;
		*a = *b;
		*b = byte;
	}
}

static bool is_mine(unsigned nic, const uint8_t *ip)
{
	return ip[0] == 10 && ip[1] == 77 && ip[2] == nic && ip[3] == 2;
}

static void back_to_sender(unsigned nic, uint32_t length)
{
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, nics[nic].mac, 6);
	net_send(&nics[nic], frame, length);
}

static void arp(unsigned nic)
{
	uint8_t *at = frame + ETH_BYTES;

	if (get16(at + 6) != 1 || !is_mine(nic, at + 24))
		return;
	put16(at + 6, 2);
	memcpy(at + 18, at + 8, 6);
	swap(at + 14, at + 24, 4);
	memcpy(at + 8, nics[nic].mac, 6);
	back_to_sender(nic, ETH_BYTES + 28);
}

static void icmp(unsigned nic, uint32_t length)
{
	uint8_t *at = frame + ETH_BYTES + IP_BYTES;

	if (at[0] != 8 || sum16(at, length - ETH_BYTES - IP_BYTES) != 0xffff)
		return;
	at[0] = 0;
	put16(at + 2, 0);
	put16(at + 2, ~sum16(at, length - ETH_BYTES - IP_BYTES));
	back_to_sender(nic, length);
}

static void answer_done(unsigned nic)
{
	put16(frame + ETH_BYTES + 2, IP_BYTES + UDP_BYTES + 4);
	put16(frame + ETH_BYTES + 10, 0);
	put16(frame + ETH_BYTES + 10, ~sum16(frame + ETH_BYTES, IP_BYTES));
	put16(frame + ETH_BYTES + IP_BYTES + 4, UDP_BYTES + 4);
	put16(frame + ETH_BYTES + IP_BYTES + 6, 0);
	memcpy(frame + HEADERS_BYTES, "done", 4);
	back_to_sender(nic, HEADERS_BYTES + 4);
}

/* Datagram i: i in 4 bytes, then bytes i, i + 1, ...; as many as i * 7919 modulo the room allows. */
static void burst(unsigned nic, uint64_t count)
{
	uint32_t room = nics[nic].mtu - IP_BYTES - UDP_BYTES - 4;

	memcpy(out, frame, HEADERS_BYTES);
	memcpy(out, frame + 6, 6);
	memcpy(out + 6, nics[nic].mac, 6);
	put16(out + ETH_BYTES + IP_BYTES + 6, 0);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t length = i * 7919 % (room + 1);
		put16(out + ETH_BYTES + 2, IP_BYTES + UDP_BYTES + 4 + length);
		put16(out + ETH_BYTES + 10, 0);
		put16(out + ETH_BYTES + 10, ~sum16(out + ETH_BYTES, IP_BYTES));
		put16(out + ETH_BYTES + IP_BYTES + 4, UDP_BYTES + 4 + length);
		put16(out + HEADERS_BYTES, i >> 16);
		put16(out + HEADERS_BYTES + 2, i);
		for (uint32_t n = 0; n < length; n++)
			out[HEADERS_BYTES + 4 + n] = (uint8_t)(i + n);
		if (!net_send(&nics[nic], out, HEADERS_BYTES + 4 + length))
			print("burst FAILED\n");
	}
}

static void starve(unsigned nic, uint64_t milliseconds)
{
	uint64_t start = read_tsc();

	print_check("starve", net_start_without_buffers(&nics[nic], nic, basic_features));
	while (read_tsc() - start < milliseconds * TSC_MS)
		cpu_pause();
	net_offer_all(&nics[nic]);
}

static void storm(unsigned nic, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		virtio_write(&nics[nic].device, REG_QUEUE_NOTIFY, (uint32_t)(i % 5));
}

/* The number behind `word` at the front of the datagram; -1: it is another word. */
static int64_t argument(const uint8_t *at, const char *word)
{
	int64_t value = 0;

	for (; *word != '\0'; word++)
		if (*at++ != (uint8_t)*word)
			return -1;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (*at - '0');
	return value;
}

static void command(unsigned nic, uint32_t length)
{
	const uint8_t *text = frame + HEADERS_BYTES;
	int64_t number;

	frame[length] = 0;
	swap(frame + ETH_BYTES + 12, frame + ETH_BYTES + 16, 4);
	swap(frame + ETH_BYTES + IP_BYTES, frame + ETH_BYTES + IP_BYTES + 2, 2);
	if ((number = argument(text, "burst ")) >= 0)
		burst(nic, (uint64_t)number);
	else if ((number = argument(text, "starve ")) >= 0)
		starve(nic, (uint64_t)number);
	else if ((number = argument(text, "storm ")) >= 0)
		storm(nic, (uint64_t)number);
	else if ((number = argument(text, "features ")) >= 0)
		print_check("features",
			    net_start(&nics[nic], nic, basic_features | (uint64_t)number));
	number = argument(text, "end");
	answer_done(nic);
	if (number < 0)
		return;
	(void)virtio_wait(&nics[nic].queues[NET_TX],
			  (uint16_t)(nics[nic].queues[NET_TX].avail.index -
				     nics[nic].queues[NET_TX].seen_used));
	print_number("wrong frames", nics[0].wrong + nics[1].wrong);
	guest_reset();
}

static void udp(unsigned nic, uint32_t length)
{
	uint8_t *at = frame + ETH_BYTES + IP_BYTES;

	if (get16(at + 2) == PORT_COMMANDS) {
		command(nic, length);
	} else if (get16(at + 2) == PORT_ECHO) {
		swap(frame + ETH_BYTES + 12, frame + ETH_BYTES + 16, 4);
		swap(at, at + 2, 2);
		back_to_sender(nic, length);
	}
}

static void answer(unsigned nic, uint32_t length)
{
	const uint8_t *ip = frame + ETH_BYTES;
	uint32_t ip_length = get16(ip + 2);

	if (length >= ETH_BYTES + 28 && get16(frame + 12) == 0x0806) {
		arp(nic);
		return;
	}
	/* Whole datagrams without options only; what Ethernet padded is cut off. */
	if (length < HEADERS_BYTES || get16(frame + 12) != 0x0800 || ip[0] != 0x45 ||
	    (get16(ip + 6) & 0x3fff) != 0 || !is_mine(nic, ip + 16) ||
	    ip_length > length - ETH_BYTES || ip_length < IP_BYTES + UDP_BYTES)
		return;
	if (ip[9] == 1) {
		swap(frame + ETH_BYTES + 12, frame + ETH_BYTES + 16, 4);
		icmp(nic, ETH_BYTES + ip_length);
	} else if (ip[9] == 17) {
		udp(nic, ETH_BYTES + ip_length);
	}
}

static void print_nic(unsigned nic)
{
	print("mac");
	for (unsigned i = 0; i < 6; i++) {
		print(i == 0 ? " " : ":");
		print(nics[nic].mac[i] < 0x10 ? "0" : "");
		print_hex(nics[nic].mac[i]);
	}
	print("\n");
	print_number("mtu", nics[nic].mtu);
}

void guest_main(const uint8_t *zero_page)
{
	unsigned n = (unsigned)cmdline_number(zero_page, "nics=", 1);
	uint64_t features = cmdline_number(zero_page, "features=", 0);
	bool up = true;

	for (unsigned nic = 0; nic < n; nic++) {
		print_check("start", net_start(&nics[nic], nic, basic_features | features));
		print_nic(nic);
	}
	print("ready\n");
	for (uint64_t turn = 0;; turn++) {
		for (unsigned nic = 0; nic < n; nic++) {
			uint32_t length = net_receive(&nics[nic], frame);
			if (length > 0)
				answer(nic, length);
		}
		/* A look at a register is an exit: not at every turn. */
		if (turn % 100000 == 0 && up && !net_link_is_up(&nics[0])) {
			up = false;
			print("link is down\n");
		}
	}
}
