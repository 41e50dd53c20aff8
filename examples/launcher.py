#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs a shell script in a VM, as a sandbox's launcher does. Nothing is polled.

    launcher.py KERNEL ROOTFS <SCRIPT

KERNEL and ROOTFS are build/guest/vmlinux and build/guest/rootfs.ext4, or others whose image has the commands `vsock`
and `sh`. The guest calls when it is ready; that connection carries the script to it and the output back. Prints the
output, then on standard error the result that the monitor reports. Exit status: the monitor's.
"""
import json
import os
import select
import socket
import subprocess
import sys
import tempfile

PORT = 6000
# The guest's side: a shell whose input and output are a connection to the host's port.
GUEST = f'mkfifo /tmp/in; sh </tmp/in 2>&1 | vsock connect {PORT} >/tmp/in'


def start(kernel, rootfs, uds_path):
    """Starts the monitor; returns the process and the pipe of its status line."""
    status_read, status_write = os.pipe()
    vmm = os.environ.get("VMM") or ("./vmm" if os.path.exists("./vmm") else "vmm")
    process = subprocess.Popen(
        # The VM ends when this program dies.
        ["setpriv", "--pdeathsig", "TERM", "--", vmm, "--kernel", kernel, "--rootfs", rootfs, "--vsock",
         f"cid=3,uds={uds_path}", "--status-fd", str(status_write), "--cmdline", f'-- sh -c "{GUEST}"'],
        stdin=subprocess.DEVNULL, stdout=sys.stderr, pass_fds=[status_write])
    os.close(status_write)
    return process, os.fdopen(status_read)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        uds_path = f"{directory}/v.sock"
        # A guest that connects to port 6000 reaches this socket.
        listener.bind(f"{uds_path}_{PORT}")
        listener.listen()
        process, status = start(sys.argv[1], sys.argv[2], uds_path)
        # The guest's call, or the result of a VM that has failed before.
        ready, _, _ = select.select([listener, status], [], [])
        if listener in ready:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(sys.stdin.buffer.read() + b"\nexit\n")
                while data := connection.recv(65536):
                    sys.stdout.buffer.write(data)
        # One line, sooner than the process ends; none if the monitor was killed.
        line = status.readline()
        print(f"result: {json.loads(line) if line else 'the monitor was killed'}", file=sys.stderr)
        sys.stdout.flush()
        code = process.wait()
        return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
