#!/bin/bash
# SPDX-License-Identifier: MIT
# The table of hostile cases in docs/security.md is that of their sources: 300 and more, each with a name of its own.
set -eu
export PYTHONDONTWRITEBYTECODE=1
cd "$(dirname "$0")/../.."
python3 tests/guest/hostile_cases.py check
[ "$(python3 tests/guest/hostile_cases.py list | wc -l)" -ge 300 ]
