#!/bin/bash
# SPDX-License-Identifier: MIT
# Hostile packets on the vsock (bug classes 1, 5, 8, 13, 15, 17, 20, 21, 28, 30).
# shellcheck source=tests/guest/hostile_lib.bash
. "$(dirname "$0")/hostile_lib.bash"
hostile vsock
