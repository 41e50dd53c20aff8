#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""starts.py FOLDER GUESTS COUNT: so many VMs, 50 at a time, with every end there is; then nothing of them is left.

Each has a disk, a vsock, a status line, a lifeline and, where this user may have them, a TAP and a cgroup of its own.
The TAPs stay in this network namespace."""
import ctypes
import fcntl
import json
import os
import random
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time

FOLDER, GUESTS, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
KERNEL = f"{GUESTS}/end.elf"
SLOTS = 50
STALLED_SECONDS = 60
SETTLED_SECONDS = 30
GROWTH_BYTES = 2 << 20  # what the kernel counts in advance, on each CPU
PR_SET_CHILD_SUBREAPER = 36
TUNSETIFF, TUNSETPERSIST, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x400454CB, 0x2, 0x1000, 0x4000
# What the guest does, what is done to it when it runs, its status and the reason.
ENDS = (
    ("status=7", None, 7, "guest_ended"),
    ("reset", None, 0, "guest_ended"),
    ("flag=4660 reset", None, 126, "guest_panicked"),
    ("triple", None, 123, "triple_fault"),
    ("halt", "SIGTERM", 143, "signal"),
    ("halt", "SIGKILL", -9, None),
    ("halt", "lifeline", 143, "signal"),
    ("--mem=1", None, 121, "bad_input"),
    ("halt", "at once", 143, "signal"),
)


def die(text):
    sys.exit(f"FAILED: {text}")


def tap_open(name):
    """Attaches to the TAP, which is made if it is not there, and leaves it."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(fd, TUNSETPERSIST, 1)
    os.close(fd)


class Cgroup:
    """One for all VMs, whose memory is counted, and in it one for each; either may be None."""

    def __init__(self):
        self.all = self.memory = None
        for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            if os.path.exists(f"{base}/cgroup.procs"):
                self.all = self.make(base)
                break
        if self.all and base == "/sys/fs/cgroup":
            self.memory = self.all if os.path.exists(f"{self.all}/memory.current") else None
            if self.memory:
                self.write(self.all, "cgroup.subtree_control", "+memory")
        elif os.path.exists("/sys/fs/cgroup/memory/memory.usage_in_bytes"):
            self.memory = self.make("/sys/fs/cgroup/memory")

    @staticmethod
    def make(base):
        path = f"{base}/vmm-test-{os.getpid()}"
        try:
            os.mkdir(path)
            return path
        except OSError:
            return None

    @staticmethod
    def write(path, name, text):
        with open(f"{path}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    def enter(self, path):
        """What a child does before exec."""
        if self.memory and self.memory != self.all:
            self.write(self.memory, "cgroup.procs", "0")
        if path:
            self.write(path, "cgroup.procs", "0")

    def used_bytes(self):
        """Without page cache."""
        try:
            if self.memory == self.all:
                self.write(self.memory, "memory.reclaim", "1G")
            else:
                self.write(self.memory, "memory.force_empty", "0")
        except OSError:
            pass  # Linux 5.19 and later reclaim on request, as far as they can
        name = "memory.current" if self.memory == self.all else "memory.usage_in_bytes"
        with open(f"{self.memory}/{name}", encoding="ascii") as file:
            return int(file.read())

    def remove(self):
        """Both, and after a failure what is in them, if it can be."""
        for path in {self.all, self.memory} - {None}:
            for name in [name for name in os.listdir(path) if name.isdigit()] + ["."]:
                try:
                    os.rmdir(f"{path}/{name}".removesuffix("/."))
                except OSError as error:
                    print(f"{path}/{name}: {error}")


class Vm:
    """One, in a slot, whose files the next VM of that slot has, too."""

    def __init__(self, number, slot):
        self.number, self.slot = number, slot
        self.words, self.act, self.status, self.reason = ENDS[number % len(ENDS)]
        self.uds = f"{FOLDER}/v{slot}.sock"
        self.has_run = False
        self.cgroup = f"{cgroup.all}/{number}" if cgroup.all else None
        if self.cgroup:
            os.mkdir(self.cgroup)
        self.out, out = os.pipe()
        self.report, report = os.pipe()
        lifeline, self.lifeline = os.pipe()
        pass_fds, vsock = [report, lifeline], f"cid=3,uds={self.uds}"
        listener = None
        if self.act == "SIGKILL":  # which leaves the socket of a path
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"\0vmm-test-{os.getpid()}-{number}")
            listener.listen()
            pass_fds.append(listener.fileno())
            vsock = f"cid=3,uds-fd={listener.fileno()}"
        command = ["./vmm", f"--kernel=fd={kernel}" if slot % 2 else f"--kernel={KERNEL}", f"--disk={FOLDER}/disk{slot}",
                   f"--vsock={vsock}", f"--status-fd={report}", f"--lifeline-fd={lifeline}",
                   self.words if self.words.startswith("--") else f"--cmdline={self.words}"]
        command += [f"--net=tap={taps[slot]}"] if taps else []
        pass_fds += [kernel] if slot % 2 else []
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL,
                                        pass_fds=pass_fds, preexec_fn=lambda: cgroup.enter(self.cgroup))
        for fd in (out, report, lifeline):
            os.close(fd)
        if listener:
            listener.close()
        if self.act == "at once":
            time.sleep(random.random() * 0.003)
            self.process.send_signal(signal.SIGTERM)

    def output(self):
        """Takes what it has printed; ends it as planned when it runs. False: it has ended."""
        if os.read(self.out, 4096) == b"":
            return False
        if not self.has_run and self.act in ("SIGTERM", "SIGKILL"):
            self.process.send_signal(getattr(signal, self.act))
        elif not self.has_run and self.act == "lifeline":
            os.close(self.lifeline)
            self.lifeline = -1
        self.has_run = True
        return True

    def finish(self):
        """Checks its end, and that what it had is free."""
        what = f"VM {self.number} ({self.words}, {self.act})"
        status = self.process.wait()
        with os.fdopen(self.report) as file:
            report = file.read()
        for fd in (self.out, self.lifeline):
            if fd >= 0:
                os.close(fd)
        if self.act == "at once" and status == -signal.SIGTERM:
            self.reason = None  # before main
        elif status != self.status:
            die(f"{what}: status {status}, expected {self.status}: {report}")
        if self.reason is None:
            assert report == "", f"{what}: {report}"
        elif json.loads(report)["reason"] != self.reason or json.loads(report)["exit_code"] != status:
            die(f"{what}: status {status}: {report}")
        if os.path.exists(self.uds):
            die(f"{what}: {self.uds} is still there")
        if self.cgroup:
            self.remove_cgroup(what, time.monotonic() + (SETTLED_SECONDS if status < 0 else 0))

    def remove_cgroup(self, what, deadline):
        while True:
            try:
                os.rmdir(self.cgroup)
                return
            except OSError as error:
                if time.monotonic() >= deadline:
                    die(f"{what}: its cgroup: {error}")
            time.sleep(0.01)


