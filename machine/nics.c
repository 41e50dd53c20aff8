/* SPDX-License-Identifier: MIT */
/* What the network interfaces have on the host: TAPs and streams. */
#include <net/if.h>
#include <string.h>

#include "host/fail.h"
#include "host/socket.h"
#include "host/text.h"
#include "machine/machine.h"

static bool is_same_interface(const char *name, const char *other)
{
	if (strcmp(name, other) == 0)
		return true;
	unsigned index =
		if_nametoindex(name); /* 0: in another namespace, as an inherited one may be */

	return index != 0 && index == if_nametoindex(other);
}

/* A busy interface is the user's mistake if this VM itself has it, by a descriptor or by another of its names. */
static const char *find_tap_twice(const struct machine *m, unsigned i, const char *name)
{
	for (unsigned j = 0; j < m->config.n_nets; j++) {
		const char *other = m->nics[j].tap.name; /* empty: not open yet */
		if (j != i && other[0] != '\0' && is_same_interface(name, other))
			return other;
	}
	return NULL;
}

static void adopt_net(struct machine *m, unsigned i)
{
	struct nic *nic = &m->nics[i];
	int fd = m->config.nets[i].fd;
	struct socket_kind kind;
	struct error_text error;

	bool is_stream = socket_look(fd, &kind);
	text_format(nic->fd_name, sizeof(nic->fd_name), "fd=%d", fd);
	nic->name = is_stream ? nic->fd_name : nic->tap.name;
	if (is_stream ? frame_socket_adopt(&nic->stream, fd, &error)
		      : tap_adopt(&nic->tap, fd, &error)) {
		if (is_stream || find_tap_twice(m, i, nic->tap.name) == NULL)
			return;
		error_set(&error, "%s is given twice", nic->tap.name);
	}
	fail_option(&error, "--net fd=%d", fd);
}

static void open_tap(struct machine *m, unsigned i)
{
	const char *name = m->config.nets[i].tap_name, *twice;
	struct error_text error;

	m->nics[i].name = name;
	if (tap_open(&m->nics[i].tap, name, &error))
		return;
	if (error.code == EXIT_HOST_REFUSED && (twice = find_tap_twice(m, i, name)) != NULL)
		error_set(&error, "%s is given twice", twice);
	fail_option(&error, "--net tap=%s", name);
}

static void open_passt(struct machine *m, unsigned i)
{
	const char *path = m->config.nets[i].passt_path;
	struct error_text error;

	m->nics[i].name = path;
	if (!frame_socket_open(&m->nics[i].stream, path, &error))
		fail_option(&error, "--net passt=%s", path);
}

/* The inherited TAPs first: they are busy already. */
void machine_open_nets(struct machine *m)
{
	struct error_text error;

	for (unsigned i = 0; i < m->config.n_nets; i++) {
		m->nics[i].tap.fd = m->nics[i].stream.fd = -1;
		if (m->config.nets[i].fd >= 0)
			adopt_net(m, i);
	}
	for (unsigned i = 0; i < m->config.n_nets; i++) {
		const struct net_config *net = &m->config.nets[i];
		if (net->tap_name != NULL)
			open_tap(m, i);
		else if (net->passt_path != NULL)
			open_passt(m, i);
		if (m->nics[i].tap.fd < 0 && net->mtu > NET_STREAM_MAX_MTU) {
			error_set(&error, "expected at most %u with a stream", NET_STREAM_MAX_MTU);
			fail_option(&error, "--net mtu=%u", net->mtu);
		}
	}
}
