#!/bin/bash
# SPDX-License-Identifier: MIT
# Command line, e820 map and initrd as the guest sees them, from an ELF kernel and from a bzImage.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

head -c 9999 /dev/urandom >"$tmp/initrd"
cmdline="one two=3 virtio-free"
low_map="0 9fc00 1
9fc00 60400 2"

# expect_guest_saw MAP
expect_guest_saw() {
	{
		printf '%s\n%s\n%s\n' "$cmdline" "$low_map" "$1"
		printf 'initrd 0x270f\ninitrd on a page ok\n'
		cat "$tmp/initrd"
	} >"$tmp/expected"
	expect_status 0
	cmp "$tmp/expected" "$tmp/out" || { head -n 12 "$tmp/out"; die "the guest saw something else"; }
}

# le BYTES VALUE: little-endian
le() {
	local i
	for ((i = 0; i < $1; i++)); do
		# shellcheck disable=SC2059 # an escape is wanted
		printf "\\x$(printf %02x $(($2 >> (8 * i) & 255)))"
	done
}

# put OFFSET BYTES VALUE: into $tmp/setup
put() {
	le "$2" "$3" | dd of="$tmp/setup" bs=1 seek=$(($1)) conv=notrunc status=none
}

# A bzImage of protocol 2.15 around the ELF guest: 1024 bytes of setup code that never runs, then the guest's
# memory from 2 MiB on with one page in front, which has a jump at the 64-bit entry (+0x200).
load_gpa=0x1ff000
make_bzimage() {
	local entry code_bytes
	objcopy -O binary "$elf/zero_page.elf" "$tmp/code"
	entry=$(readelf -h "$elf/zero_page.elf" | sed -n 's/.*Entry point address: *//p')
	{
		head -c 512 /dev/zero | tr '\0' '\314' # int3: any other entry is a triple fault
		printf '\xe9'
		le 4 $((entry - (load_gpa + 0x205)))
		head -c $((4096 - 512 - 5)) /dev/zero
		cat "$tmp/code"
	} >"$tmp/payload"
	code_bytes=$(wc -c <"$tmp/payload")
	head -c 1024 /dev/zero >"$tmp/setup"
	put 0x1f1 1 1                              # setup_sects
	put 0x1f4 4 $(((code_bytes + 15) / 16))    # syssize
	put 0x1fe 2 0xaa55                         # boot_flag
	put 0x200 2 0x6aeb                         # jump: also where the header ends
	put 0x202 4 0x53726448                     # "HdrS"
	put 0x206 2 0x020f                         # version
	put 0x211 1 1                              # loadflags: LOADED_HIGH
	put 0x22c 4 0x7fffffff                     # initrd_addr_max
	put 0x230 4 0x1000                         # kernel_alignment
	put 0x236 2 1                              # xloadflags: XLF_KERNEL_64
	put 0x238 4 2047                           # cmdline_size
	put 0x258 8 $load_gpa                           # pref_address
	put 0x260 4 0x200000                       # init_size
	cat "$tmp/setup" "$tmp/payload" >"$tmp/bzimage"
}

run_guest() {
	vmm_run --kernel "$1" --initrd "$tmp/initrd" --no-default-cmdline --cmdline "$cmdline" --mem "$2"
}

run_guest "$elf/zero_page.elf" 128M
expect_guest_saw "100000 7f00000 1"
run_guest "$elf/zero_page.elf" 3G
expect_guest_saw "100000 bff00000 1"
run_guest "$elf/zero_page.elf" 3500M
expect_guest_saw "100000 bff00000 1
100000000 1ac00000 1"
run_guest "$elf/zero_page.elf" 5G
expect_guest_saw "100000 bff00000 1
100000000 80000000 1"
run_guest "$elf/zero_page.elf" 64G # more than most hosts have: what the guest does not touch costs nothing
expect_guest_saw "100000 bff00000 1
100000000 f40000000 1"

make_bzimage
run_guest "$tmp/bzimage" 128M
expect_guest_saw "100000 7f00000 1"
