#!/bin/bash
# SPDX-License-Identifier: MIT
# 200 clones of a Linux guest, in a machine of the lab, and two of one with four CPUs. CLONES.
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" != 0 ] && [[ $(lab/lab --check 2>&1) != direct* ]]; then
	echo "the emulated machine needs root"
	exit 77
fi
lab/lab --quiet --cpus 1 --time-limit 2800 -- env CLONES="${CLONES:-200}" tests/linux/snapshot-clones.sh &&
	lab/lab --quiet --cpus 1 --time-limit 700 -- env CPUS=4 CLONES=2 tests/linux/snapshot-time.sh
