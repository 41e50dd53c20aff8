#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest asks for a snapshot and ends; clones go on with the same memory, registers and FPU, as often as one likes, and those of a clone;
# without --snapshot the request means nothing. What may not be restored is refused.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
guest=$elf/snapshot.elf

all_ok() { printf '%s ok\n' memory registers fpu; }

vmm_run --kernel "$guest"
expect_status 0 "without --snapshot"
expect_output "$(echo asks; all_ok)"
expect_no_errors

vmm_run --kernel "$guest" --cmdline "mib=8 rounds=3" --snapshot "$tmp/one"
expect_status 0 "the guest asks"
expect_output asks
expect_no_errors
[ "$(stat -c %a "$tmp/one")" = 600 ] || die "the file's mode is $(stat -c %a "$tmp/one")"
kib=$(du -k "$tmp/one" | cut -f 1)
[ "$kib" -lt $((8 * 1024 + 2048 + 64)) ] || die "the file takes $kib KiB for a guest that uses 8 MiB and itself"

sum=$(sha256sum <"$tmp/one")
for i in 1 2 3; do
	vmm_run --restore "$tmp/one"
	expect_status 0 "clone $i"
	expect_output "$(all_ok; echo asks; all_ok; echo asks; all_ok)"
	expect_no_errors
done
[ "$sum" = "$(sha256sum <"$tmp/one")" ] || die "a clone has changed the file"

vmm_run --restore "$tmp/one" --snapshot "$tmp/two"
expect_status 0 "a snapshot of a clone"
expect_output "$(all_ok; echo asks)"
vmm_run --restore fd=9 --snapshot "$tmp/three" 9<"$tmp/two"
expect_status 0 "a snapshot of a clone's clone"
expect_output "$(all_ok; echo asks)"
vmm_run --restore "$tmp/three"
expect_status 0 "its clone"
expect_output "$(all_ok)"

# A monitor that waits: for an order, for the end, for a signal.
vmm_run --restore "$tmp/three" --start-fd 7 7< <(sleep 0.3; echo go)
expect_status 0 "go"
expect_output "$(all_ok)"
vmm_run --restore "$tmp/three" --start-fd 7 7< <(sleep 0.3)
expect_status 0 "the end of file"
[ ! -s "$tmp/out" ] || die "it has run without an order"
vmm_run --restore "$tmp/three" --start-fd 7 7< <(echo stop)
expect_status 121 "another line"
expect_error '--start-fd 7: .stop.: expected go'
mkfifo "$tmp/order"
./vmm --restore "$tmp/three" --start-fd 7 7<>"$tmp/order" >"$tmp/out" 2>"$tmp/err" &
sleep 0.3
kill $!
status=0
wait $! || status=$?
expect_status 143 "SIGTERM while it waits"

vmm_run --restore "$tmp/one" --check
expect_status 0 --check
grep -q "^snapshot memory 0x8000000 cpus 1 $tmp/one$" "$tmp/out" || { show; die "--check"; }

# The same with sockets at paths, which go with it.
truncate -s 1M "$tmp/disk"
vmm_run --kernel "$guest" --snapshot "$tmp/four" --vsock "cid=3,uds=$tmp/v" --disk "$tmp/disk,ro"
expect_status 0
for order in go end term; do
	rm -f "$tmp/order" && mkfifo "$tmp/order"
	exec 7<>"$tmp/order"
	./vmm --restore "$tmp/four" --start-fd 8 --vsock "cid=3,uds=$tmp/v" --disk fd=9,ro --control "$tmp/c" --status-fd 6 \
		6>"$tmp/status" 8<"$tmp/order" 9<"$tmp/disk" 7>&- >"$tmp/out" 2>"$tmp/err" &
	sleep 0.3
	[ -S "$tmp/v" ] || die "it does not wait: there is no socket"
	case $order in
	go) echo go >&7 ;;
	term) kill $! ;;
	esac
	exec 7>&-
	status=0
	wait $! || status=$?
	expect_status $([ $order = term ] && echo 143 || echo 0) "$order"
	expect_no_errors
	[ ! -e "$tmp/v" ] && [ ! -e "$tmp/c" ] || die "$order: a socket is left"
	grep -q '"exit_code":' "$tmp/status" || die "$order: no status line"
done

# refused STATUS REGEX ARGUMENT...
refused() {
	vmm_run "${@:3}"
	expect_status "$1" "${*:3}"
	expect_error "$2"
}
refused 121 '--snapshot .*/one: it exists already' --kernel "$guest" --snapshot "$tmp/one"
refused 121 '--snapshot .*/none/x: No such file' --kernel "$guest" --snapshot "$tmp/none/x"
refused 121 '--kernel: --restore takes its place' --kernel "$guest" --restore "$tmp/one"
refused 121 'No such file' --restore "$tmp/none"
refused 121 'this is no snapshot' --restore "$guest"
refused 121 '--start-fd: expected --restore, too' --kernel "$guest" --start-fd 7 7</dev/null
refused 121 'has --mem bytes 134217728, this VM 268435456' --restore "$tmp/one" --mem 256M
refused 121 'has --cpus 1, this VM 2' --restore "$tmp/one" --cpus 2
refused 121 'has --acpi 1, this VM 0' --restore "$tmp/one" --acpi off
refused 121 'has disks: 0, this VM 1' --restore "$tmp/one" --disk "$guest,ro"
refused 121 'has serial ports: 1, this VM 0' --restore "$tmp/one" --serial none
chmod 620 "$tmp/one"
refused 121 'others may write to it \(mode 620\)' --restore "$tmp/one"
