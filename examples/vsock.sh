#!/bin/sh
# SPDX-License-Identifier: MIT
# A vsock in both directions: the guest calls the host, then the host calls the guest and asks it to end. Needs socat.
#
#   vsock.sh KERNEL ROOTFS       build/guest/vmlinux and build/guest/rootfs.ext4, whose command `vsock` this uses
set -eu
vmm=${VMM:-$([ -x ./vmm ] && echo ./vmm || echo vmm)}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The guest's port 6000 of the host.
socat "UNIX-LISTEN:$dir/v.sock_6000" SYSTEM:'echo hello from the host' &
"$vmm" --kernel "$1" --rootfs "$2" --vsock "cid=3,uds=$dir/v.sock" \
	--cmdline '-- sh -c "vsock connect 6000; vsock listen 5001 poweroff & vsock listen 5000 tr a-z A-Z"' &
# The guest's port 5000, once a program listens there: until then the connection closes without an "OK".
until printf 'CONNECT 5000\nhello guest\n' | socat -t 5 - "UNIX-CONNECT:$dir/v.sock" 2>/dev/null | grep .; do
	sleep 0.2
done
printf 'CONNECT 5001\n' | socat -t 5 - "UNIX-CONNECT:$dir/v.sock" >/dev/null
wait $!
echo "the guest has powered off"
