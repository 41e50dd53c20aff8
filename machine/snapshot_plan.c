/* SPDX-License-Identifier: MIT */
#include "machine/snapshot_plan.h"

#include <string.h>
#include <sys/utsname.h>

#include "config/options.h"
#include "cpu/vcpu_state.h"
#include "host/fail.h"
#include "host/ioctl.h"
#include "host/kvm.h"
#include "host/text.h"

#define CPU_TEXT_BYTES 64u

static_assert(SNAPSHOT_MAX_DISKS == MAX_DISKS && SNAPSHOT_MAX_NETS == MAX_NETS, "room for all");

void machine_describe_host(struct machine *m)
{
	struct snapshot_header *header = &m->snapshot.host;
	struct cpuid_table *cpuid = &m->cpuid;
	struct utsname host = { .release = "?" };

	if (m->config.snapshot == NULL && m->config.restore.text == NULL)
		return;
	if (!msr_list_learn(&m->snapshot.msrs, m->kvm_fd))
		fail_errno(EXIT_HOST_REFUSED, "KVM_GET_MSR_INDEX_LIST");
	m->snapshot.xsave_bytes = vcpu_xsave_bytes(m->vm_fd);
	uname(&host);
	/* Of the first vCPU: the last one's number stands in the table. */
	cpuid_set_apic_id(cpuid, 0);
	text_format(header->host_kernel, sizeof(header->host_kernel), "%.63s", host.release);
	cpuid_describe(cpuid, header->cpu_vendor, &header->cpu_signature);
	header->cpuid_bytes = (uint32_t)(cpuid->head.nent * sizeof(cpuid->entries[0]));
	header->cpuid_checksum = snapshot_checksum(cpuid->entries, header->cpuid_bytes);
	int khz = host_ioctl(m->vcpus[0].fd, KVM_GET_TSC_KHZ, 0);
	header->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
}

static void describe_devices(const struct machine *m, struct snapshot_header *header)
{
	const struct vm_config *config = &m->config;

	header->has_acpi = config->acpi;
	header->has_serial = config->serial != SERIAL_NONE;
	header->has_vsock = config->vsock.guest_cid != 0;
	header->n_disks = (uint8_t)config->n_disks;
	header->n_nets = (uint8_t)config->n_nets;
	for (unsigned i = 0; i < config->n_nets; i++)
		memcpy(header->macs[i], config->nets[i].mac, sizeof(config->nets[i].mac));
}

void machine_describe(const struct machine *m, struct snapshot_header *header)
{
	*header = m->snapshot.host;
	text_format(header->monitor, sizeof(header->monitor), "%s", VMM_VERSION);
	header->memory_bytes = m->config.mem_bytes;
	header->n_cpus = m->config.n_cpus;
	header->generation = m->snapshot.file.header.generation + 1;
	describe_devices(m, header);
}

static _Noreturn void refuse(const struct machine *m, struct error_text *error)
{
	fail_option(error, "--restore %s", m->config.restore.text);
}

static void expect_number(const struct machine *m, const char *what, unsigned long long snapshots,
			  unsigned long long clones)
{
	struct error_text error;

	if (snapshots == clones)
		return;
	error_set(&error, "the snapshot has %s %llu, this VM %llu", what, snapshots, clones);
	refuse(m, &error);
}

/* Of the host: a snapshot for another one, not a wrong one. */
static void expect_text(const struct machine *m, const char *what, const char *snapshots,
			const char *hosts)
{
	struct error_text error;

	if (strncmp(snapshots, hosts, 64) == 0)
		return;
	error_set_refused(&error, "the snapshot was made %s %.63s, this host has %.63s", what,
			  snapshots, hosts);
	refuse(m, &error);
}

