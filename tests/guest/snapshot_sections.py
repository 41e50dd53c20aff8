#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""snapshot_sections.py SNAPSHOT FOLDER -- MONITOR...: SNAPSHOT has a section of each kind. Each section once more with every field of its
head changed, without its content, twice, not at all, and behind its successor; then one too many. One line says no to each. A {} in a word of
MONITOR is a number of its own for each."""
import concurrent.futures
import os
import struct
import subprocess
import sys

import snapshot_format

FIELDS = {"kind": (0, "<H"), "instance": (2, "<H"), "bytes": (4, "<I"), "checksum": (8, "<Q")}
TIME_LIMIT = 20
AT_ONCE = 6  # a start waits more than it works
snapshot, folder, monitor = sys.argv[1], sys.argv[2], sys.argv[4:]


def refused(case):
    """So many bytes as before, or others: the header says how many. Says what is wrong."""
    index, (data, what) = case
    scratch = f"{folder}/sections.{index}"
    subprocess.run(["cp", "--sparse=always", snapshot, scratch], check=True)
    with open(scratch, "r+b") as file:
        header = snapshot_format.read_header(file)
        struct.pack_into("<Q", header, snapshot_format.FIELDS["sections_bytes"].offset, len(data))
        snapshot_format.write_header(file, header)
        snapshot_format.write_sections(file, data)
    words = [word.replace("{}", str(index)) for word in monitor]
    vm = subprocess.run(words + ["--restore", scratch], stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_LIMIT, check=False)
    if vm.returncode != 121 or vm.stdout or vm.stderr.count(b"\n") != 1 or b"the snapshot is damaged: " not in vm.stderr:
        return f"{what}: status {vm.returncode}, {vm.stdout!r}, {vm.stderr!r}"
    os.unlink(scratch)
    return None


with open(snapshot, "rb") as file:
    sections_data, sections = snapshot_format.read_sections(file)
missing = set(snapshot_format.KINDS) - {section.kind for section in sections}
if missing:
    sys.exit(f"FAILED: no section of the kinds {', '.join(snapshot_format.KINDS[kind] for kind in missing)}")
edges = [section.at for section in sections] + [len(sections_data)]
pieces = [bytes(sections_data[start:end]) for start, end in zip(edges, edges[1:])]
cases = []
for i, section in enumerate(sections):
    name = f"section {i}, {snapshot_format.KINDS[section.kind]} {section.instance}"
    for field, (offset, kind) in FIELDS.items():
        (value,) = struct.unpack_from(kind, sections_data, section.at + offset)
        most = 256 ** struct.calcsize(kind) - 1
        for other in {(value + 1) % (most + 1), most, value ^ 8} - {value}:
            data = bytearray(sections_data)
            struct.pack_into(kind, data, section.at + offset, other)
            cases.append((data, f"{name}: {field} is {other}"))
    before, after = pieces[:i], pieces[i + 1:]
    others = {"is missing": before + after, "comes twice": before + [pieces[i]] * 2 + after,
              "is empty": before + [struct.pack("<HHIQ", section.kind, section.instance, 0, 0)] + after}
    if after:
        others["comes late"] = before + [after[0], pieces[i]] + after[1:]
    for what, other in others.items():
        cases.append((b"".join(other), f"{name} {what}"))
cases.append((b"".join(pieces) + struct.pack("<HHIQ", 99, 0, 0, 0), "a section too many"))
with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
    for wrong in pool.map(refused, enumerate(cases)):
        if wrong:
            sys.exit(f"FAILED: {wrong}")
print(f"{len(cases)} files with {len(sections)} sections of {len(snapshot_format.KINDS)} kinds")
