#!/bin/bash
# SPDX-License-Identifier: MIT
# Hostile use of the registers of every device (bug classes 1 to 4, 9, 15, 17, 18, 25).
# shellcheck source=tests/guest/hostile_lib.bash
. "$(dirname "$0")/hostile_lib.bash"
hostile transport
