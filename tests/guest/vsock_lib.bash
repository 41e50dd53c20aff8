# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For the tests of vsock: `. "$(dirname "$0")/vsock_lib.bash"` instead of lib.sh.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guest/background.bash
. "$(dirname "$0")/background.bash"
host=tests/guest/vsock_host.py
sock=$tmp/v.sock

# talk NAME: test_NAME of vsock_host.py. Many connections are many descriptors.
talk() {
	(ulimit -n 4096 && timeout -s KILL 60 python3 $host "$1" "$sock") || { show; die "$1"; }
}
