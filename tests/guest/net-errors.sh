#!/bin/bash
# SPDX-License-Identifier: MIT
# An error in a --net is one line, before there is a VM: exit status 121, or 122 where the host refuses.
# shellcheck source=tests/guest/net_lib.bash
. "$(dirname "$0")/net_lib.bash"

# refused [STATUS] ERROR COMMAND...: the monitor, started by COMMAND, refuses its --net.
refused() {
	local expected=121 error
	[ ${#1} != 3 ] || { expected=$1; shift; }
	error=$1
	shift
	status=0
	timeout -s KILL 10 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
	expect_status "$expected" "$error"
	expect_error "$error"
	[ ! -s "$tmp/out" ] || die "something on stdout"
}

vmm=(./vmm --kernel "$elf/hello.elf" --net)
with_fd=(python3 $host with-tap 9)
ip tuntap add vmtap0 mode tap
ip tuntap add vmtun0 mode tun
ip tuntap add vmtap1 mode tap user 12345
ip tuntap add vmtap2 mode tap multi_queue

refused '^vmm: --net tap=absent0: no such interface .*ip tuntap add absent0 mode tap' "${vmm[@]}" tap=absent0
refused '^vmm: --net tap=lo: it is not a TAP interface' "${vmm[@]}" tap=lo
refused '^vmm: --net tap=vmtun0: it is not a TAP interface' "${vmm[@]}" tap=vmtun0
refused '^vmm: --net tap=vmtap2: it is not a TAP interface, or one with multi_queue' "${vmm[@]}" tap=vmtap2
refused '^vmm: --net tap=sixteen-byteslon: expected an interface name of 1 to 15 bytes' "${vmm[@]}" tap=sixteen-byteslon
refused '^vmm: --net tap=: expected an interface name' "${vmm[@]}" tap=
refused 122 '^vmm: --net tap=vmtap0: it is busy: another process' "${with_fd[@]}" vmtap0 tap no_pi vnet_hdr -- \
	sh -c '"$@"; exit $?' sh "${vmm[@]}" tap=vmtap0
refused '^vmm: --net tap=vmtap0 is given twice' "${vmm[@]}" tap=vmtap0 --net tap=vmtap0
refused '^vmm: --net fd=8: vmtap0 is given twice' "${with_fd[@]}" vmtap0 tap no_pi vnet_hdr -- \
	sh -c 'exec "$@" 8<&9' sh "${vmm[@]}" fd=9 --net fd=8
for order in 'tap=vmtap0 --net fd=9' 'fd=9 --net tap=vmtap0'; do
	# shellcheck disable=SC2086 # words
	refused '^vmm: --net (tap=vmtap0|fd=9): vmtap0 is given twice' "${with_fd[@]}" vmtap0 tap no_pi vnet_hdr -- "${vmm[@]}" $order
done
ip link property add dev vmtap0 altname vmother0
refused '^vmm: --net tap=vmother0: vmtap0 is given twice' "${vmm[@]}" tap=vmtap0 --net tap=vmother0
# Without CAP_NET_ADMIN somebody else's TAP is out of reach, and one's own is not.
no_admin=(setpriv --bounding-set -net_admin --inh-caps -net_admin)
if "${no_admin[@]}" true 2>/dev/null; then
	refused 122 '^vmm: --net tap=vmtap1: Operation not permitted \(it needs CAP_NET_ADMIN, or .*user USER' \
		"${no_admin[@]}" "${vmm[@]}" tap=vmtap1
fi
if setpriv --reuid 12345 --clear-groups true 2>/dev/null && ! setpriv --reuid 12345 --clear-groups test -r /dev/net/tun; then
	cp ./vmm "$elf/hello.elf" "$tmp"
	chmod 755 "$tmp"
	refused 122 '^vmm: --net tap=vmtap1: cannot open /dev/net/tun: Permission denied' \
		setpriv --reuid 12345 --clear-groups "$tmp/vmm" --kernel "$tmp/hello.elf" --net tap=vmtap1
fi

refused '^vmm: --net fd=9: not a TAP descriptor' "${vmm[@]}" fd=9 9</dev/null
refused '^vmm: --net fd=77: Bad file descriptor' "${vmm[@]}" fd=77
# Not one of the monitor's own: the first TAP would get the lowest number that is free.
for fd in 3 4 5 6 7 8; do
	refused "^vmm: --net fd=$fd: Bad file descriptor" "${vmm[@]}" tap=vmtap0 --net fd=$fd
done
refused '^vmm: --net fd=9: descriptor 9 is given twice' "${with_fd[@]}" vmtap0 tap no_pi vnet_hdr -- \
	"${vmm[@]}" fd=9 --net fd=9
refused '^vmm: --net fd=9: it is a TUN' "${with_fd[@]}" vmtun0 tun no_pi vnet_hdr -- "${vmm[@]}" fd=9
refused '^vmm: --net fd=9: it was opened without IFF_VNET_HDR' "${with_fd[@]}" vmtap0 tap no_pi -- "${vmm[@]}" fd=9
refused '^vmm: --net fd=9: it was opened without IFF_NO_PI' "${with_fd[@]}" vmtap9 tap vnet_hdr -- "${vmm[@]}" fd=9
# Nor is it overlooked on an interface that a monitor has looked at before.
refused '^vmm: --net fd=9: it was opened without IFF_NO_PI' "${with_fd[@]}" vmtap0 tap vnet_hdr -- "${vmm[@]}" fd=9
refused '^vmm: --net fd=9: it was opened without IFF_NO_PI' "${with_fd[@]}" vmtap0 tap vnet_hdr -- "${vmm[@]}" fd=9
[[ "${fd_flags[*]}" != *nonblock ]] ||
	refused '^vmm: --net fd=9: it blocks, expected O_NONBLOCK' "${with_fd[@]}" vmtap0 tap no_pi vnet_hdr -- "${vmm[@]}" fd=9
refused '^vmm: --net fd=2: expected a descriptor number' "${vmm[@]}" fd=2
refused '^vmm: --net: expected either tap=NAME, passt=PATH or fd=N' "${vmm[@]}" tap=vmtap0,fd=9
refused "^vmm: --net mac=01:00:00:00:00:01: expected a unicast address" "${vmm[@]}" tap=vmtap0,mac=01:00:00:00:00:01
refused '^vmm: --net mtu=67: expected 68 to 65535' "${vmm[@]}" tap=vmtap0,mtu=67
[ -z "$(ip -o link show | grep absent)" ] || die "an interface was made"
