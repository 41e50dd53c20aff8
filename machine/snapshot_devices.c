/* SPDX-License-Identifier: MIT */
#include "machine/snapshot_devices.h"

#include <string.h>

#include "io/console_state.h"
#include "virtio-mmio/block_state.h"
#include "virtio-mmio/net_state.h"
#include "virtio-mmio/transport_state.h"
#include "virtio-mmio/vsock/vsock_state.h"

#define UNTYPED_BYTES offsetof(struct console_state, typed)

static struct console_state console_state;

static void save_transport(const struct virtio_transport *transport, unsigned index,
			   struct snapshot_writer *writer)
{
	struct virtio_transport_state state;

	virtio_transport_save(transport, &state);
	snapshot_writer_add(writer, SNAPSHOT_TRANSPORT, index, &state, sizeof(state));
}

void machine_save_devices(const struct machine *m, struct snapshot_writer *writer)
{
	struct block_state block;
	struct net_state net;
	struct vsock_device_state vsock;
	unsigned index = 0;

	if (m->config.serial != SERIAL_NONE) {
		console_save(&m->console, &console_state);
		snapshot_writer_add(writer, SNAPSHOT_CONSOLE, 0, &console_state,
				    UNTYPED_BYTES + console_state.n_typed);
	}
	for (unsigned i = 0; i < m->config.n_disks; i++) {
		save_transport(&m->disks[i].transport, index++, writer);
		block_save(&m->disks[i].block, &block);
		snapshot_writer_add(writer, SNAPSHOT_BLOCK, i, &block, sizeof(block));
	}
	for (unsigned i = 0; i < m->config.n_nets; i++) {
		save_transport(&m->nics[i].transport, index++, writer);
		net_save(&m->nics[i].net, &net);
		snapshot_writer_add(writer, SNAPSHOT_NET, i, &net, sizeof(net));
	}
	if (m->config.vsock.guest_cid == 0)
		return;
	save_transport(&m->vsock.transport, index, writer);
	vsock_save(&m->vsock.vsock, &vsock);
	snapshot_writer_add(writer, SNAPSHOT_VSOCK, 0, &vsock, sizeof(vsock));
}

static bool restore_console(struct machine *m, struct snapshot_file *file, struct error_text *error)
{
	size_t bytes;
	const void *state;

	if (m->config.serial == SERIAL_NONE)
		return true;
	state = snapshot_file_take(file, SNAPSHOT_CONSOLE, 0, UNTYPED_BYTES, sizeof(console_state),
				   &bytes, error);
	if (state == NULL)
		return false;
	memcpy(&console_state, state, bytes);
	if (console_state.n_typed != bytes - UNTYPED_BYTES)
		return error_set(error, "the snapshot is damaged: its console has another length");
	return console_restore(&m->console, &console_state, error);
}

/* Returns the state of the device behind the transport's. */
static const void *restore_transport(struct virtio_transport *transport, unsigned index,
				     struct snapshot_file *file, enum snapshot_kind kind,
				     unsigned instance, size_t bytes, struct error_text *error)
{
	const struct virtio_transport_state *state =
		snapshot_file_take_exactly(file, SNAPSHOT_TRANSPORT, index, sizeof(*state), error);

	if (state == NULL || !virtio_transport_restore(transport, state, error))
		return NULL;
	return snapshot_file_take_exactly(file, kind, instance, bytes, error);
}

bool machine_load_devices(struct machine *m, struct snapshot_file *file, struct error_text *error)
{
	const void *state;
	unsigned index = 0;

	if (!restore_console(m, file, error))
		return false;
	for (unsigned i = 0; i < m->config.n_disks; i++) {
		state = restore_transport(&m->disks[i].transport, index++, file, SNAPSHOT_BLOCK, i,
					  sizeof(struct block_state), error);
		if (state == NULL || !block_restore(&m->disks[i].block, state, error))
			return false;
	}
	for (unsigned i = 0; i < m->config.n_nets; i++) {
		state = restore_transport(&m->nics[i].transport, index++, file, SNAPSHOT_NET, i,
					  sizeof(struct net_state), error);
		if (state == NULL || !net_restore(&m->nics[i].net, state, error))
			return false;
	}
	if (m->config.vsock.guest_cid == 0)
		return true;
	state = restore_transport(&m->vsock.transport, index, file, SNAPSHOT_VSOCK, 0,
				  sizeof(struct vsock_device_state), error);
	return state != NULL && vsock_restore(&m->vsock.vsock, state, error);
}
