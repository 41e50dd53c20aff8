#!/bin/bash
# SPDX-License-Identifier: MIT
# Hostile use of what is no virtio device: UART, reset port, doorbells, interrupts, holes (bug classes 1 to 4, 7, 9, 15, 17).
# shellcheck source=tests/guest/hostile_lib.bash
. "$(dirname "$0")/hostile_lib.bash"
hostile ports
