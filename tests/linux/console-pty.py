# SPDX-License-Identifier: MIT
"""Drives the monitor through a pseudo-terminal, as a person would: console-pty.py VMM OPTION...

Prompt, command, Ctrl-c, Ctrl-a x, and a second VM that is ended by SIGTERM: the terminal's settings
are the old ones after both.
"""
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

LIMIT_SECONDS = 60
END_SECONDS = float(os.environ["END_SECONDS"])


class Guest:
    """A monitor on a pseudo-terminal; output is all that it has printed so far."""

    def __init__(self, command):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True)
        self.output = b""

    def type(self, text):
        os.write(self.master, text)

    def wait_for(self, text, since=0):
        """Waits until text is in the output behind position since; returns the position behind it."""
        end = time.monotonic() + LIMIT_SECONDS
        while self.output.find(text, since) < 0:
            if time.monotonic() > end:
                self.fail(f"no {text!r} within {LIMIT_SECONDS} s")
            if self.process.poll() is not None:
                self.fail(f"ended with {self.process.returncode} before {text!r}")
            if select.select([self.master], [], [], 0.2)[0]:
                self.output += os.read(self.master, 65536)
        return self.output.find(text, since) + len(text)

    def terminal_mode(self):
        if self.process.poll() is not None:
            self.fail(f"ended early with {self.process.returncode}")
        return termios.tcgetattr(self.slave)

    def expect_end(self, status, limit_seconds):
        start = time.monotonic()
        try:
            code = self.process.wait(timeout=limit_seconds)
        except subprocess.TimeoutExpired:
            self.fail(f"still there after {limit_seconds} s")
        if code != status:
            self.fail(f"exit status {code}, expected {status}")
        if termios.tcgetattr(self.slave) != self.before:
            self.fail("the terminal is not as it was before")
        return time.monotonic() - start

    def fail(self, message):
        self.process.kill()
        tail = self.output[-800:].decode(errors="replace")
        sys.exit(f"FAIL: {message}; the console's end:\n{tail}")


def use_shell(command):
    guest = Guest(command)
    at = guest.wait_for(b"# ")
    if not termios.tcgetattr(guest.slave)[3] & termios.ICANON == 0:
        guest.fail("the terminal is not raw while the guest runs")
    guest.type(b"echo $((6 * 7))-answer\r")
    at = guest.wait_for(b"\n42-answer", at)
    at = guest.wait_for(b"# ", at)
    guest.type(b"sleep 100; echo after-$?\r")
    at = guest.wait_for(b"after-$?", at)
    time.sleep(0.5)
    guest.type(b"\x03")
    at = guest.wait_for(b"# ", at)
    guest.type(b"echo still-$((1 + 1))\r")
    at = guest.wait_for(b"\nstill-2", at)
    # Ctrl-a Ctrl-a is one Ctrl-a for the guest: od shows it.
    guest.type(b"stty -icanon; head -c 2 | od -An -t x1\r")
    at = guest.wait_for(b"x1", at)
    time.sleep(1)
    guest.type(b"\x01\x01z")
    at = guest.wait_for(b"01 7a", at)
    guest.wait_for(b"# ", at)
    guest.type(b"\x01x")
    return guest.expect_end(0, END_SECONDS)


def end_by_signal(command):
    guest = Guest(command)
    while guest.terminal_mode() == guest.before:
        time.sleep(0.05)
    guest.process.send_signal(signal.SIGTERM)
    return guest.expect_end(128 + signal.SIGTERM, END_SECONDS)


escape_seconds = use_shell(sys.argv[1:])
signal_seconds = end_by_signal(sys.argv[1:])
print(f"Ctrl-a x ends after {escape_seconds * 1000:.0f} ms, SIGTERM after {signal_seconds * 1000:.0f} ms")
