#!/bin/bash
# SPDX-License-Identifier: MIT
# Hostile frames, headers and receive buffers on a NIC with a TAP and one with a stream, and floods (bug classes 5, 6, 8, 13,
# 15, 17, 18, 20, 26).
# shellcheck source=tests/guest/hostile_lib.bash
. "$(dirname "$0")/hostile_lib.bash"
hostile net
