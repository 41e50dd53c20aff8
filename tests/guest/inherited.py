# SPDX-License-Identifier: MIT
"""Monitors whose files are all inherited; called by inherited.sh with the guests' folder and a scratch folder."""

import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

ELF, FOLDER = sys.argv[1:]
HELLO = f"{ELF}/hello.elf"
INITRD = os.urandom(9999)


def die(text):
    sys.exit(f"FAILED: {text}")


def run(*words, fds=(), before=()):
    return subprocess.run([*before, "./vmm", *words], pass_fds=fds, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          check=False)


def expect(result, status, text=None):
    if result.returncode != status or (text is None) != (result.stderr == b"") or (text or "") not in result.stderr.decode():
        die(f"expected {status} and {text}: {result}")
    return result.stdout


def start(*words, fds, **popen):
    return subprocess.Popen(["./vmm", *words], pass_fds=fds, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **popen)


def memory_file(content):
    fd = os.memfd_create("test")
    os.pwrite(fd, content, 0)
    return fd


def state(fds):
    return [(os.lseek(fd, 0, os.SEEK_CUR), fcntl.fcntl(fd, fcntl.F_GETFL)) for fd in fds]


def test_no_path_is_opened():
    """All of them at once; the positions are anywhere."""
    kernel = os.open(f"{ELF}/zero_page.elf", os.O_RDONLY)
    os.lseek(kernel, 1000, os.SEEK_SET)
    initrd = memory_file(INITRD)
    os.lseek(initrd, 0, os.SEEK_END)
    root, disk, base, overlay = (memory_file(bytes(size)) for size in (1 << 20, 1 << 20, 1 << 20, 0))
    kvm = os.open("/dev/kvm", os.O_RDWR)
    output, serial = os.pipe()
    report, status = os.pipe()
    lifeline, _ours = os.pipe()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{FOLDER}/socket")
        server.listen()
        fds = [kernel, initrd, root, disk, base, overlay, kvm, serial, status, lifeline, server.fileno()]
        files = fds[:6]
        before = state(files)
        result = run("--kernel", f"fd={kernel}", "--initrd", f"fd={initrd}", "--rootfs", f"fd={root}", "--disk", f"fd={disk},ro",
                     "--disk", f"fd={base},overlay=fd={overlay}", "--serial", f"fd={serial}", "--kvm-fd", str(kvm),
                     "--status-fd", str(status), "--lifeline-fd", str(lifeline),
                     "--vsock", f"cid=3,uds-fd={server.fileno()}", "--no-default-cmdline", "--acpi", "off", fds=fds,
                     before=["strace", "-f", "-o", f"{FOLDER}/trace"])
    expect(result, 0)
    os.close(serial)
    os.close(status)
    with os.fdopen(output, "rb") as text:
        if not text.read().endswith(INITRD):
            die("another initrd")
    with os.fdopen(report) as text:
        if text.read() != '{"exit_code":0,"reason":"guest_ended"}\n':
            die("another status")
    if state(files) != before:
        die(f"the launcher's descriptions have changed from {before} to {state(files)}")
    with open(f"{FOLDER}/trace", encoding="utf-8") as trace:
        calls = trace.read().split("execve(", 1)[1]
    if "KVM_RUN" not in calls:
        die("the trace has not the guest")
    paths = re.findall(r"^.*\b(?:open|openat|openat2|creat|name_to_handle_at)\(.*$", calls, re.M)
    if paths:
        die("paths are opened: " + "\n".join(paths))


def test_images():
    """As blk-io.sh has them, on a memory file and a file."""
    sectors = b"".join(bytes([i % 251]) * 512 for i in range(64))
    paths = memory_file(b""), f"{FOLDER}/image"
    os.ftruncate(paths[0], 4 << 20)
    os.pwrite(paths[0], b"s" * len(sectors), 0)
    with open(paths[1], "wb") as file:
        file.write(b"r" * 1536)
        file.seek(512)
        file.write(b"read only disk 1")
    read_only = os.open(paths[1], os.O_RDONLY)
    by_path, by_fd = f"{FOLDER}/copy", paths[0]
    shutil.copyfile(f"/proc/self/fd/{by_fd}", by_path)
    os.lseek(by_fd, 77, os.SEEK_SET)
    fds = [by_fd, read_only]
    before = state(fds)
    wanted = expect(run("--kernel", f"{ELF}/blk_io.elf", "--disk", by_path, "--disk", f"{paths[1]},ro"), 0)
    got = expect(run("--kernel", f"{ELF}/blk_io.elf", "--disk", f"fd={by_fd}", "--disk", f"fd={read_only},ro", fds=fds), 0)
    if got != wanted or b"read only disk 1" not in got:
        die(f"inherited images: {got}, by path: {wanted}")
    with open(by_path, "rb") as file:
        if os.pread(by_fd, 8 << 20, 0) != file.read():
            die("the images differ")
    if state(fds) != before:
        die("the images' descriptions have changed")


