# SPDX-License-Identifier: MIT
"""Runs the monitor on a pseudo-terminal; called by terminal.sh with the guests' folder."""

import ctypes
import os
import pty
import select
import signal
import sys
import termios
import time

ELF = sys.argv[1]
LIMIT_S = 15
LFLAG = 3
NR_TGKILL = 234


def cooked_flags():
    return termios.ICANON | termios.ECHO | termios.ISIG


class Monitor:
    """One run; its stdin, stdout and stderr are the terminal."""

    def __init__(self, *arguments):
        self.master, slave = pty.openpty()
        self.slave = slave
        mode = termios.tcgetattr(slave)
        mode[LFLAG] |= cooked_flags()
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        self.before = termios.tcgetattr(slave)
        self.output = b""
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            for fd in (0, 1, 2):
                os.dup2(slave, fd)
            os.execv("./vmm", ["./vmm", *arguments])

    def wait_output(self, text):
        end = time.monotonic() + LIMIT_S
        while text not in self.output:
            if not select.select([self.master], [], [], 0.1)[0]:
                if time.monotonic() > end:
                    self.fail(f"no {text!r} within {LIMIT_S} s")
                continue
            self.output += os.read(self.master, 4096)

    def type(self, keys):
        os.write(self.master, keys)

    def flags(self):
        return termios.tcgetattr(self.slave)[LFLAG]

    def expect_raw(self):
        if self.flags() & cooked_flags():
            self.fail(f"the terminal is not raw while the guest runs: lflag {self.flags():#o}")

    def expect_end(self, status, what):
        end = time.monotonic() + LIMIT_S
        while True:
            pid, wait_status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                self.fail(f"{what}: still running after {LIMIT_S} s")
            if select.select([self.master], [], [], 0.02)[0]:
                self.output += os.read(self.master, 4096)
        self.pid = 0
        code = os.waitstatus_to_exitcode(wait_status)
        if code != status:
            self.fail(f"{what}: exit status {code}, expected {status}")
        if termios.tcgetattr(self.slave) != self.before:
            self.fail(f"{what}: the terminal was not restored")
        os.close(self.master)
        os.close(self.slave)

    def fail(self, text):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
        sys.exit(f"FAILED: {text}\n--- output: {self.output!r}")


def end_guest(word):
    return Monitor("--kernel", f"{ELF}/end.elf", "--cmdline", word)


def keys_guest():
    monitor = Monitor("--kernel", f"{ELF}/keys.elf")
    monitor.wait_output(b"ready")
    monitor.expect_raw()
    return monitor


def check_ends():
    end_guest("reset").expect_end(0, "guest reset")
    end_guest("triple").expect_end(123, "triple fault")
    end_guest("internal").expect_end(125, "KVM internal error")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        monitor = end_guest("spin")
        monitor.wait_output(b"running")
        monitor.expect_raw()
        os.kill(monitor.pid, number)
        monitor.expect_end(128 + number, f"signal {number}")
    Monitor("--kernel", "/nonexistent").expect_end(121, "bad kernel")


def check_quit():
    monitor = end_guest("spin")
    monitor.wait_output(b"running")
    monitor.type(b"\x01x")
    monitor.expect_end(0, "Ctrl-a x with a guest that reads nothing")
    # The two keys may come one by one, and after others.
    monitor = keys_guest()
    monitor.type(b"abc\x01")
    time.sleep(0.2)
    monitor.type(b"x")
    monitor.expect_end(0, "Ctrl-a, a pause, x")


def check_keys():
    monitor = keys_guest()
    for keys, seen in (
        (b"\x03", b"<3>"),  # Ctrl-c
        (b"\x1a", b"<1a>"),  # Ctrl-z
        (b"\x1c", b"<1c>"),  # Ctrl-\
        (b"\x04", b"<4>"),  # Ctrl-d
        (b"\x13\x11", b"<13><11>"),  # Ctrl-s, Ctrl-q
        (b"\r", b"<d>"),
        (b"\x01\x01", b"<1>"),
        (b"\x01y", b"<1><79>"),
        (b"\xff\x00", b"<ff><0>"),
    ):
        monitor.output = b""
        monitor.type(keys)
        monitor.wait_output(seen)
        if monitor.output != seen:
            monitor.fail(f"typed {keys!r}, the guest saw {monitor.output!r}, expected {seen!r}")
    monitor.type(b"q")
    monitor.expect_end(0, "the guest's end")


def check_crash():
    """A crash of either thread gives the terminal back."""
    libc = ctypes.CDLL(None)
    for name in ("vmm", "vmm-events"):
        monitor = end_guest("spin")
        monitor.wait_output(b"running")
        monitor.expect_raw()
        for task in os.listdir(f"/proc/{monitor.pid}/task"):
            with open(f"/proc/{monitor.pid}/task/{task}/comm", encoding="ascii") as file:
                if file.read().strip() == name:
                    libc.syscall(NR_TGKILL, monitor.pid, int(task), signal.SIGSEGV)
                    break
        monitor.expect_end(-signal.SIGSEGV, f"a crash of {name}")


def check_hang_up():
    """The terminal goes away: SIGHUP ends the VM, unless the launcher ignores it."""
    for action, number in ((signal.SIG_DFL, signal.SIGHUP), (signal.SIG_IGN, signal.SIGTERM)):
        pid, master = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGHUP, action)
            os.execv("./vmm", ["./vmm", "--kernel", f"{ELF}/end.elf", "--cmdline", "spin"])
        output = b""
        while b"running" not in output:
            output += os.read(master, 4096)
        os.close(master)
        if action == signal.SIG_IGN:
            time.sleep(0.3)
            if os.waitpid(pid, os.WNOHANG)[0]:
                sys.exit("FAILED: an ignored hang-up has ended the VM")
            os.kill(pid, signal.SIGTERM)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code != 128 + number:
            sys.exit(f"FAILED: hang-up: exit status {code}, expected {128 + number}")


check_ends()
check_crash()
check_hang_up()
check_quit()
check_keys()