def run(first, end):
    """Runs VMs number FIRST to END, as many at a time as there are slots."""
    selector = selectors.DefaultSelector()
    numbers, free = iter(range(first, end)), list(range(SLOTS))
    try:
        while True:
            for number in numbers if free else ():
                vm = Vm(number, free.pop())
                selector.register(vm.out, selectors.EVENT_READ, vm)
                if not free:
                    break
            if not selector.get_map():
                return
            ready = selector.select(STALLED_SECONDS)
            if not ready:
                die(f"nothing happens, with VMs {[key.data.number for key in selector.get_map().values()]}")
            for key, _ in ready:
                if not key.data.output():
                    selector.unregister(key.fd)
                    key.data.finish()
                    free.append(key.data.slot)
    finally:
        for key in selector.get_map().values():
            key.data.process.kill()
            key.data.process.wait()
        selector.close()


def settle(is_settled, text):
    deadline = time.monotonic() + SETTLED_SECONDS
    while not is_settled():
        if time.monotonic() >= deadline:
            die(text())
        time.sleep(0.1)


def left_processes():
    """This process is a child subreaper: what a VM started and left is its child."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return file.read().split()


def left_sockets():
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        return [line for line in file if FOLDER in line or f"@vmm-test-{os.getpid()}-" in line]


def locks():
    inodes = {f":{os.stat(f'{FOLDER}/disk{slot}').st_ino} " for slot in range(SLOTS)}
    with open("/proc/locks", encoding="ascii") as file:
        return [line for line in file if any(inode in line for inode in inodes)]


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def check_nothing_is_left(before):
    settle(lambda: not left_processes(), lambda: f"processes are left: {left_processes()}")
    settle(lambda: not left_sockets(), lambda: f"sockets are left: {left_sockets()}")
    settle(lambda: not locks(), lambda: f"locks are left: {locks()}")
    if sorted(os.listdir(FOLDER)) != before["files"]:
        die(f"files are left: {set(os.listdir(FOLDER)) ^ set(before['files'])}")
    if descriptors() != before["descriptors"]:
        die(f"descriptors: {descriptors()}, before {before['descriptors']}")
    for tap in taps:
        tap_open(tap)  # it is free
    if cgroup.all and [name for name in os.listdir(cgroup.all) if name.isdigit()]:
        die("cgroups are left")


ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
kernel = os.open(KERNEL, os.O_RDONLY)
taps = [f"vmst{slot}" for slot in range(SLOTS)] if os.environ.get("NET_NAMESPACE") == "yes" else []
cgroup = Cgroup()
try:
    for tap in taps:
        tap_open(tap)
except OSError:
    taps = []
try:
    for slot in range(SLOTS):
        with open(f"{FOLDER}/disk{slot}", "wb") as disk:
            disk.truncate(1 << 20)
    before = {"files": sorted(os.listdir(FOLDER)), "descriptors": descriptors()}
    start = time.monotonic()
    run(0, COUNT // 4)
    used = cgroup.used_bytes() if cgroup.memory else 0
    run(COUNT // 4, COUNT)
    seconds = time.monotonic() - start
    check_nothing_is_left(before)
    if cgroup.memory:
        settle(lambda: cgroup.used_bytes() <= used + GROWTH_BYTES,
               lambda: f"{cgroup.used_bytes() - used} bytes more in use than after a quarter of the VMs")
        used = cgroup.used_bytes() - used
finally:
    cgroup.remove()
print(f"{COUNT} VMs in {seconds:.0f} s, {'with' if taps else 'without'} TAPs, "
      f"{'with' if cgroup.all else 'without'} cgroups; "
      + (f"the last three quarters left {used} bytes" if cgroup.memory else "memory is not counted"))
