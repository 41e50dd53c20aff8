#!/bin/bash
# SPDX-License-Identifier: MIT
# A snapshot for another host, monitor or machine is refused by one line with both values; so is one that is damaged in any place, and what
# cannot be written leaves no file, and a VM that goes on.
# shellcheck source=tests/guest/snapshot_lib.bash
. "$(dirname "$0")/snapshot_lib.bash"
vmm_run --kernel "$elf/snapshot.elf" --snapshot "$tmp/good"
expect_status 0
kernel=$(uname -r)

# Each field of the header, whose checksum fits again. patched FIELD VALUE STATUS REGEX
declare -A has_row=()
patched() {
	has_row[$1]=1
	cp --sparse=always "$tmp/good" "$tmp/bad"
	tests/guest/snapshot_patch.py "$tmp/bad" "$1" "$2"
	vmm_run --restore "$tmp/bad"
	expect_status "$3" "$1 = $2"
	[ "$3" = 0 ] || expect_error "--restore $tmp/bad: .*$4"
}
patched magic 7 121 'this is no snapshot'
patched version 9 121 "snapshot's format is version 9, this monitor's 1"
patched zero 1 121 'an impossible number'
patched checksum 0 121 "its header's checksum is wrong"
patched sections_bytes 0 121 'is missing'
patched sections_bytes 0xffffffffffffff00 121 'an impossible number'
patched memory_offset 4096 121 'an impossible number'
patched memory_offset 0x201000 121 'an impossible number'
patched memory_offset 0x400000 121 'has [0-9]+ bytes, but 134217728 of memory from byte 4194304 on'
patched memory_bytes 4096 121 'has [0-9]+ bytes, but 4096 of memory'
patched monitor 0.0.1 121 "made by vmm 0\.0\.1, this is [0-9.]+"
patched host_kernel 5.4.0-ancient 122 "made under Linux 5\.4\.0-ancient, this host has $kernel"
patched cpu_vendor VIAVIAVIAVIA 122 'made for the CPU VIAVIAVIAVIA [0-9a-f]+, CPUID [0-9a-f]+ of [0-9]+ bytes, this host has [A-Za-z]+ '
patched cpu_signature 0x12345 122 'made for the CPU .* 12345, .*, this host has '
patched cpuid_bytes 40 122 'CPUID [0-9a-f]+ of 40 bytes, this host has .* CPUID [0-9a-f]+ of [0-9]+ bytes'
patched cpuid_checksum 0xabc 122 'CPUID abc of [0-9]+ bytes, this host has .* CPUID [0-9a-f]+'
patched tsc_khz 1000 122 "TSC runs at 1000 kHz, this host's at [0-9]+"
patched n_cpus 0 121 'an impossible number'
patched n_cpus 255 121 'an impossible number'
patched n_cpus 2 122 'made for the CPU'
patched has_acpi 2 121 'an impossible number'
patched has_serial 0 121 'has serial ports: 0, this VM 1'
patched has_vsock 1 121 'has vsocks: 1, this VM 0'
patched n_disks 1 121 'has disks: 1, this VM 0'
patched n_disks 17 121 'an impossible number'
patched n_nets 1 121 'has network interfaces: 1, this VM 0'
patched n_nets 9 121 'an impossible number'
patched zeroes 1 121 'an impossible number'
patched macs 1 121 'an impossible number'
# The only one that may be any: clones of clones.
patched generation 41 0 ''
for field in $(tests/guest/snapshot_patch.py --fields); do
	[ -n "${has_row[$field]-}" ] || die "nothing changes the header's $field"
done

# Every 397th byte of the sections, by the checksums.
end=$((4096 + $(od -A n -t u8 -j 24 -N 8 "$tmp/good")))
for ((at = 4096; at < end - 8; at += 397)); do
	cp --sparse=always "$tmp/good" "$tmp/bad"
	printf '%b' "\\x$(printf %02x $((($(od -A n -t u1 -j $at -N 1 "$tmp/good") + 1) % 256)))" |
		dd of="$tmp/bad" bs=1 seek=$at conv=notrunc status=none
	vmm_run --restore "$tmp/bad"
	expect_status 121 "byte $at"
	expect_error 'the snapshot is damaged: '
done

# Each section, in a machine with all devices.
make_devices "$tmp/v{}"
vmm_run --kernel "$elf/snapshot.elf" "${devices[@]}" --snapshot "$tmp/devices"
expect_status 0
timeout -s KILL "${TIME_LIMIT:-250}" tests/guest/snapshot_sections.py "$tmp/devices" "$tmp" -- "${monitor[@]}" "${devices[@]}" ||
	die "a section"

# A full disk, and a folder that nobody may write to any more.
mkdir "$tmp/small"
if mount -t tmpfs -o size=64k small "$tmp/small" 2>/dev/null; then
	at_exit umount "$tmp/small"
	vmm_run --kernel "$elf/snapshot.elf" --snapshot "$tmp/small/snap"
	expect_status 0 "a full disk"
	expect_error 'snapshot snap: No space left on device'
	expect_output "$(echo asks; printf '%s ok\n' memory registers fpu)"
	[ -z "$(ls "$tmp/small")" ] || die "a file is left"

	# A guest that asks again and again fills disk and log once.
	vmm_run --kernel "$elf/snapshot.elf" --cmdline rounds=9 --snapshot "$tmp/small/snap"
	expect_status 0 "a full disk, 9 times"
	expect_error 'snapshot snap: No space left on device'
fi

if unshare -m true 2>/dev/null; then
	status=0
	unshare -m sh -c 'mount -t tmpfs none /proc && exec "$@"' sh ./vmm --kernel "$elf/snapshot.elf" --snapshot "$tmp/none" >"$tmp/out" 2>"$tmp/err" ||
		status=$?
	expect_status 122 "no /proc"
	expect_error '--snapshot .*/none: there is no /proc, by which a file gets its name'
fi
