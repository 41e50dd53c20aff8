/*
 * vmm: boots Linux in a KVM microVM. main() is the table of contents: the stages in the order in
 * which they run, and backwards again. README.md tells why the order is as it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot/boot_params.h"
#include "boot/kernel_image.h"
#include "boot/mptable.h"
#include "config/machine_plan.h"
#include "config/options.h"
#include "cpu/boot_state.h"
#include "cpu/cpuid.h"
#include "cpu/vcpu.h"
#include "host/exit_request.h"
#include "host/fail.h"
#include "host/file.h"
#include "host/kvm.h"
#include "host/listen_socket.h"
#include "host/ring.h"
#include "host/signals.h"
#include "host/tap.h"
#include "io/boot_timer.h"
#include "io/bus.h"
#include "io/console.h"
#include "io/reset_port.h"
#include "irq/irqchip.h"
#include "mem/guest_memory.h"
#include "mem/layout.h"
#include "virtio-mmio/disks.h"
#include "virtio-mmio/net.h"
#include "virtio-mmio/transport.h"
#include "virtio-mmio/vsock.h"

/* What is waited for once the guest has stopped; less after a signal, which wants an end within a
 * second. */
#define FINISH_MS              30000u
#define FINISH_AFTER_SIGNAL_MS 250u
static const struct disk_limits disk_limits = { FINISH_MS, FINISH_AFTER_SIGNAL_MS };
static const struct console_limits console_limits = {
	.stall_ms = 5000,
	.total_ms = FINISH_MS,
	.hurry_ms = FINISH_AFTER_SIGNAL_MS,
};

struct nic {
	struct net net;
	struct virtio_transport transport;
};

/* The whole machine. Static: it lives as long as the process, and its pools are only touched when
 * they are used. */
static struct machine {
	struct vm_config config;
	struct machine_plan plan;
	struct boot_timer timer;
	int kvm_fd, vm_fd;
	struct guest_memory memory;
	struct exit_request exit;
	struct ring ring;
	struct signals signals;
	struct bus ports, mmio;
	struct console console;
	struct disk disks[MAX_DISKS];
	struct tap taps[MAX_NETS];
	struct nic nics[MAX_NETS];
	struct listen_socket vsock_listener;
	struct vsock vsock;
	struct virtio_transport vsock_transport;
	struct cpuid_table cpuid;
	struct vcpu_machine vcpu_machine;
	struct vcpu vcpus[MAX_CPUS];
} machine;

static void read_options(struct machine *m, int argc, char **argv)
{
	struct error_text error;

	switch (options_parse(&m->config, argc, argv, &error)) {
	case OPTIONS_HELP:
		fputs(options_help_text, stdout);
		exit(EXIT_GUEST_ENDED);
	case OPTIONS_VERSION:
		puts("vmm " VMM_VERSION);
		exit(EXIT_GUEST_ENDED);
	case OPTIONS_BAD:
		fail(EXIT_BAD_INPUT, "%s", error.text);
	case OPTIONS_RUN:
		break;
	}
	if (!machine_plan_make(&m->plan, &m->config, &error))
		fail(EXIT_BAD_INPUT, "%s", error.text);
}

/* Before the VM exists, so that a wrong path costs no VM. */
static void open_images(struct machine *m)
{
	struct error_text error;

	for (unsigned i = 0; i < m->config.n_disks; i++) {
		const struct disk_config *disk = &m->config.disks[i];
		const char *option = i == 0 && m->config.has_rootfs ? "--rootfs" : "--disk";
		if (!block_image_open(&m->disks[i].image, disk->path, disk->read_only, &error))
			fail(EXIT_BAD_INPUT, "%s %s: %s", option, disk->path, error.text);
	}
}

static void open_taps(struct machine *m)
{
	struct error_text error;

	for (unsigned i = 0; i < m->config.n_nets; i++) {
		const struct net_config *net = &m->config.nets[i];
		if (net->tap_name == NULL && !tap_adopt(&m->taps[i], net->fd, &error))
			fail(EXIT_BAD_INPUT, "--net fd=%d: %s", net->fd, error.text);
		if (net->tap_name != NULL && !tap_open(&m->taps[i], net->tap_name, &error))
			fail(EXIT_BAD_INPUT, "--net tap=%s: %s", net->tap_name, error.text);
	}
}