static bool is_sound(const struct snapshot_header *header)
{
	/* What is to be zero; and no interface has a group's address. */
	unsigned wrong = header->zero | header->zeroes[0] | header->zeroes[1] | header->zeroes[2];

	for (unsigned i = 0; i < SNAPSHOT_MAX_NETS; i++)
		wrong |= header->macs[i][0] & 1;
	return wrong == 0 && header->memory_bytes >= (2u << 20) &&
	       header->memory_bytes <= 1ull << 40 && header->memory_bytes % 4096 == 0 &&
	       header->n_cpus >= 1 && header->n_cpus <= MAX_CPUS && header->has_acpi <= 1;
}

/* What the command line says of the machine's size must be the same, if it says anything. */
void machine_adopt_plan(struct machine *m)
{
	const struct snapshot_header *header = &m->snapshot.file.header;
	struct vm_config *config = &m->config;
	struct error_text error;

	if (!is_sound(header)) {
		error_set(&error, "the snapshot is damaged: its header has an impossible number");
		refuse(m, &error);
	}
	if (memcmp(header->monitor, VMM_VERSION, sizeof(VMM_VERSION)) != 0) {
		error_set(&error, "the snapshot was made by vmm %.15s, this is %s", header->monitor,
			  VMM_VERSION);
		refuse(m, &error);
	}
	if (config->mem_given)
		expect_number(m, "--mem bytes", header->memory_bytes, config->mem_bytes);
	if (config->cpus_given)
		expect_number(m, "--cpus", header->n_cpus, config->n_cpus);
	if (config->acpi_given)
		expect_number(m, "--acpi", header->has_acpi != 0, config->acpi);
	expect_number(m, "disks:", header->n_disks, config->n_disks);
	expect_number(m, "network interfaces:", header->n_nets, config->n_nets);
	expect_number(m, "vsocks:", header->has_vsock, config->vsock.guest_cid != 0);
	expect_number(m, "serial ports:", header->has_serial, config->serial != SERIAL_NONE);
	config->mem_bytes = header->memory_bytes;
	config->n_cpus = header->n_cpus;
	config->acpi = header->has_acpi;
	for (unsigned i = 0; i < config->n_nets; i++) {
		memcpy(config->nets[i].mac, header->macs[i], sizeof(config->nets[i].mac));
		config->nets[i].has_mac = true;
	}
}

/* vCPUs are made: the TSC's frequency can be another where the CPU scales it. */
static void expect_frequency(const struct machine *m, uint32_t was_khz, uint32_t is_khz)
{
	struct error_text error;

	if (was_khz == is_khz)
		return;
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		if (host_ioctl(m->vcpus[i].fd, KVM_SET_TSC_KHZ, (unsigned long)was_khz) < 0) {
			error_set_refused(&error,
					  "the snapshot's TSC runs at %u kHz, this host's at %u, "
					  "and its CPU scales none",
					  was_khz, is_khz);
			refuse(m, &error);
		}
}

static void describe_cpu(const struct snapshot_header *header, char text[CPU_TEXT_BYTES])
{
	text_format(text, CPU_TEXT_BYTES, "%.12s %x, CPUID %llx of %u bytes", header->cpu_vendor,
		    header->cpu_signature, (unsigned long long)header->cpuid_checksum,
		    header->cpuid_bytes);
}

void machine_check_host(const struct machine *m)
{
	const struct snapshot_header *header = &m->snapshot.file.header;
	const struct snapshot_header *host = &m->snapshot.host;
	char was[CPU_TEXT_BYTES], is[CPU_TEXT_BYTES];
	struct error_text error;

	expect_text(m, "under Linux", header->host_kernel, host->host_kernel);
	describe_cpu(host, is);
	describe_cpu(header, was);
	expect_text(m, "for the CPU", was, is);
	if (!vcpu_state_has_tsc_offset(m->vcpus[0].fd)) {
		error_set_refused(&error,
				  "this host's KVM has no KVM_VCPU_TSC_OFFSET (Linux 5.16)");
		refuse(m, &error);
	}
	expect_frequency(m, header->tsc_khz, host->tsc_khz);
}
