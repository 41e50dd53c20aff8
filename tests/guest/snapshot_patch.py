#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""snapshot_patch.py FILE FIELD VALUE: changes a field of a snapshot's header (snapshot/file.h), of an array its first element, and the
checksum so that it fits, if that is not the field. snapshot_patch.py --fields: the names of all."""
import struct
import sys

import snapshot_format

if sys.argv[1:] == ["--fields"]:
    sys.exit(print("\n".join(snapshot_format.FIELDS)))
path, name, value = sys.argv[1:]
field = snapshot_format.FIELDS[name]
with open(path, "r+b") as file:
    header = snapshot_format.read_header(file)
    if field.kind == "s":
        struct.pack_into(f"{field.count}s", header, field.offset, value.encode())
    else:
        struct.pack_into("<" + field.kind, header, field.offset, int(value, 0))
    snapshot_format.write_header(file, header, sealed=name != "checksum")
