#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""snapshot_patch.py FILE FIELD VALUE: changes a field of a snapshot's header (snapshot/file.h), and its checksum so that it fits."""
import struct
import sys

HEADER_BYTES = 248
FIELDS = {
    "version": (8, "<I"), "sections_bytes": (24, "<Q"), "memory_bytes": (40, "<Q"), "monitor": (48, "16s"),
    "host_kernel": (64, "64s"), "cpu_vendor": (128, "16s"), "cpu_signature": (144, "<I"), "cpuid_checksum": (152, "<Q"),
    "tsc_khz": (160, "<I"), "n_cpus": (164, "<I"), "has_acpi": (168, "B"), "n_disks": (171, "B"),
}


def checksum(data):
    total = len(data)
    for at in range(0, len(data), 8):
        total = ((total ^ int.from_bytes(data[at:at + 8], "little")) * 0x9e3779b97f4a7c15) % 2**64
        total ^= total >> 29
    return total


path, field, value = sys.argv[1:]
offset, kind = FIELDS[field]
with open(path, "r+b") as file:
    header = bytearray(file.read(HEADER_BYTES))
    struct.pack_into(kind, header, offset, value.encode() if kind.endswith("s") else int(value, 0))
    struct.pack_into("<Q", header, 16, 0)
    struct.pack_into("<Q", header, 16, checksum(bytes(header)))
    file.seek(0)
    file.write(header)
