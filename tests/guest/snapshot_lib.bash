# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# For tests that change snapshots: lib.sh, and a machine that has each kind of device.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
export PYTHONDONTWRITEBYTECODE=1

# Sets devices: two disks, an interface whose peer says nothing, and a vsock at PATH.
make_devices() { # PATH
	local i
	truncate -s 1M "$tmp/disk"
	python3 -c '
import socket, sys
held = []
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    while True:
        held = held[-100:] + [listener.accept()]' "$tmp/net" &
	for ((i = 0; i < 250; i++)); do [ ! -S "$tmp/net" ] || break; sleep 0.02; done
	devices=(--disk "$tmp/disk,ro" --disk "$tmp/disk,ro" --net "passt=$tmp/net" --vsock "cid=3,uds=$1")
}
