# SPDX-License-Identifier: MIT
"""A snapshot's file, as snapshot/file.h declares it, for tests that change one."""
import collections
import os
import re
import struct

_HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../snapshot/file.h")
_SIZES = {"uint8_t": "B", "char": "s", "uint32_t": "I", "uint64_t": "Q"}
FIRST_SECTION = 4096
_SECTION = struct.Struct("<HHIQ")
Field = collections.namedtuple("Field", "offset kind count")
Section = collections.namedtuple("Section", "at kind instance bytes")


def _parse():
    """Of the struct: each field with its offset, its letter (struct's) and its number, and how many bytes all have."""
    with open(_HEADER, encoding="ascii") as file:
        text = file.read()
    sizes = dict(re.findall(r"#define (\w+)\s+(\d+)$", text, re.M))
    body = re.search(r"^struct snapshot_header \{\n(.*?)^\};", text, re.M | re.S)[1]
    fields, offset = {}, 0
    for declaration in re.sub(r"/\*.*?\*/", "", body, flags=re.S).split(";")[:-1]:
        kind, names = declaration.split(None, 1)
        for name in names.split(","):
            count = 1
            for number in re.findall(r"\[(\w+)\]", name):
                count *= int(sizes.get(number, number))
            letter = _SIZES[kind]
            offset = -(-offset // struct.calcsize(letter)) * struct.calcsize(letter)
            fields[name.strip().split("[")[0]] = Field(offset, letter, count)
            offset += count * struct.calcsize(letter)
    if f"sizeof(struct snapshot_header) == {offset}," not in text:
        raise SystemExit(f"FAILED: snapshot_format.py takes the header for {offset} bytes")
    kinds, number = {}, 0
    for name, value in re.findall(r"^\tSNAPSHOT_(\w+)(?: = (\d+))?,", re.search(r"enum snapshot_kind \{(.*?)\};", text, re.S)[1], re.M):
        number = int(value) if value else number + 1
        kinds[number] = name
    return fields, offset, kinds


FIELDS, HEADER_BYTES, KINDS = _parse()


def checksum(data):
    total = len(data)
    for at in range(0, len(data), 8):
        total = ((total ^ int.from_bytes(data[at:at + 8], "little")) * 0x9e3779b97f4a7c15) % 2**64
        total ^= total >> 29
    return total


def read_header(file):
    file.seek(0)
    return bytearray(file.read(HEADER_BYTES))


def number(header, name):
    return struct.unpack_from("<" + FIELDS[name].kind, header, FIELDS[name].offset)[0]


def write_header(file, header, sealed=True):
    """With a checksum that fits, if it is to be sealed."""
    if sealed:
        at = FIELDS["checksum"].offset
        struct.pack_into("<Q", header, at, 0)
        struct.pack_into("<Q", header, at, checksum(bytes(header)))
    file.seek(0)
    file.write(header)


def read_sections(file):
    """All bytes of the sections, and where each begins."""
    length = number(read_header(file), "sections_bytes")
    file.seek(FIRST_SECTION)
    data, sections, at = bytearray(file.read(length)), [], 0
    while at < length:
        kind, instance, size, _ = _SECTION.unpack_from(data, at)
        sections.append(Section(at, kind, instance, size))
        at += _SECTION.size + (size + 7) // 8 * 8
    return data, sections


def content(section):
    """Where its content is."""
    return slice(section.at + _SECTION.size, section.at + _SECTION.size + section.bytes)


def seal(data, section):
    """The checksum of what is there now."""
    struct.pack_into("<Q", data, section.at + 8, checksum(bytes(data[content(section)])))


def write_sections(file, data):
    file.seek(FIRST_SECTION)
    file.write(data)