def test_pipes():
    """One thread writes first the kernel, then the initrd, into pipes that are smaller."""
    with open(f"{ELF}/zero_page.elf", "rb") as file:
        kernel = file.read()
    for pieces in (1 << 20, 997):
        pipes = os.pipe(), os.pipe()
        vmm = start("--kernel", f"fd={pipes[0][0]}", "--initrd", f"fd={pipes[1][0]}", fds=[r for r, _ in pipes])
        for (r, w), content in zip(pipes, (kernel, INITRD)):
            os.close(r)
            for at in range(0, len(content), pieces):
                os.write(w, content[at : at + pieces])
            os.close(w)
        output, _ = vmm.communicate(timeout=60)
        if vmm.returncode != 0 or not output.endswith(INITRD):
            die(f"pipes: {vmm.returncode}, {output[:500]}")
    # More than fits, nothing at all.
    for content, text in (b"x" * (5 << 20), "the pipe has more bytes than the guest's memory"), (b"", "the file is empty"):
        r, w = os.pipe()
        writer = threading.Thread(target=write_all, args=(w, content))
        writer.start()
        expect(run("--kernel", HELLO, "--mem", "4M", "--initrd", f"fd={r}", fds=[r]), 121, f"--initrd fd={r}: {text}")
        os.close(r)
        writer.join()


def write_all(fd, content):
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
    except BrokenPipeError:
        pass


def test_pipe_that_stalls():
    for option in "--kernel", "--initrd":
        for by_lifeline in False, True:
            r, w = os.pipe()
            lifeline, ours = os.pipe()
            os.write(w, b"some of it")
            words = [option, f"fd={r}"] + (["--kernel", HELLO] if option != "--kernel" else [])
            vmm = start(*words, "--lifeline-fd", str(lifeline), fds=[r, lifeline])
            os.close(r)
            os.close(lifeline)
            time.sleep(0.1)
            if vmm.poll() is not None:
                die("it has not waited for the pipe")
            if by_lifeline:
                os.close(ours)
            else:
                vmm.send_signal(signal.SIGTERM)
            vmm.communicate(timeout=20)
            if vmm.returncode != 143:
                die(f"a stalled pipe: {vmm.returncode}")
            os.close(w)
            if not by_lifeline:
                os.close(ours)


def is_locked(path):
    with open(path, "r+b") as file:
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        return struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_OFD_GETLK, lock))[0] != fcntl.F_UNLCK


def test_locks():
    path = f"{FOLDER}/locked"
    with open(path, "wb") as file:
        file.truncate(1 << 20)
    one, other, reader = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR), os.open(path, os.O_RDONLY)
    vmm = start("--kernel", f"{ELF}/end.elf", "--cmdline", "halt", "--disk", f"fd={one}", fds=[one])
    vmm.stdout.readline()
    if not is_locked(path):
        die("an inherited image is not locked")
    for words, fds in (["--disk", path], []), (["--disk", f"fd={other}"], [other]), (["--rootfs", f"fd={reader},ro"], [reader]):
        expect(run("--kernel", HELLO, *words, fds=fds), 122, "it is in use")
    expect(run("--kernel", HELLO, "--serial", f"file:{path}"), 122, "it is in use")
    vmm.terminate()
    vmm.communicate()
    if is_locked(path):
        die("the lock has stayed with the launcher's description")
    # Twice in one VM, and readers that share.
    for words, fds, name in ((["--rootfs", f"fd={one}", "--disk", f"fd={other}"], [one, other], f"--rootfs fd={one}"),
                             (["--rootfs", path, "--disk", f"fd={reader},ro"], [reader], f"--rootfs {path}"),
                             (["--rootfs", f"fd={one}", "--disk", path], [one], f"--rootfs fd={one}")):
        expect(run("--kernel", HELLO, *words, fds=fds), 121, f"it is in use: it is also {name}")
        if is_locked(path):
            die("a refused VM has left its lock")
    expect(run("--kernel", HELLO, "--rootfs", f"fd={one},ro", "--disk", f"fd={reader},ro", fds=[one, reader]), 0)
    # A lock that the launcher itself has on the description is no obstacle.
    fcntl.fcntl(one, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    expect(run("--kernel", HELLO, "--disk", f"fd={one}", fds=[one]), 0)


def test_serial():
    greeting = expect(run("--kernel", HELLO), 0)
    path = f"{FOLDER}/log"
    with open(path, "wb") as log:
        log.write(b"before\n")
        log.flush()
        fd = log.fileno()
        if expect(run("--kernel", HELLO, "--serial", f"fd={fd}", fds=[fd]), 0):
            die("output on stdout, too")
    with open(path, "rb") as log:
        if log.read() != b"before\n" + greeting:
            die("--serial fd=: another text in the file")
    kernel = os.open(HELLO, os.O_RDWR)
    copy = os.open(HELLO, os.O_RDONLY)
    for words in ["--kernel", HELLO], ["--kernel", f"fd={copy}"], ["--kernel", HELLO, "--disk", f"fd={copy},ro"]:
        expect(run(*words, "--serial", f"fd={kernel}", fds=[kernel, copy]), 121, f"--serial fd={kernel}: it is also --kernel")
    # A reader that is slow, on a pipe that blocks and one that does not.
    for blocking in True, False:
        r, w = os.pipe()
        os.set_blocking(w, blocking)
        vmm = start("--kernel", f"{ELF}/serial_flood.elf", "--cmdline", "bytes=40960", "--serial", f"fd={w}", fds=[w])
        os.close(w)
        time.sleep(0.2)
        with os.fdopen(r, "rb") as reader:
            length = len(reader.read())
        vmm.communicate(timeout=60)
        if vmm.returncode != 0 or length != 40960:
            die(f"a slow reader: status {vmm.returncode}, {length} bytes")


test_no_path_is_opened()
test_images()
test_pipes()
test_pipe_that_stalls()
test_locks()
test_serial()
