#!/bin/bash
# SPDX-License-Identifier: MIT
# Hostile requests to the block device (bug classes 1, 5, 8, 13, 15, 17, 20, 22, 25).
# shellcheck source=tests/guest/hostile_lib.bash
. "$(dirname "$0")/hostile_lib.bash"
hostile block
