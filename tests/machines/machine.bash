# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by the tests of this folder: a short list, smoke or $machine_command, in another machine of the lab.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

in_machine() { # lab option...
	if [[ $(lab/lab --check) == direct* ]]; then
		echo "not needed where KVM runs Linux"
		exit 77
	fi
	[ "$(id -u)" = 0 ] || {
		echo "the emulated machine needs root"
		exit 77
	}
	exec lab/lab --quiet --time-limit "${TEST_TIME_LIMIT:-1780}" "$@" -- "${machine_command:-tests/machines/smoke}"
}
