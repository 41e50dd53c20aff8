#!/bin/bash
# SPDX-License-Identifier: MIT
# Whatever is wrong with the command line, a file or the host: one line on stderr that names the option, the
# value and the reason, and the documented exit status, before any guest runs.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# refused STATUS REGEX ARGUMENT...
refused() {
	local expected=$1 regex=$2
	shift 2
	vmm_run "$@"
	[ "$status" = "$expected" ] || { show; die "vmm $*: exit status $status, expected $expected"; }
	[ ! -s "$tmp/out" ] || die "vmm $*: stdout has bytes"
	expect_error "$regex"
}

kernel=$elf/hello.elf
good=(--kernel "$kernel")
mkdir "$tmp/dir"
mkfifo "$tmp/fifo"
: >"$tmp/empty"
echo "this is text" >"$tmp/text"
printf '#!/bin/sh\n' >"$tmp/script"
gzip -c "$kernel" >"$tmp/kernel.gz"
head -c 100 "$kernel" >"$tmp/cut-short"
head -c $(($(wc -c <"$kernel") / 4)) "$kernel" >"$tmp/cut"
# patched NAME OFFSET BYTES: the kernel with other bytes at a place
patched() {
	cp "$kernel" "$tmp/$1"
	printf '%b' "$3" | dd of="$tmp/$1" bs=1 seek=$(($2)) conv=notrunc status=none
}
patched elf32 4 '\x01'
patched arm64 18 '\xb7\x00'
patched pie 16 '\x03\x00'
patched phentsize 54 '\x01\x00'
patched phnum 56 '\xff\xff'
patched phoff 32 '\xff\xff\xff\xff\xff\xff\xff\x7f'
patched entry 24 '\x00\x00\x00\x70\x00\x00\x00\x00'
truncate -s 100 "$tmp/tiny-disk"
truncate -s 1M "$tmp/disk"
truncate -s 200M "$tmp/big-initrd"

# Options.
refused 121 '--kernel FILE is required'
refused 121 'unknown option --no-such' --no-such=1 "${good[@]}"
refused 121 "unexpected argument 'stray'" "${good[@]}" stray
refused 121 '--kernel: a value is missing' --kernel
refused 121 '--kernel is given twice' "${good[@]}" "${good[@]}"
refused 121 '--boot-timer takes no value' "${good[@]}" --boot-timer=1
for value in 0 255 -1 x 1x '' 99999999999999999999; do
	refused 121 "--cpus ${value}: expected a number from 1 to 254" "${good[@]}" "--cpus=$value"
done
for value in 0 1 1K 1025G 12Q 1MM -1 x '' 16777216T 18446744073709551617; do
	refused 121 "--mem ${value}: expected a size" "${good[@]}" "--mem=$value"
done
for value in tty file: '' STDIO; do
	refused 121 "--serial ${value}: expected stdio, none, file:PATH or fd=N" "${good[@]}" "--serial=$value"
done
refused 121 '--disk: expected PATH' "${good[@]}" --disk ,ro
refused 121 '--cmdline: the kernel command line would be' "${good[@]}" --cmdline "$(head -c 3000 /dev/zero | tr '\0' x)"
disks=()
for ((i = 0; i < 30; i++)); do disks+=(--disk "$tmp/none"); done
refused 121 'at most [0-9]+ disks' "${good[@]}" "${disks[@]}"

# Empty strings, forgotten values, repetitions, contradictions.
for option in --kernel --initrd --disk --rootfs --mem --cpus --serial --net --vsock --status-fd; do
	rest=("${good[@]}")
	[ $option != --kernel ] || rest=()
	refused 121 "^vmm: ${option}[: ]" "$option" '' "${rest[@]}"
	refused 121 "^vmm: $option: a value is missing" "$option"
	refused 121 "^vmm: $option: a value is missing" "$option" --boot-timer
	refused 121 "^vmm: $option: a value is missing" "$option" --mem=64M
done
refused 121 "unexpected argument ''" "${good[@]}" ''
for twice in --kernel=k --initrd=i --rootfs=r --mem=64M --cpus=1 --serial=none --cmdline= --vsock=cid=3,uds=v --boot-timer \
	--no-default-cmdline; do
	refused 121 "^vmm: ${twice%%=*} is given twice" "$twice" "$twice" --kernel k
done
refused 121 '--serial is given twice' "${good[@]}" --serial none --serial "file:$tmp/none"
refused 121 '--net: tap= is given twice' "${good[@]}" --net tap=a,tap=b
refused 121 '--net tap=a is given twice' "${good[@]}" --net tap=a --net tap=a
refused 121 '--vsock: cid= is given twice' "${good[@]}" --vsock cid=3,cid=3,uds=v

