# SPDX-License-Identifier: MIT
"""Sends signals to monitors that have only just started; called by signals-early.sh with a guest and a folder."""

import ctypes
import fcntl
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time

from locked_image import locked_image

GUEST, FOLDER = sys.argv[1:]
SOCKET = f"{FOLDER}/vsock"
LIMIT_S = 15
CLONE_NEWPID = 0x20000000
NR_CLONE = 56
libc = ctypes.CDLL(None, use_errno=True)


class Monitor:
    """One start. Its status line goes to a pipe, whose other end is closed by exec or its end."""

    def __init__(self, *arguments, as_first=False, before_exec=None):
        report, report_write = os.pipe()
        started, started_write = os.pipe()
        self.report = report
        # As fork(), but with a PID namespace of its own.
        flags = signal.SIGCHLD | (CLONE_NEWPID if as_first else 0)
        self.pid = libc.syscall(NR_CLONE, flags, 0, 0, 0, 0)
        if self.pid < 0:
            raise OSError(ctypes.get_errno(), "clone")
        if self.pid == 0:
            try:
                null = os.open("/dev/null", os.O_RDWR)
                os.dup2(null, 0)
                os.dup2(null, 1)
                os.dup2(os.open(f"{FOLDER}/err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
                os.set_inheritable(report_write, True)
                libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with the test
                if before_exec:
                    before_exec()
                os.execv("./vmm", ["./vmm", "--status-fd", str(report_write), "--kernel", GUEST,
                                   "--cmdline", "spin", *arguments])
            finally:
                os._exit(99)
        os.close(report_write)
        os.close(started_write)
        os.read(started, 1)  # the end of file: exec
        os.close(started)

    def blocks(self, number):
        """Whether main() has begun."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            mask = next(line for line in status if line.startswith("SigBlk:"))
        return int(mask.split()[1], 16) >> (number - 1) & 1 == 1

    def wait(self, limit_s=LIMIT_S):
        """Its exit code, -N if a signal killed it, None if it still runs, and then it is killed."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None

    def expect_ended_by(self, number, what, code):
        with os.fdopen(self.report) as report:
            lines = report.readlines()
        with open(f"{FOLDER}/err", encoding="utf-8") as errors:
            text = errors.read()
        if code != 128 + number:
            sys.exit(f"FAILED: {what}: exit code {code}, expected {128 + number}; stderr: {text}")
        if len(lines) != 1 or json.loads(lines[0]) != {"exit_code": 128 + number, "reason": "signal"}:
            sys.exit(f"FAILED: {what}: the status lines are {lines}")
        if text:
            sys.exit(f"FAILED: {what}: stderr is {text!r}")


def check_any_moment(as_first, wanted):
    """Signals after 0 to 20 ms, until `wanted` have found main() begun."""
    begun = 0
    what = "as the first process of a namespace" if as_first else "as any process"
    for _ in range(10 * wanted):
        number = random.choice((signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPWR))
        monitor = Monitor("--vsock", f"cid=3,uds={SOCKET}", as_first=as_first)
        time.sleep(random.uniform(0, 0.02))
        is_begun = os.path.exists(SOCKET) or monitor.blocks(number)
        os.kill(monitor.pid, number)
        # Before main() the kernel does what it does: it kills, or for a first process ignores.
        code = monitor.wait(LIMIT_S if is_begun or not as_first else 0.3)
        if is_begun or code is not None and code > 0:
            begun += 1
            monitor.expect_ended_by(number, f"{what}, start {begun}", code)
        elif code != (None if as_first else -number):
            sys.exit(f"FAILED: {what}: exit code {code} before main()")
        else:
            os.close(monitor.report)
        if code is None and os.path.exists(SOCKET):
            os.unlink(SOCKET)  # it ran, and was killed
        if os.path.exists(SOCKET):
            sys.exit(f"FAILED: {what}: the socket is left behind (exit code {code})")
        if begun == wanted:
            return
    sys.exit(f"FAILED: {what}: only {begun} of {10 * wanted} had begun main()")


def wait_until(condition, what):
    end = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"FAILED: {what} within {LIMIT_S} s")
        time.sleep(0.002)


def has_open(monitor, path):
    folder = f"/proc/{monitor.pid}/fd"
    try:
        return path in [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
    except FileNotFoundError:
        return False


def is_pausing(monitor):
    """Whether a thread is in rt_sigtimedwait: in a pause of the set-up."""
    folder = f"/proc/{monitor.pid}/task"
    try:
        calls = [open(f"{folder}/{task}/syscall").read().split()[0] for task in os.listdir(folder)]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "128" in calls


def check_image_wait():
    disk = f"{FOLDER}/disk"
    with locked_image(disk):
        for as_first in FIRST_OR_NOT:
            monitor = Monitor("--disk", disk, "--vsock", f"cid=3,uds={SOCKET}", as_first=as_first)
            wait_until(lambda m=monitor: has_open(m, disk), "the image is not opened")
            os.kill(monitor.pid, signal.SIGTERM)
            monitor.expect_ended_by(signal.SIGTERM, "it waits for an image", monitor.wait())
            if os.path.exists(SOCKET):
                sys.exit("FAILED: it waits for an image: the socket is left behind")


def check_socket_wait():
    path = f"{FOLDER}/taken"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        monitor = Monitor("--vsock", f"cid=3,uds={path}")
        wait_until(lambda: is_pausing(monitor), "no wait for the socket")
        os.kill(monitor.pid, signal.SIGTERM)
        monitor.expect_ended_by(signal.SIGTERM, "it waits for a socket", monitor.wait())
    if not os.path.exists(path):
        sys.exit("FAILED: it waits for a socket: another's socket was removed")


def check_tap_wait():
    name = f"early{os.getpid()}"[:15]
    tun = None
    try:
        tun = open("/dev/net/tun", "r+b", buffering=0)
        # IFF_TAP, IFF_NO_PI; TUNSETIFF: it goes with this descriptor.
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))
    except OSError as error:
        print(f"no TAP here ({error}): its wait was not tried")
        return
    with tun:
        monitor = Monitor("--net", f"tap={name}")
        wait_until(lambda: has_open(monitor, "/dev/net/tun"), "the TAP is not opened")
        os.kill(monitor.pid, signal.SIGTERM)
        monitor.expect_ended_by(signal.SIGTERM, "it waits for a TAP", monitor.wait())


