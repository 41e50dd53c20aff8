#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""snapshot_many.py SNAPSHOT EXPECTED CLONES POOL -- MONITOR...: CLONES clones of one file, 16 at a time, each of which prints EXPECTED's
bytes; and POOL monitors that wait at once, of which a third gets its order, a third the end of file, and a third SIGTERM."""
import os
import signal
import subprocess
import sys
import time

snapshot, expected_path, clones, pool = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
monitor = sys.argv[6:]
with open(expected_path, "rb") as file:
    expected = file.read()
AT_ONCE = 16
TIME_LIMIT = 120


def start(*options, **more):
    return subprocess.Popen(monitor + ["--restore", snapshot, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **more)


def check(vm, status, output, what):
    try:
        out, err = vm.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        vm.kill()
        sys.exit(f"FAILED: {what} hangs")
    if vm.returncode != status or out != output or err:
        sys.exit(f"FAILED: {what}: status {vm.returncode}, expected {status}; printed {out[-300:]!r} and {err!r}")


running = []
for number in range(clones):
    if len(running) == AT_ONCE:
        check(running.pop(0), 0, expected, f"clone {number - AT_ONCE}")
    running.append(start())
for vm in running:
    check(vm, 0, expected, "a clone")

waiting = []
for number in range(pool):
    theirs, ours = os.pipe()
    waiting.append((start("--start-fd", str(theirs), pass_fds=(theirs,)), ours))
    os.close(theirs)
# All wait, each with its VM made: nothing is printed yet.
time.sleep(1)
for number, (vm, _) in enumerate(waiting):
    if vm.poll() is not None:
        sys.exit(f"FAILED: waiting monitor {number} has ended with {vm.returncode}: {vm.communicate()!r}")
for number, (vm, ours) in enumerate(waiting):
    if number % 3 == 0:
        for piece in [b"g", b"o\n"] if number % 2 else [b"go\n"]:
            os.write(ours, piece)
        check(vm, 0, expected, f"waiting monitor {number}, go")
        os.close(ours)
    elif number % 3 == 1:
        os.close(ours)
        check(vm, 0, b"", f"waiting monitor {number}, the end of file")
    else:
        vm.send_signal(signal.SIGTERM)
        check(vm, 128 + signal.SIGTERM, b"", f"waiting monitor {number}, SIGTERM")
        os.close(ours)
print(f"{clones} clones, {pool} waiting monitors")