# Kernels.
refused 121 "--kernel $tmp/none: No such file" --kernel "$tmp/none"
refused 121 "--kernel $tmp/dir: .*directory" --kernel "$tmp/dir"
refused 121 "--kernel $tmp/fifo: .*pipe" --kernel "$tmp/fifo"
refused 121 "--kernel $tmp/empty: .*empty" --kernel "$tmp/empty"
refused 121 "--kernel $tmp/text: expected a bzImage or an ELF" --kernel "$tmp/text"
refused 121 "--kernel $tmp/script: .*script" --kernel "$tmp/script"
refused 121 "--kernel $tmp/kernel.gz: .*gzip" --kernel "$tmp/kernel.gz"
refused 121 "--kernel $tmp/cut: .*truncated" --kernel "$tmp/cut"
refused 121 "--kernel $tmp/cut-short: .*truncated" --kernel "$tmp/cut-short"
refused 121 "--kernel $tmp/elf32: .*32-bit" --kernel "$tmp/elf32"
refused 121 "--kernel $tmp/arm64: .*another machine" --kernel "$tmp/arm64"
refused 121 "--kernel $tmp/pie: .*fixed-address" --kernel "$tmp/pie"
refused 121 "--kernel $tmp/phentsize: .*damaged" --kernel "$tmp/phentsize"
refused 121 "--kernel $tmp/phnum: .*damaged" --kernel "$tmp/phnum"
refused 121 "--kernel $tmp/phoff: .*truncated" --kernel "$tmp/phoff"
refused 121 "--kernel $tmp/entry: .*entry point 0x70000000" --kernel "$tmp/entry"
refused 121 "--kernel $kernel: it needs at least --mem 3M" "${good[@]}" --mem 2M

# Other files.
refused 121 "--initrd $tmp/none: No such file" "${good[@]}" --initrd "$tmp/none"
refused 121 "--initrd $tmp/empty: .*empty" "${good[@]}" --initrd "$tmp/empty"
refused 121 "--kernel $kernel: with its initrd it needs at least --mem 203M" "${good[@]}" --initrd "$tmp/big-initrd"
# With exactly what is named it works.
vmm_run "${good[@]}" --initrd "$tmp/big-initrd" --mem 203M
expect_status 0 "an initrd in as much memory as it needs"
vmm_run "${good[@]}" --mem 3M
expect_status 0 "a kernel in as much memory as it needs"
refused 121 "--rootfs $tmp/none: No such file" "${good[@]}" --rootfs "$tmp/none"
refused 121 "--disk $tmp/dir: .*directory" "${good[@]}" --rootfs "$tmp/disk" --disk "$tmp/dir"
refused 121 "--disk $tmp/fifo: expected a raw image" "${good[@]}" --disk "$tmp/fifo"
refused 121 "--disk $tmp/tiny-disk: .*100 bytes" "${good[@]}" --disk "$tmp/tiny-disk"
refused 121 "--disk /dev/null: expected a raw image" "${good[@]}" --disk /dev/null
refused 121 "--serial file:$tmp/dir: " "${good[@]}" --serial "file:$tmp/dir"
refused 121 "--serial file:$tmp/none/x: No such file" "${good[@]}" --serial "file:$tmp/none/x"

for fd in 0 1 2; do
	refused 121 "--net fd=$fd: expected a descriptor number from 3" "${good[@]}" --net fd=$fd
	refused 121 "--vsock uds-fd=$fd: expected a descriptor number from 3" "${good[@]}" --vsock cid=3,uds-fd=$fd
done

# Nothing is waited for, and nothing endless is read.
truncate -s 1T "$tmp/endless"
cp "$kernel" "$tmp/endless-kernel"
truncate -s 1T "$tmp/endless-kernel"
refused 121 "--initrd $tmp/fifo: .*pipe" "${good[@]}" --initrd "$tmp/fifo"
refused 121 '--initrd /dev/zero: .*device' "${good[@]}" --initrd /dev/zero
refused 121 '--kernel /dev/zero: .*device' --kernel /dev/zero
refused 121 "--kernel $tmp/endless: expected a bzImage" --kernel "$tmp/endless"
refused 121 "--kernel $kernel: the initrd has 1099511627776 bytes, this kernel takes" "${good[@]}" --initrd "$tmp/endless"
vmm_run --kernel "$tmp/endless-kernel" --disk "$tmp/endless,ro"
expect_status 0 "a kernel with 1 TiB of holes behind it"

# The same file for several purposes is the user's business as long as nothing of it is lost by that.
cp "$kernel" "$tmp/all"
vmm_run --kernel "$tmp/all" --initrd "$tmp/all" --disk "$tmp/all"
expect_status 0 "kernel, initrd and disk are one file"
cmp "$kernel" "$tmp/all" || die "the file has changed"

# A retry or the host cures it.
if [ "$(id -u)" = 0 ] && setpriv --reuid 65534 --clear-groups true 2>/dev/null; then
	chmod 755 "$tmp"
	for file in disk kernel.gz; do chmod 600 "$tmp/$file"; done
	cp ./vmm "$kernel" "$tmp"
	# denied REGEX ARGUMENT...: as a user without rights.
	denied() {
		status=0
		timeout 20 setpriv --reuid 65534 --clear-groups "$tmp/vmm" "${@:2}" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
		expect_status 122 "${*:2}"
		expect_error "$1: .*Permission denied"
	}
	denied "--kernel $tmp/kernel.gz" --kernel "$tmp/kernel.gz"
	mine=(--kernel "$tmp/$(basename "$kernel")")
	denied "--initrd $tmp/kernel.gz" "${mine[@]}" --initrd "$tmp/kernel.gz"
	denied "--disk $tmp/disk" "${mine[@]}" --disk "$tmp/disk"
	denied "--disk $tmp/disk" "${mine[@]}" --disk "$tmp/disk,ro"
	denied "--vsock uds=$tmp/v" "${mine[@]}" --vsock "cid=3,uds=$tmp/v"
fi

# Memory that the host does not give.
(
	ulimit -v 500000
	refused 122 'cannot map 1024 MiB of guest memory: ' "${good[@]}" --mem 1G
)
