#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""snapshot_mutate.py SNAPSHOT COUNT SEED SCRATCH -- MONITOR...: COUNT times a few bytes of a few sections become others, with checksums that
fit, and a monitor goes on from that. It may refuse the file, or its guest may do anything; the monitor itself does not crash, makes no system
call that its sandbox refuses, and does not fail by its own account."""
import collections
import random
import subprocess
import sys

import snapshot_format

TIME_LIMIT = 4


def mutate(path, rng):
    with open(path, "r+b") as file:
        data, sections = snapshot_format.read_sections(file)
        for section in rng.choices(sections, k=rng.choice([1, 1, 2, 4])):
            offset, width = rng.randrange(section.bytes), rng.choice([1, 1, 2, 4, 8])
            value = rng.choice([bytes(width), b"\xff" * width, rng.randbytes(width)])[:section.bytes - offset]
            start = snapshot_format.content(section).start + offset
            data[start:start + len(value)] = value
            snapshot_format.seal(data, section)
        snapshot_format.write_sections(file, data)


def run(command):
    """The exit status, None if it goes on for ever, and stderr."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as vm:
        try:
            errors = vm.communicate(timeout=TIME_LIMIT)[1]
            return vm.returncode, errors.decode(errors="replace")
        except subprocess.TimeoutExpired:
            vm.terminate()
            errors = vm.communicate(timeout=TIME_LIMIT)[1].decode(errors="replace")
            return None if vm.returncode == 143 else vm.returncode, errors


snapshot, count, seed, scratch, monitor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[6:]
rng, ends = random.Random(seed), collections.Counter()
for number in range(count):
    subprocess.run(["cp", "--sparse=always", snapshot, scratch], check=True)
    mutate(scratch, rng)
    status, errors = run(monitor + ["--restore", scratch])
    ends[status] += 1
    if (status is not None and status not in range(0, 127)) or status == 120 or "sandbox" in errors:
        sys.exit(f"FAILED: mutation {number} of seed {seed}: status {status}: {errors[:500]}")
    if status == 121 and errors.count("\n") != 1:
        sys.exit(f"FAILED: mutation {number} of seed {seed}: not one line: {errors!r}")
print(", ".join(f"{'for ever' if status is None else status}: {n}" for status, n in ends.items()) + f"; seed {seed}")
