#!/bin/bash
# SPDX-License-Identifier: MIT
# 200 clones of a Linux guest, in a machine of the lab. CLONES.
cd "$(dirname "$0")/../.." || exit 1
if [ "$(id -u)" != 0 ] && [[ $(lab/lab --check 2>&1) != direct* ]]; then
	echo "the emulated machine needs root"
	exit 77
fi
exec lab/lab --quiet --cpus 1 --time-limit 3400 -- env CLONES="${CLONES:-200}" tests/linux/snapshot-clones.sh
