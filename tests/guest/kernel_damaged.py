# SPDX-License-Identifier: MIT
"""For kernel-damaged.sh: hundreds of damaged kernels and initrds, none of which may start a guest.

kernel_damaged.py FOLDER KERNEL MONITOR...
"""
import json
import os
import socket
import struct
import subprocess
import sys

folder, kernel_path, *monitor = sys.argv[1:]
U64 = (1 << 64) - 1
n_refused = 0


def run(arguments):
    """Runs the monitor; its exit status, stdout, stderr and status line."""
    reader, writer = os.pipe()
    done = subprocess.run(monitor + ["--status-fd", str(writer), *arguments], pass_fds=[writer], timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    os.close(writer)
    with os.fdopen(reader) as report:
        line = report.read()
    return done.returncode, done.stdout, done.stderr.decode(), line


def check_refused(what, arguments, option):
    global n_refused
    status, out, err, line = run(arguments)
    report = json.loads(line or "{}")
    # A guest that has run leaves no message.
    good = (status == 121 and out == b"" and err.count("\n") == 1 and err.startswith(f"vmm: {option}")
            and report.get("reason") == "bad_input" and "message" in report)
    if not good:
        sys.exit(f"{what}: status {status}, stdout {out!r}, stderr {err!r}, {line!r}")
    n_refused += 1


def file_of(data, name="file"):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def kernel_refused(what, data):
    check_refused(what, ["--kernel", file_of(data)], "--kernel")


def patched(data, offset, form, value):
    damaged = bytearray(data)
    struct.pack_into("<" + form, damaged, offset, value)
    return bytes(damaged)


def elf_fields(n_segments):
    """(name, offset, format, bad values) of every field on which the place or the entry depends."""
    yield "class", 4, "B", [0, 1, 3, 255]
    yield "data", 5, "B", [0, 2, 3, 255]
    yield "type", 16, "H", [0, 1, 3, 4, 5, 0xff00, 0xffff]
    yield "machine", 18, "H", [0, 3, 20, 21, 40, 183, 243, 0xffff]
    yield "entry", 24, "Q", [0, 1, 0xfffff, 0x3fffffff, 0x40000000, 1 << 32, 1 << 63, U64, 0xffffffff81000000]
    yield "phoff", 32, "Q", [1 << 20, 1 << 31, 1 << 32, 1 << 62, 1 << 63, U64 - 55, U64]
    yield "phentsize", 54, "H", [0, 1, 31, 32, 55, 57, 64, 0x8000, 0xffff]
    yield "phnum", 56, "H", [0, 65, 66, 127, 128, 1000, 0x8000, 0xffff]
    for i in n_segments:
        at = 64 + 56 * i
        yield f"offset {i}", at + 8, "Q", [1 << 24, 1 << 32, 1 << 62, 1 << 63, U64 - 4095, U64]
        yield f"paddr {i}", at + 24, "Q", [0, 4096, 0xff000, 1 << 30, 1 << 32, 1 << 62, U64 - 4095, U64]
        yield f"filesz {i}", at + 32, "Q", [1 << 24, 1 << 31, 1 << 32, 1 << 63, U64]
        yield f"memsz {i}", at + 40, "Q", [1 << 30, 1 << 32, 1 << 62, 1 << 63, U64 - 4095, U64]


def bzimage():
    """A header of protocol 2.15, and 8 KiB of code that ends the VM."""
    data = bytearray(4 * 512 + 8192)
    for offset, form, value in [
            (0x1f1, "B", 3), (0x1f4, "I", 8192 // 16), (0x1fe, "H", 0xaa55), (0x200, "H", 0x6aeb), (0x202, "4s", b"HdrS"),
            (0x206, "H", 0x20f), (0x211, "B", 1), (0x22c, "I", 0x7fffffff), (0x230, "I", 0x200000), (0x234, "B", 1),
            (0x236, "H", 1), (0x238, "I", 2047), (0x258, "Q", 0x1000000), (0x260, "I", 0x200000)]:
        struct.pack_into("<" + form, data, offset, value)
    data[4 * 512 + 512:4 * 512 + 517] = b"\xb0\xfe\xe6\x64\xf4"  # mov al, 0xfe; out 0x64, al; hlt
    return bytes(data)


BZIMAGE_FIELDS = [
    ("setup_sects", 0x1f1, "B", [20, 21, 64, 128, 254, 255]),
    ("syssize", 0x1f4, "I", [0, 1, 31, 513, 1024, 1 << 16, 1 << 24, 1 << 28, (1 << 28) - 1, 1 << 31, (1 << 32) - 1]),
    ("boot_flag", 0x1fe, "H", [0, 0x55, 0xaa, 0x55aa, 0xffff]),
    ("header_end", 0x201, "B", [0, 1, 2, 3]),
    ("header", 0x202, "I", [0, 1, 0x53726449, 0xffffffff]),
    ("version", 0x206, "H", [0, 1, 0x100, 0x200, 0x204, 0x208, 0x20a, 0x20b]),
    ("loadflags", 0x211, "B", [0, 2, 0x80, 0xfe]),
    ("xloadflags", 0x236, "H", [0, 2, 4, 0xfffe]),
    ("pref_address", 0x258, "Q", [0, 1, 0x10000, 0xfffff, 0x3fffffff, 1 << 30, 1 << 32, 1 << 62, 1 << 63, U64 - 8191, U64]),
    ("init_size", 0x260, "I", [1 << 27, 1 << 30, 1 << 31, 0xffffffff]),
    ("cmdline_size", 0x238, "I", [0, 1, 10]),
]


def damage_kernels():
    with open(kernel_path, "rb") as file:
        elf = file.read()
    count = struct.unpack_from("<H", elf, 56)[0]
    loaded = [i for i in range(count) if struct.unpack_from("<I", elf, 64 + 56 * i)[0] == 1
              and struct.unpack_from("<Q", elf, 64 + 56 * i + 32)[0] > 0]
    for name, offset, form, values in elf_fields(loaded):
        for value in values:
            kernel_refused(f"ELF, {name} {value:#x}", patched(elf, offset, form, value))
    end = max(sum(struct.unpack_from("<Q", elf, 64 + 56 * i + at)[0] for at in (8, 32)) for i in loaded)
    for i in range(80):
        kernel_refused(f"ELF, cut {i}", elf[:1 + (end - 2) * i // 79])
    image = bzimage()
    if run(["--kernel", file_of(image)])[0] != 0:
        sys.exit("the bzImage that is not damaged does not run")
    for name, offset, form, values in BZIMAGE_FIELDS:
        for value in values:
            kernel_refused(f"bzImage, {name} {value:#x}", patched(image, offset, form, value))
    for i in range(80):
        kernel_refused(f"bzImage, cut {i}", image[:1 + (len(image) - 17) * i // 79])
    for magic in [b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"BZh9", b"\x28\xb5\x2f\xfd", b"MZ", b"#!/bin/sh\n", b"QFI\xfb", b"070701",
                  b"KDMV", b"\0" * 8, b"\xff" * 8, b"\x7fEL", b"\x7fELF", b"HdrS"]:
        kernel_refused(f"{magic!r}", magic.ljust(5000, b"\0"))


def damage_initrds():
    """Its content is the guest's affair; its size and kind are not."""
    def refused(what, path):
        check_refused(f"initrd, {what}", ["--kernel", kernel_path, "--initrd", path], "--")

    for mib in [128, 129, 200, 500, 1023, 1024, 2047, 2048, 4096, 1 << 20]:
        path = file_of(b"", "initrd")
        os.truncate(path, mib << 20)
        refused(f"{mib} MiB", path)
    refused("empty", file_of(b"", "initrd"))
    refused("a folder", folder)
    refused("missing", os.path.join(folder, "missing"))
    os.mkfifo(os.path.join(folder, "fifo"))
    refused("a FIFO", os.path.join(folder, "fifo"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(folder, "socket"))
        refused("a socket", os.path.join(folder, "socket"))
    os.symlink("loop", os.path.join(folder, "loop"))
    refused("a loop", os.path.join(folder, "loop"))
    for path in ["/dev/null", "/dev/zero", "/proc/self/status", "/proc/self/mem", os.path.join(kernel_path, "x")]:
        refused(path, path)


damage_kernels()
damage_initrds()
if n_refused < 300:
    sys.exit(f"only {n_refused} files")
print(f"{n_refused} damaged kernels and initrds")
