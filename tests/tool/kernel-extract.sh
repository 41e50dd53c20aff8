#!/bin/bash
# SPDX-License-Identifier: MIT
# vmm-extract-kernel: every packing method, the kernels that are there, and damaged files, for each of which it
# ends soon, says why in one line, and leaves nothing behind.
set -eu
cd "$(dirname "$0")/../.."
extract=$PWD/guest/vmm-extract-kernel
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
damaged=0

die() {
	echo "FAILED: $*"
	exit 1
}

little() { # NUMBER BYTES: the number, little-endian, as printf's escapes
	local i text=
	for ((i = 0; i < $2; i++)); do text+=$(printf '\\x%02x' $(($1 >> 8 * i & 255))); done
	echo "$text"
}

poke() { # FILE OFFSET ESCAPES: overwrites bytes
	printf '%b' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# A bzImage whose packed kernel PAYLOAD is followed by its unpacked SIZE (nothing with an empty SIZE).
image_make() { # FILE PAYLOAD SIZE
	local bytes
	head -c 4096 /dev/zero >"$1"
	cat "$2" >>"$1"
	[ -z "$3" ] || printf '%b' "$(little "$3" 4)" >>"$1"
	bytes=$(($(stat -c %s "$1") - 4096))
	head -c 777 /dev/urandom >>"$1"
	poke "$1" 497 '\x03'
	poke "$1" 510 '\x55\xaa'
	poke "$1" 514 HdrS
	poke "$1" 518 '\x0f\x02'
	poke "$1" 584 "$(little 2048 4)$(little $bytes 4)"
}

expect_kernel() { # IMAGE KERNEL
	rm -f vmlinux
	"$extract" "$1" vmlinux 2>err || die "$1: $(cat err)"
	cmp "$2" vmlinux || die "$1: not what was packed"
	[ ! -s err ] || die "$1: it says '$(cat err)'"
}

# Fails with one line that holds TEXT; the old file stays, and nothing else is there.
expect_refused() { # TEXT IMAGE [TARGET]
	local target=${3:-kept} status=0 before
	echo old >kept
	before=$(ls -A)
	timeout 20 "$extract" "$2" "$target" >out 2>err || status=$?
	[ $status = 1 ] || die "$2: status $status, expected 1 and '$1'"
	[ "$(wc -l <err)" = 1 ] && grep -q '^vmm-extract-kernel: ' err || die "$2: it says '$(cat err)'"
	grep -qF -- "$1" err || die "$2: it says '$(cat err)', expected '$1'"
	[ ! -s out ] || die "$2: output"
	[ "$(cat kept)" = old ] || die "$2: the old file has changed"
	[ "$(ls -A)" = "$before" ] || die "$2: left behind: $(ls -A)"
	damaged=$((damaged + 1))
}

# The kernel: an ELF head, bytes that pack badly, and a long run of zeroes.
: >out
: >err
{
	printf '\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0'
	head -c 200000 /dev/urandom
	head -c 3000000 /dev/zero
	echo end
} >kernel
size=$(stat -c %s kernel)
gzip -n -9c kernel >payload.gzip
xz -9c --check=crc32 kernel >payload.xz
xz -9c --format=lzma kernel >payload.lzma
bzip2 -9c kernel >payload.bzip2
zstd -q -c --ultra -22 kernel >payload.zstd
lz4 -q -l -9 -c kernel >payload.lz4
methods="gzip xz lzma bzip2 zstd lz4"
! command -v lzop >/dev/null || { lzop -9c kernel >payload.lzo && methods+=" lzo"; }
for method in $methods; do
	image_make "$method" "payload.$method" "$([ "$method" = gzip ] || echo "$size")"
	expect_kernel "$method" kernel
done
[ "$(du -k vmlinux | cut -f 1)" -lt 1000 ] || die "the run of zeroes is no hole"
(umask 027 && "$extract" xz vmlinux.mode)
[ "$(stat -c %a vmlinux.mode)" = 640 ] || die "its mode is $(stat -c %a vmlinux.mode)"
mkdir "a folder"
cp xz "a folder/-x"
(cd "a folder" && "$extract" -x "-y z" && cmp -- "-y z" "$tmp/kernel") || die "names with blanks and dashes"
rm -r "a folder" vmlinux.mode

# Cut at every place that means something, and anywhere.
for method in $methods; do
	for bytes in 0 100 510 516 520 586 590 592 2000 4095 4096 4100 5000 100000 \
		$(($(stat -c %s "$method") - 778)); do
		head -c "$bytes" "$method" >cut
		expect_refused "" cut
	done
	# Another byte at the head; and further on, which lzma and lz4 have no check for.
	for at in 4096 4097 60000; do
		case $at$method in 60000lz4 | 60000lzma) continue ;; esac
		cp "$method" flipped
		poke flipped $at '\xee'
		expect_refused "" flipped
	done
	# More, and less, than was announced.
	if [ "$method" != gzip ]; then
		image_make lie "payload.$method" $((size - 1))
		expect_refused "more than the $((size - 1)) bytes" lie
		image_make lie "payload.$method" $((size + 1))
		expect_refused "unpacks to $size bytes of $((size + 1))" lie
	fi
	# A tail that is cut off, with the lengths right.
	head -c 50000 "payload.$method" >half
	image_make half-packed half "$size"
	expect_refused damaged half-packed
