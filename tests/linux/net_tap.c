/* SPDX-License-Identifier: MIT */
/*
 * The changes that a network test makes to the interfaces and threads around it:
 *
 *   net_tap sniff INTERFACE           until SIGTERM counts the frames there: how many each way, the longest,
 *                                     how many came with their checksum left to the receiver
 *   net_tap after INTERFACE BYTES     waits until so much has come from there
 *   net_tap open NAME FD COMMAND...   attaches to a TAP as descriptor FD and becomes the command
 *   net_tap offload INTERFACE [tx=on|off] [sg=] [tso=] [gso=] [rx=] [gro=]   as ethtool -K and -k
 *   net_tap cycle INTERFACE N         N times down and up
 *   net_tap hold TID                  stops one thread until end of file on stdin; says "held"
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

struct count {
	unsigned frames, longest, unfinished_checksums;
};

static unsigned packet_status(struct msghdr *message)
{
	struct tpacket_auxdata auxdata = { 0 };
	struct cmsghdr *control = CMSG_FIRSTHDR(message);

	if (control != NULL && control->cmsg_type == PACKET_AUXDATA)
		memcpy(&auxdata, CMSG_DATA(control), sizeof(auxdata));
	return auxdata.tp_status;
}

static void sniff_one(int fd, struct count counts[2])
{
	char head[64], control[256];
	struct sockaddr_ll from = { 0 };
	struct iovec part = { head, sizeof(head) };
	struct msghdr message = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t bytes = recvmsg(fd, &message, MSG_TRUNC);

	if (bytes < 0)
		return;
	struct count *count = &counts[from.sll_pkttype == PACKET_OUTGOING];
	count->frames++;
	if ((size_t)bytes > count->longest)
		count->longest = (unsigned)bytes;
	count->unfinished_checksums += (packet_status(&message) & TP_STATUS_CSUMNOTREADY) != 0;
}

static int sniff(char **arguments)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(arguments[0]) };
	struct sigaction action = { .sa_handler = on_signal };
	struct count counts[2] = { { 0 } };
	struct timeval moment = { .tv_usec = 100000 }; /* a signal just before recvmsg() is seen */
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1, bytes = 16 << 20;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof(moment));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		err(1, "packet socket on %s", arguments[0]);
	sigaction(SIGTERM, &action, NULL);
	puts("sniffing");
	fflush(stdout);
	while (!stop)
		sniff_one(fd, counts);
	for (int i = 0; i < 2; i++)
		printf("%s_frames %u\n%s_longest %u\n%s_unfinished_checksums %u\n",
		       i ? "to_guest" : "from_guest", counts[i].frames,
		       i ? "to_guest" : "from_guest", counts[i].longest,
		       i ? "to_guest" : "from_guest", counts[i].unfinished_checksums);
	return 0;
}

static int after(char **arguments)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(arguments[0]) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	char head[64];

	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		err(1, "packet socket on %s", arguments[0]);
	for (long left = atol(arguments[1]); left > 0;) {
		struct sockaddr_ll from;
		socklen_t length = sizeof(from);
		ssize_t bytes = recvfrom(fd, head, sizeof(head), MSG_TRUNC,
					 (struct sockaddr *)&from, &length);
		if (bytes < 0)
			err(1, "%s", arguments[0]);
		if (from.sll_pkttype != PACKET_OUTGOING)
			left -= bytes;
	}
	return 0;
}

static int open_tap(char **arguments)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK), wanted = atoi(arguments[1]);

	strncpy(request.ifr_name, arguments[0], IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		err(1, "TAP %s", arguments[0]);
	if (fd != wanted && (dup2(fd, wanted) < 0 || close(fd) < 0))
		err(1, "descriptor %d", wanted);
	execvp(arguments[2], arguments + 2);
	err(1, "%s", arguments[2]);
}

static const struct {
	const char *name;
	uint32_t get, set;
} offloads[] = {
	{ "tx", ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM }, { "rx", ETHTOOL_GRXCSUM, ETHTOOL_SRXCSUM },
	{ "sg", ETHTOOL_GSG, ETHTOOL_SSG },         { "tso", ETHTOOL_GTSO, ETHTOOL_STSO },
	{ "gso", ETHTOOL_GGSO, ETHTOOL_SGSO },      { "gro", ETHTOOL_GGRO, ETHTOOL_SGRO },
};
#define OFFLOADS (sizeof(offloads) / sizeof(offloads[0]))

static uint32_t ethtool_value(int fd, const char *interface, uint32_t command, uint32_t data)
{
	struct ethtool_value value = { command, data };
	struct ifreq request = { .ifr_data = (char *)&value };

	strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCETHTOOL, &request) < 0)
		err(1, "ethtool command %u on %s", command, interface);
	return value.data;
}

static void set_offload(int fd, const char *interface, const char *word)
{
	for (size_t i = 0; i < OFFLOADS; i++) {
		size_t length = strlen(offloads[i].name);
		if (strncmp(word, offloads[i].name, length) != 0 || word[length] != '=')
			continue;
		ethtool_value(fd, interface, offloads[i].set, strcmp(word + length, "=on") == 0);
		return;
	}
	errx(2, "offload: '%s'", word);
}

static int offload(char **arguments)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	for (char **word = arguments + 1; *word != NULL; word++)
		set_offload(fd, arguments[0], *word);
	for (size_t i = 0; i < OFFLOADS; i++)
		printf("%s=%s ", offloads[i].name,
		       ethtool_value(fd, arguments[0], offloads[i].get, 0) ? "on" : "off");
	puts("");
	return 0;
}

static int cycle(char **arguments)
{
	struct ifreq request = { .ifr_flags = 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), n = atoi(arguments[1]);

	strncpy(request.ifr_name, arguments[0], IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		err(1, "%s", arguments[0]);
	for (int i = 0; i < 2 * n; i++) {
		request.ifr_flags ^= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
			err(1, "cycle %d of %s", i / 2, arguments[0]);
	}
	printf("cycles %d\n", n);
	return 0;
}

static int hold(char **arguments)
{
	pid_t thread = atoi(arguments[0]);
	char c;

	if (ptrace(PTRACE_SEIZE, thread, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, thread, 0, 0) < 0 ||
	    waitpid(thread, NULL, __WALL) != thread)
		err(1, "cannot stop thread %d", (int)thread);
	puts("held");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	if (ptrace(PTRACE_DETACH, thread, 0, 0) < 0)
		err(1, "PTRACE_DETACH");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int min_words;
		int (*run)(char **arguments);
	} table[] = {
		{ "sniff", 1, sniff },     { "after", 2, after }, { "open", 3, open_tap },
		{ "offload", 1, offload }, { "cycle", 2, cycle }, { "hold", 1, hold },
	};

	for (size_t i = 0; argc > 1 && i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(argv[1], table[i].name) == 0 && argc >= table[i].min_words + 2)
			return table[i].run(argv + 2);
	errx(2, "see the head of tests/linux/net_tap.c");
}
