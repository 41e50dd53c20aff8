#!/bin/bash
# SPDX-License-Identifier: MIT
# Hostile chains and rings on every queue (bug classes 3, 5, 8, 9, 11 to 16, 19, 25).
# shellcheck source=tests/guest/hostile_lib.bash
. "$(dirname "$0")/hostile_lib.bash"
hostile chains
