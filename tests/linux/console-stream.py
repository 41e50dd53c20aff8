# SPDX-License-Identifier: MIT
"""Pipes as the guest's console: console-stream.py TYPED PRINTED VMM OPTION...

One guest, which prints GO when it is ready, then:
1. reads TYPED bytes, sent in one go, and prints their sum: what was typed arrives, in order;
2. prints PRINTED bytes of numbered lines: all arrives, in order;
3. prints for ever to a reader that takes nothing any more, while somebody types for ever to it, which
   it does not read: the monitor's own memory stays as it is, and it takes no more than buffers hold.
"""
import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time

F_SETPIPE_SZ = 1031
MEMORY_GROWTH_KIB = 512
MEMORY_KIB = 4096
TAKEN_BYTES = 1 << 20
GUEST_MEMORY_KIB = 64 * 1024


def own_memory_kib(pid):
    """The monitor's resident memory apart from the guest's, which is one mapping of the VM's size."""
    total = 0
    counted = True
    with open(f"/proc/{pid}/smaps", encoding="ascii") as smaps:
        for line in smaps:
            if re.match(r"Size:", line):
                counted = int(line.split()[1]) < GUEST_MEMORY_KIB
            elif re.match(r"Rss:", line) and counted:
                total += int(line.split()[1])
    return total


class Console:
    """A monitor between two small pipes."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        fcntl.fcntl(self.process.stdout, F_SETPIPE_SZ, 4096)
        self.output = b""

    def read_until(self, mark):
        """Returns what is printed before mark."""
        while mark not in self.output:
            data = os.read(self.process.stdout.fileno(), 4096)
            if not data:
                self.fail(f"the VM ended before {mark!r}: {self.output[-300:]!r}")
            self.output += data
        before, _, self.output = self.output.partition(mark)
        return before

    def fail(self, message):
        self.process.kill()
        sys.exit(f"FAIL: {message}")


def check_typed(console, size):
    text = bytes((i * 131 + (i >> 8) * 7) % 256 for i in range(size))
    console.process.stdin.write(text)
    console.process.stdin.flush()
    answer = console.read_until(b"-\r\n")
    if hashlib.sha256(text).hexdigest().encode() not in answer:
        console.fail(f"the guest has read something else than was typed: {answer!r}")


def check_printed(console, size):
    want = b"".join(b"%09d\n" % i for i in range(size // 10))
    got = console.read_until(b"DONE")
    if got != want:
        same = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
        console.fail(f"{len(got)} bytes of {len(want)} printed, different from byte {same} on: "
                     f"{got[same:same + 40]!r}, expected {want[same:same + 40]!r}")


def push(console, seconds):
    taken = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            taken += os.write(console.process.stdin.fileno(), b"x" * 65536)
        except BlockingIOError:
            time.sleep(0.01)
    return taken


def check_memory(console):
    os.set_blocking(console.process.stdin.fileno(), False)
    samples = []
    taken = 0
    for _ in range(8):
        taken += push(console, 0.5)
        samples.append(own_memory_kib(console.process.pid))
    if samples[-1] > samples[0] + MEMORY_GROWTH_KIB or samples[-1] > MEMORY_KIB:
        console.fail(f"the monitor's own memory grows: {samples} KiB")
    if taken > TAKEN_BYTES:
        console.fail(f"{taken} bytes were taken that nobody reads")
    return taken, samples[-1]


def main():
    typed, printed = int(sys.argv[1]), int(sys.argv[2])
    console = Console(sys.argv[3:])
    console.read_until(b"GO\r\n")
    check_typed(console, typed)
    check_printed(console, printed)
    taken, memory = check_memory(console)
    console.process.terminate()
    if console.process.wait(timeout=20) != 143:
        sys.exit(f"FAIL: exit status {console.process.returncode} after SIGTERM")
    print(f"{typed} bytes typed, {printed} printed; blocked: {taken} bytes taken, {memory} KiB of memory")


main()