def check_pending():
    """A launcher that blocks the signal across exec loses none."""
    def pend():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.kill(os.getpid(), signal.SIGTERM)

    for as_first in FIRST_OR_NOT:
        monitor = Monitor(as_first=as_first, before_exec=pend)
        monitor.expect_ended_by(signal.SIGTERM, "pending before exec", monitor.wait())


def check_ignored():
    """What the launcher ignores stays ignored; SIGUSR1 means nothing, at any moment."""
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    monitor = Monitor("--vsock", f"cid=3,uds={SOCKET}", before_exec=ignore)
    os.kill(monitor.pid, signal.SIGHUP)
    wait_until(lambda: os.path.exists(SOCKET), "no socket")
    os.kill(monitor.pid, signal.SIGHUP)
    os.kill(monitor.pid, signal.SIGUSR1)
    time.sleep(0.1)
    os.kill(monitor.pid, signal.SIGINT)
    monitor.expect_ended_by(signal.SIGINT, "SIGHUP is ignored, SIGUSR1 too", monitor.wait())


def can_make_namespace():
    if subprocess.call(["unshare", "--pid", "--fork", "true"], stderr=subprocess.DEVNULL) == 0:
        return True
    print("no PID namespaces here: not tried")
    return False


FIRST_OR_NOT = (False, True) if can_make_namespace() else (False,)
check_image_wait()
check_socket_wait()
check_tap_wait()
check_pending()
check_ignored()
for first in FIRST_OR_NOT:
    check_any_moment(first, 60)