static void open_vsock(struct machine *m)
{
	const struct vsock_config *vsock = &m->config.vsock;
	struct error_text error;

	m->vsock_listener.fd = -1;
	if (vsock->guest_cid == 0)
		return;
	if (vsock->uds_fd >= 0) {
		if (!listen_socket_adopt(&m->vsock_listener, vsock->uds_fd, &error))
			fail(EXIT_BAD_INPUT, "--vsock uds-fd=%d: %s", vsock->uds_fd, error.text);
	} else if (!listen_socket_open(&m->vsock_listener, vsock->uds_path, &error)) {
		fail(EXIT_BAD_INPUT, "--vsock uds=%s: %s", vsock->uds_path, error.text);
	}
}

static void create_vm(struct machine *m)
{
	m->kvm_fd = kvm_open();
	m->vm_fd = kvm_create_vm(m->kvm_fd, LAYOUT_KVM_TSS_GPA);
	boot_timer_mark(&m->timer, BOOT_VM_CREATED);
}

static void create_memory(struct machine *m)
{
	if (!guest_memory_map(&m->memory, m->config.mem_bytes))
		fail_errno(EXIT_HOST_REFUSED, "cannot map %llu MiB of guest memory",
			   (unsigned long long)(m->config.mem_bytes >> 20));
	if (!guest_memory_register(&m->memory, m->vm_fd))
		fail_errno(EXIT_HOST_REFUSED, "KVM_SET_USER_MEMORY_REGION");
}

static void create_vcpus(struct machine *m)
{
	int limit = kvm_capability(m->kvm_fd, KVM_CAP_MAX_VCPUS);

	if (limit > 0 && m->config.n_cpus > (unsigned)limit)
		fail(EXIT_HOST_REFUSED, "--cpus %u: this host's KVM allows %d", m->config.n_cpus,
		     limit);
	m->vcpu_machine = (struct vcpu_machine){ &m->ports, &m->mmio, &m->exit, &m->timer };
	cpuid_prepare(&m->cpuid, m->kvm_fd, m->config.n_cpus);
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		vcpu_create(&m->vcpus[i], m->kvm_fd, m->vm_fd, i, &m->cpuid, &m->vcpu_machine);
}

static void load_initrd(struct machine *m, const struct kernel_image *image, struct initrd *initrd)
{
	struct input_file file;
	struct error_text error;
	const char *path = m->config.initrd_path;

	if (path == NULL)
		return;
	if (!input_file_open(&file, path, &error) ||
	    !initrd_load(initrd, &m->memory, image, &file, &error))
		fail(EXIT_BAD_INPUT, "--initrd %s: %s", path, error.text);
	input_file_close(&file);
}

static void load_guest(struct machine *m)
{
	struct kernel_image image;
	struct initrd initrd = { 0 };
	struct input_file file;
	struct error_text error;
	const char *path = m->config.kernel_path;

	if (!input_file_open(&file, path, &error) ||
	    !kernel_image_load(&image, &m->memory, &file, &error))
		fail(EXIT_BAD_INPUT, "--kernel %s: %s", path, error.text);
	input_file_close(&file);
	load_initrd(m, &image, &initrd);
	if (!boot_params_write(&m->memory, &image, &initrd, m->plan.cmdline, &error))
		fail(EXIT_BAD_INPUT, "--kernel %s: %s", path, error.text);
	if (!mptable_write(&m->memory, m->config.n_cpus) || !boot_state_write_tables(&m->memory))
		fail(EXIT_BAD_INPUT, "--mem: there is no RAM for the boot tables");
	vcpu_set_entry(&m->vcpus[0], image.entry_gpa);
	boot_timer_mark(&m->timer, BOOT_KERNEL_LOADED);
}

static void attach_virtio(struct machine *m, struct virtio_transport *transport,
			  struct virtio_device *device, unsigned index)
{
	const struct device_window *window = &m->plan.virtio[index];

	virtio_transport_init(transport, device);
	virtio_transport_attach(transport, m->vm_fd, &m->mmio, &m->ring, window->mmio_gpa,
				window->gsi);
}

static void attach_disks(struct machine *m)
{
	for (unsigned i = 0; i < m->config.n_disks; i++) {
		struct disk *disk = &m->disks[i];
		block_init(&disk->block, &m->disks[i].image, &m->memory, &m->ring);
		attach_virtio(m, &disk->transport, &disk->block.device, i);
	}
}

static void attach_nics(struct machine *m)
{
	for (unsigned i = 0; i < m->config.n_nets; i++) {
		struct nic *nic = &m->nics[i];
		struct net_config *net = &m->config.nets[i];
		if (!net->has_mac)
			net_make_mac(net->mac, m->taps[i].name, i);
		net_init(&nic->net, &m->taps[i], net->mac, net->mtu, &m->memory, &m->ring);
		attach_virtio(m, &nic->transport, &nic->net.device, m->config.n_disks + i);
	}
}

