#!/bin/bash
# SPDX-License-Identifier: MIT
# Hostile host programs at the vsock and at a NIC's stream, and hostile traffic to a TAP, with guests that mean well (bug classes 1, 5, 6, 8 to 10, 14, 15,
# 17, 18, 20, 21, 26 to 28, 30).
# shellcheck source=tests/guest/hostile_lib.bash
. "$(dirname "$0")/hostile_lib.bash"
peers() {
	mkdir "$tmp/$1"
	timeout -s KILL "${TIME_LIMIT:-200}" python3 tests/guest/hostile_peers.py "$tmp/$1" "$1" || exit 1
}
peers vsock
peers stream
[ -z "${HOSTILE_TAP-}" ] || peers net
