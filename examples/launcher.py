#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs shell scripts, each in a VM of its own, all at once.

    launcher.py VMM KERNEL IMAGE SECONDS <SCRIPTS     a script is a line

IMAGE is /dev/vda of each, read-only, and has the commands `sh` and `vsock`. Prints a line for each script: its number,
how its VM has ended, and the first line that it has printed. Exit status 0 if all exited with 0.
"""
import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import threading

# A shell whose input and output are a connection to the launcher; its status is the guest's.
GUEST = '-- sh -c "mkfifo /tmp/o; vsock connect 1 </tmp/o | sh >/tmp/o 2>&1"'


def start(vmm, kernel, image, kvm, lifeline):
    """Starts the monitor; returns the process, its events and the socket that brings the guest's connections."""
    events, child_events = os.pipe()
    calls, child_calls = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with child_calls, os.fdopen(child_events):  # to be closed here, or their ends would never come
        process = subprocess.Popen(
            [vmm, f"--kernel=fd={kernel}", f"--rootfs=fd={image},ro", f"--kvm-fd={kvm}", f"--lifeline-fd={lifeline}",
             f"--events-fd={child_events}", f"--vsock=cid=3,connect-fd={child_calls.fileno()}", "--cmdline", GUEST],
            stdin=subprocess.DEVNULL, stdout=sys.stderr,
            pass_fds=[kernel, image, kvm, lifeline, child_events, child_calls.fileno()])
    return process, os.fdopen(events), calls


def talk(calls, script):
    """Gives the script to the guest's first connection, and returns what comes back until its end."""
    _, fds, _, _ = socket.recv_fds(calls, 64, 1)
    with socket.socket(fileno=fds[0]) as connection, connection.makefile(errors="replace") as output:
        connection.sendall(f"{script}\nexit\n".encode())
        return output.read()


def run(script, seconds, *what):
    """Returns the exit status, and how the VM has ended with what the script has printed."""
    process, events, calls = start(*what)
    is_late = threading.Event()
    timer = threading.Timer(seconds, lambda: (is_late.set(), process.terminate()))
    timer.start()
    with calls, events:
        try:
            output = talk(calls, script)
        except (IndexError, OSError):  # the VM has ended before, or meanwhile
            output = ""
        by_name = {event["event"]: event for event in map(json.loads, events)}
    timer.cancel()
    status = process.wait()
    end = by_name.get("exit", {})  # none if the monitor was killed
    ends = {"guest_ended": f"exited {status}", "guest_panicked": "panicked"}
    how = "timed out" if is_late.is_set() else ends.get(end.get("reason"), f"failed {status} {end.get('message', '')}")
    return status, how + ("" if "ready" in by_name else ", not ready") + ": " + output.partition("\n")[0]


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    kernel, image = (os.open(path, os.O_RDONLY) for path in sys.argv[2:4])
    kvm = os.open("/dev/kvm", os.O_RDWR)
    lifeline, _ours = os.pipe()  # whose end comes with ours
    scripts = sys.stdin.read().splitlines()
    what = float(sys.argv[4]), sys.argv[1], kernel, image, kvm, lifeline
    with concurrent.futures.ThreadPoolExecutor(len(scripts) or 1) as threads:
        ends = list(threads.map(lambda script: run(script, *what), scripts))
    for number, (_, how) in enumerate(ends):
        print(number, how)
    return any(status for status, _ in ends)


if __name__ == "__main__":
    sys.exit(main())