static void attach_vsock(struct machine *m)
{
	const struct vsock_config *vsock = &m->config.vsock;

	if (vsock->guest_cid == 0)
		return;
	vsock_init(&m->vsock, vsock->guest_cid, m->vsock_listener.fd, vsock->uds_path, &m->memory,
		   &m->ring);
	attach_virtio(m, &m->vsock_transport, &m->vsock.device, m->plan.n_virtio - 1);
}

static void attach_devices(struct machine *m)
{
	ring_init(&m->ring);
	exit_request_init(&m->exit, &m->ring);
	signals_open(&m->signals, &m->ring, &m->exit);
	reset_port_attach(&m->ports, &m->exit);
	boot_timer_attach(&m->timer, &m->mmio, m->config.boot_timer);
	if (m->config.serial != SERIAL_NONE) {
		console_open(&m->console, m->config.serial_path, m->vm_fd, &m->ring, &m->exit);
		serial_attach(&m->console.serial, &m->ports);
	}
	attach_disks(m);
	attach_nics(m);
	attach_vsock(m);
}

static void continued(void *context)
{
	struct machine *m = context;

	if (m->config.serial != SERIAL_NONE)
		console_continue(&m->console);
}

static void start(struct machine *m)
{
	m->signals.continued = continued;
	m->signals.context = m;
	ring_start(&m->ring);
	exit_request_start(&m->exit);
	signals_start(&m->signals);
	if (m->config.serial != SERIAL_NONE)
		console_start(&m->console);
	for (unsigned i = 0; i < m->config.n_disks; i++)
		virtio_transport_start(&m->disks[i].transport);
	for (unsigned i = 0; i < m->config.n_nets; i++)
		virtio_transport_start(&m->nics[i].transport);
	if (m->config.vsock.guest_cid != 0) {
		virtio_transport_start(&m->vsock_transport);
		vsock_start(&m->vsock);
	}
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		vcpu_start(&m->vcpus[i]);
}

static void run(struct machine *m)
{
	while (exit_request_status(&m->exit) == EXIT_REQUEST_NONE) {
		int error = ring_wait(&m->ring);
		if (error < 0 && exit_request_post(&m->exit, EXIT_MONITOR_FAILED))
			warn("io_uring: %s", strerror(-error));
	}
}

static void stop_vcpus(struct machine *m)
{
	if (m->config.serial != SERIAL_NONE)
		serial_stop(&m->console.serial);
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		vcpu_stop(&m->vcpus[i]);
}

static bool finish_disks(struct machine *m)
{
	return disks_finish(m->disks, m->config.n_disks, &m->ring, &disk_limits,
			    &m->signals.received);
}

static void finish_console(struct machine *m)
{
	if (m->config.serial != SERIAL_NONE)
		console_finish(&m->console, &console_limits, &m->signals.received);
}

static void detach_devices(struct machine *m)
{
	for (unsigned i = 0; i < m->config.n_disks; i++) {
		virtio_transport_detach(&m->disks[i].transport);
		block_image_close(&m->disks[i].image);
	}
	for (unsigned i = 0; i < m->config.n_nets; i++) {
		virtio_transport_detach(&m->nics[i].transport);
		tap_close(&m->taps[i]);
	}
	if (m->config.vsock.guest_cid != 0)
		virtio_transport_detach(&m->vsock_transport);
	signals_close(&m->signals);
	ring_close(&m->ring);
}

static void destroy_vm(struct machine *m)
{
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		vcpu_destroy(&m->vcpus[i]);
	close(m->vm_fd);
	guest_memory_unmap(&m->memory);
	close(m->kvm_fd);
}

static int exit_status(const struct machine *m, bool flushed)
{
	int status = exit_request_status(&m->exit);

	return status == EXIT_GUEST_ENDED && !flushed ? EXIT_MONITOR_FAILED : status;
}

int main(int argc, char **argv)
{
	struct machine *m = &machine;

	boot_timer_start(&m->timer);
	file_reserve_stdio();
	read_options(m, argc, argv);
	open_images(m);
	open_taps(m);
	open_vsock(m);
	create_vm(m);
	create_memory(m);
	irqchip_create(m->vm_fd);
	create_vcpus(m);
	load_guest(m);
	attach_devices(m);
	start(m);
	run(m);
	stop_vcpus(m);
	bool flushed = finish_disks(m);
	finish_console(m);
	detach_devices(m);
	destroy_vm(m);
	return exit_status(m, flushed);
}
