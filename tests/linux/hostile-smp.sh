#!/bin/bash
# SPDX-License-Identifier: MIT
# Rings and registers that other processors rewrite while the device and the driver use them (bug classes 1, 4, 9, 11 to 13,
# 17), with 2 and 4 of them: some of the cases, or with HOSTILE_ALL=1 all of them. The guest is that of tests/guest/hostile,
# which starts processors where KVM can.
# shellcheck source=tests/guest/hostile_lib.bash
. "$(dirname "$0")/../guest/hostile_lib.bash"
set -o pipefail
export HOSTILE_EFFORT=0

races() { # CPUS PREFIX
	HOSTILE_CPUS=$1 HOSTILE_ONLY=$2 hostile races | tail -n 1 | sed "s/^/$1 vCPUs, ${2:-all}: /"
}

if [ -n "${HOSTILE_ALL-}" ]; then
	TIME_LIMIT=1500
	races 2 ""
	races 4 ""
else
	TIME_LIMIT=140
	races 4 block
	races 2 vsock-rx
fi
