/* SPDX-License-Identifier: MIT */
/* The event loop and the devices on it: each is one explicit call. */
#include <unistd.h>

#include "host/kvm.h"
#include "host/late_close.h"
#include "io/cmos.h"
#include "io/exit_port.h"
#include "io/reset_port.h"
#include "io/sleep_port.h"
#include "machine/control.h"
#include "machine/machine.h"
#include "machine/snapshot.h"

/* Signals, exit request, console and the like. */
#define RING_OWN_OPERATIONS 16u

static unsigned operations_in_flight(const struct vm_config *config)
{
	return RING_OWN_OPERATIONS + config->n_disks * (VIRTQUEUE_MAX_SIZE + 3) +
	       config->n_nets * (VIRTQUEUE_MAX_SIZE + NET_MAX_READS + 3) +
	       (config->control.text != NULL ? CONTROL_OPERATIONS : 0) +
	       (config->vsock.guest_cid != 0 ? VSOCK_MAX_CONNECTIONS / 2 : 0);
}

void machine_open_event_loop(struct machine *m)
{
	kvm_describe();
	ring_open(&m->ring, operations_in_flight(&m->config));
	signal_events_open(&m->signals, &m->ring, &m->exit, m->config.grace_s);
}

void machine_start_ring(struct machine *m)
{
	/* Before the limits of workers, which a thread without a ring of its own would have for its first ring: that one. */
	late_close_prepare();
	for (unsigned i = 0; i < m->config.n_disks; i++)
		ring_allow_workers(&m->ring, block_lanes_workers(&m->disks[i].image));
	if (m->config.vsock.guest_cid != 0 || m->config.control.text != NULL)
		ring_allow_sockets(&m->ring, machine_connects(m));
	ring_start(&m->ring);
}

static void attach_virtio(struct machine *m, struct virtio_transport *transport,
			  struct virtio_device *device, unsigned index)
{
	const struct device_window *window = &m->plan.virtio[index];

	virtio_transport_init(transport, device);
	virtio_transport_attach(transport, &m->vm_fd, &m->mmio, &m->ring, window->mmio_gpa,
				window->gsi);
	if (m->config.acpi)
		virtio_transport_attach_acpi(transport, &m->mmio, window->acpi_gpa);
}

static void attach_disks(struct machine *m)
{
	for (unsigned i = 0; i < m->config.n_disks; i++) {
		struct disk *disk = &m->disks[i];
		block_image_set_id(&disk->image, i);
		block_init(&disk->block, &disk->image, &m->memory, &m->ring, &m->exit);
		attach_virtio(m, &disk->transport, &disk->block.device, i);
	}
}

static void attach_nics(struct machine *m)
{
	for (unsigned i = 0; i < m->config.n_nets; i++) {
		struct nic *nic = &m->nics[i];
		struct net_config *net = &m->config.nets[i];
		if (!net->has_mac)
			net_make_mac(net->mac, nic->name, i);
		if (nic->tap.fd >= 0)
			net_init(&nic->net, &nic->tap, net->mac, net->mtu, &m->memory, &m->ring);
		else
			net_init_stream(&nic->net, &nic->stream, nic->name, net->mac, net->mtu,
					&m->memory, &m->ring);
		attach_virtio(m, &nic->transport, &nic->net.device, m->config.n_disks + i);
	}
}

static void attach_vsock(struct machine *m)
{
	const struct vsock_config *vsock = &m->config.vsock;
	struct vsock_port *port = &m->vsock;

	if (vsock->guest_cid == 0)
		return;
	struct vsock_target target = { vsock->uds_path, vsock->connect_fd };
	vsock_open(&port->vsock, vsock->guest_cid, &port->listener, target, &m->memory, &m->ring);
	attach_virtio(m, &port->transport, &port->vsock.device, m->plan.n_virtio - 1);
}

void machine_attach_ports(struct machine *m)
{
	m->vcpu_machine = (struct vcpu_machine){
		.ports = &m->ports,
		.mmio = &m->mmio,
		.exit = &m->exit,
		.timer = &m->timer,
		.confined = &m->confined,
	};
	exit_request_open(&m->exit, &m->ring); /* the first vCPU looks there before all else */
	reset_port_attach(&m->ports, &m->exit);
	exit_port_attach(&m->ports, &m->exit);
	cmos_attach(&m->ports);
	if (m->config.acpi)
		sleep_port_attach(&m->ports, &m->exit);
	boot_timer_attach(&m->timer, &m->mmio, m->config.boot_timer);
}

void machine_attach_devices(struct machine *m)
{
	if (m->config.serial == SERIAL_FILE)
		machine_check_serial_file(m);
	if (m->config.serial != SERIAL_NONE) {
		console_open(&m->console,
			     m->config.serial == SERIAL_FILE ? &m->config.serial_file : NULL,
			     &m->vm_fd, &m->ring, &m->exit);
		serial_attach(&m->console.serial, &m->ports);
	}
	attach_disks(m);
	attach_nics(m);
	attach_vsock(m);
	machine_attach_control(m);
	machine_attach_snapshot(m);
}

static void before_stop(void *context)
{
	struct machine *m = context;

	keyboard_suspend(&m->console.keyboard);
}

static void after_continue(void *context)
{
	struct machine *m = context;

	keyboard_resume(&m->console.keyboard);
}

static bool ask_guest(void *context)
{
	return machine_ask_guest(context) != 0;
}

void machine_start_devices(struct machine *m)
{
	m->signals.ask_guest = ask_guest;
	m->signals.before_stop = before_stop;
	m->signals.after_continue = after_continue;
	m->signals.context = m;
	atomic_store(&m->devices_run, true);
	exit_request_start(&m->exit);
	signal_events_start(&m->signals);
	if (m->config.serial != SERIAL_NONE)
		console_start(&m->console);
	for (unsigned i = 0; i < m->config.n_disks; i++) {
		virtio_transport_start(&m->disks[i].transport);
		block_start(&m->disks[i].block);
	}
	for (unsigned i = 0; i < m->config.n_nets; i++) {
		virtio_transport_start(&m->nics[i].transport);
		net_start(&m->nics[i].net);
	}
	if (m->config.vsock.guest_cid != 0) {
		virtio_transport_start(&m->vsock.transport);
		vsock_start(&m->vsock.vsock);
	}
	machine_start_control(m);
	machine_start_snapshot(m);
}

void machine_detach_devices(struct machine *m)
{
	/* Whoever reads the console gets its end now: the ring has a reference to it. */
	ring_close(&m->ring);
	if (m->config.serial != SERIAL_NONE)
		console_close(&m->console);
	close(STDOUT_FILENO);
	for (unsigned i = 0; i < m->config.n_disks; i++) {
		virtio_transport_detach(&m->disks[i].transport);
		disk_close(&m->disks[i]);
	}
	for (unsigned i = 0; i < m->config.n_nets; i++) {
		virtio_transport_detach(&m->nics[i].transport);
		tap_close(&m->nics[i].tap);
		frame_socket_close(&m->nics[i].stream);
	}
	if (m->config.vsock.guest_cid != 0)
		virtio_transport_detach(&m->vsock.transport);
	machine_detach_control(m);
	signal_events_close(&m->signals);
}