done

# Unpacks to 1 GiB, and says 1 MiB: the disk gets no more than that.
{ cat kernel; head -c 1G /dev/zero; } | zstd -q -1 -c >payload.bomb
image_make bomb payload.bomb 1048576
expect_refused "more than the 1048576 bytes" bomb
image_make bomb payload.bomb 4294967295
expect_refused "would have 4294967295 bytes" bomb
rm payload.bomb bomb

# The header.
for field in '584 \xff\xff\xff\xff' '588 \xff\xff\xff\xff' '588 \x00\x00\x00\x00' '588 \x1f\x00\x00\x00' '497 \xff' \
	'497 \x00' '518 \x07\x02' '518 \x00\x00' '514 XdrS' '510 \x00\x00' '584 \x00\x00\x00\x00'; do
	cp xz header
	poke header ${field}
	expect_refused "" header
done
poke header 584 "$(little 2048 4)"
head -c 200000 /dev/zero >none
image_make unknown none 200000
expect_refused "a method that this script does not know" unknown
head -c 100000 /dev/urandom >noise
gzip -9c noise >payload.noise
image_make no-elf payload.noise ''
expect_refused "no x86-64 ELF file" no-elf
expect_refused "it is an ELF file already" kernel
expect_refused "expected a bzImage" noise
expect_refused "no such file" missing
expect_refused "expected a regular file" .
mkfifo fifo
expect_refused "expected a regular file" fifo
expect_refused "it is the bzImage itself" xz xz
expect_refused "it is the bzImage itself" xz ./xz
expect_refused "is no regular file" xz .
expect_refused "is no regular file" xz fifo
expect_refused "cannot be written" xz no/such/folder
expect_refused "?[2J/x: its folder cannot be written" xz $'\e[2J/x'
truncate -s 300M huge
expect_refused "expected 268435456 at most" huge
for words in '' xz 'xz a b'; do
	status=0
	# shellcheck disable=SC2086 # words
	"$extract" $words 2>err || status=$?
	[ $status = 2 ] && grep -q '^usage: ' err || die "'$words': status $status"
done

# Real ones.
cd - >/dev/null
real=0
for image in build/guest/bzImage*; do
	kernel=${image/bzImage/vmlinux}
	[ -e "$kernel" ] || continue
	"$extract" "$image" "$tmp/vmlinux" || die "$image"
	headers=$(readelf -hlW "$tmp/vmlinux") || die "$image: what came out is no ELF file"
	grep -q 'Type: *EXEC' <<<"$headers" || die "$image: no fixed address"
	real=$((real + 1))
done
echo "$methods; $real real kernels; $damaged damaged files"
