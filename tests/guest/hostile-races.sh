#!/bin/bash
# SPDX-License-Identifier: MIT
# Rings, buffers and registers that change while the device reads them (bug classes 1, 4, 9, 11 to 13, 17). Here by the hand of
# one processor; linux/hostile-smp has more.
# shellcheck source=tests/guest/hostile_lib.bash
. "$(dirname "$0")/hostile_lib.bash"
hostile races
