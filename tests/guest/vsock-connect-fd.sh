#!/bin/bash
# SPDX-License-Identifier: MIT
# The guest's connections, offered to the launcher: each comes with its port and a socket of its own; a late launcher's
# queue keeps them waiting; one that has gone resets them. With a path and with an inherited socket for the host
# programs, and without either; what is no such socket.
# shellcheck source=tests/guest/vsock_lib.bash
. "$(dirname "$0")/vsock_lib.bash"
need_kvm
ulimit -n 4096
vmm=(--kernel "$elf/vsock_io.elf")

launcher=(python3 $host with-launcher 9 "$tmp/log" --)
vmm_start "${vmm[@]}" --vsock "cid=3,uds=$sock,connect-fd=9"
flags=$(sed -n 's/^flags:\t*//p' "/proc/$vmm_pid/fdinfo/9")
! (($((8#$flags)) & 8#4000)) || die "the inherited socket has become non-blocking: 0$flags"
talk echo
talk launcher >"$tmp/launcher" || { cat "$tmp/launcher"; exit 1; }
cat "$tmp/launcher"
opened=$(sed -n 's/ of 600 .*//p' "$tmp/launcher")
talk echo
[ "$(grep -c 'echo ok' "$tmp/log")" = 5 ] || { cat "$tmp/log"; die "the launcher's echoes"; }
grep -qx "port 6666 after $opened" "$tmp/log" || { cat "$tmp/log"; die "the launcher has not got all connections"; }
# Nothing at PATH_PORT, though somebody listens there.
talk_refused() {
	python3 - "$sock" <<-'END'
		import socket, subprocess, sys
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[1] + "_6000")
		s.listen()
		s.settimeout(0.2)
		c = socket.socket(socket.AF_UNIX)
		c.connect(sys.argv[1])
		c.sendall(b"CONNECT 5003\n")
		c.recv(64)
		c.sendall(b"connect 6000 1\n")
		assert c.recv(64) == b"opened 0000 refused 0001\n"
		try:
		    s.accept()
		    sys.exit(1)
		except TimeoutError:
		    pass
	END
}
talk_refused || die "with connect-fd= the guest's connections go to the path"
talk end
vmm_wait
expect_status 0
expect_no_errors

# Alone: no path anywhere.
launcher=(python3 $host with-launcher 9 "$tmp/log" --)
vmm_start "${vmm[@]}" --vsock cid=3,connect-fd=9
[ ! -e "$sock" ] || die "there is a socket at a path"
kill -TERM "$vmm_pid"
vmm_wait
expect_status 143
expect_no_errors

# refused ERROR VALUE
refused() {
	vmm_run "${vmm[@]}" --vsock "$2" 9</dev/null
	expect_status 121 "$1"
	expect_error "$1"
}
refused '^vmm: --vsock connect-fd=9: expected a connected Unix socket of type SOCK_SEQPACKET$' cid=3,connect-fd=9
refused '^vmm: --vsock connect-fd=77: Bad file descriptor$' cid=3,connect-fd=77
refused '^vmm: --vsock connect-fd=2: expected a descriptor number from 3$' cid=3,connect-fd=2
refused '^vmm: --vsock: connect-fd= is given twice$' cid=3,connect-fd=9,connect-fd=9
refused '^vmm: --vsock: uds= is of no use beside uds-fd= and connect-fd=$' "cid=3,connect-fd=9,uds-fd=8,uds=$sock"
refused '^vmm: --vsock: expected cid=N and uds=PATH, uds-fd=N or connect-fd=N$' cid=3
