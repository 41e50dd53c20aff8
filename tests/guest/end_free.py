#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""end_free.py DIR TAP GUESTS: after the exit of a monitor nothing is held. DIR/mnt is a mounted file system.

What is found right after wait() counts: nothing is tried twice."""
import fcntl
import os
import signal
import struct
import subprocess
import sys

directory, tap, guests = sys.argv[1:]
mount = f"{directory}/mnt"
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x2, 0x1000, 0x4000
MANY = 100


def make_cgroup(name):
    """A cgroup of our own, or None where that cannot be had."""
    for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.path.exists(f"{base}/cgroup.procs"):
            path = f"{base}/vmm-test-{os.getpid()}-{name}"
            try:
                os.mkdir(path)
                return path
            except OSError:
                return None
    return None


def start(arguments, cgroup=None):
    """A monitor whose stdout is a pipe that only it can write to: (process, reading end)."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)

    def enter_cgroup():
        with open(f"{cgroup}/cgroup.procs", "w", encoding="ascii") as procs:
            procs.write("0")

    process = subprocess.Popen(
        ["./vmm", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=write_end,
        preexec_fn=enter_cgroup if cgroup else None,
    )
    os.close(write_end)
    return process, read_end


def expect_end_of_file(read_end, what):
    while True:
        try:
            if os.read(read_end, 65536) == b"":
                break
        except BlockingIOError:
            sys.exit(f"{what}: somebody still holds stdout")
    os.close(read_end)


def wait_for_output(read_end):
    os.set_blocking(read_end, True)
    assert os.read(read_end, 1) != b""
    os.set_blocking(read_end, False)


def attach_tap(what):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    request = struct.pack("16sH22x", tap.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
    try:
        fcntl.ioctl(fd, TUNSETIFF, request)
    except OSError as error:
        sys.exit(f"{what}: the TAP: {error}")
    os.close(fd)


def one(number, word, end):
    what = f"{word}, {number}"
    if subprocess.run(["mountpoint", "-q", mount], check=False).returncode != 0:
        subprocess.run(["mount", "-t", "tmpfs", "none", mount], check=True)
    with open(f"{mount}/disk", "wb") as disk:
        disk.truncate(1 << 20)
    cgroup = make_cgroup(number)
    process, read_end = start(
        ["--kernel", f"{guests}/end.elf", "--cmdline", word, "--disk", f"{mount}/disk", "--net", f"tap={tap}",
         "--vsock", f"cid=3,uds={mount}/v.sock", "--serial", "stdio"],
        cgroup,
    )
    if end:
        wait_for_output(read_end)
        process.send_signal(end)
    status = process.wait()
    expect_end_of_file(read_end, what)
    assert status == (128 + end if end else 0), f"{what}: exit status {status}"
    if cgroup:
        try:
            os.rmdir(cgroup)
        except OSError as error:
            sys.exit(f"{what}: the cgroup: {error}")
    attach_tap(what)
    assert not os.path.exists(f"{mount}/v.sock"), f"{what}: the vsock's path is still there"
    if subprocess.run(["umount", mount], check=False).returncode != 0:
        sys.exit(f"{what}: the file system of the image cannot be unmounted")


def many():
    running = [start(["--kernel", f"{guests}/end.elf", "--cmdline", "halt"]) for _ in range(MANY)]
    try:
        for _, read_end in running:
            wait_for_output(read_end)
    finally:
        for process, _ in running:
            process.send_signal(signal.SIGTERM)
        for process, _ in running:
            process.wait()
    for process, read_end in running:
        expect_end_of_file(read_end, f"{MANY} at once")
        assert process.returncode == 143, f"{MANY} at once: exit status {process.returncode}"


for index in range(10):
    one(index, "reset", 0)
    one(index, "halt", signal.SIGTERM)
many()
