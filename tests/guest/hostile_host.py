#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs guests/hostile.elf and looks at the monitor after each case.

    hostile_host.py DIRECTORY SUITE... [-- OPTION...]

DIRECTORY is for files. HOSTILE_TAP: a TAP interface of this network namespace; without one there are no cases of net.
HOSTILE_SLOW: a disk of 4 MiB that takes its time; without one there are no cases of slow-block.
HOSTILE_ONLY: the cases whose name begins with it. HOSTILE_CPUS. HOSTILE_EFFORT: how
often what is repeated is. MONITOR: ./vmm. OPTION... are the monitor's.
"""
import os
import socket
import sys
import time

import hostile_cases
from hostile_monitor import ECHO_PORT, Fault, Monitor, Peer, Pinger, echo_streams, flood, know_guest, udp_frame

MARK = b"\x02\xb0\xad\x1b"


class Host:
    def __init__(self, directory, suites, options):
        self.directory, self.suites = directory, suites
        self.tap, self.slow = os.environ.get("HOSTILE_TAP"), os.environ.get("HOSTILE_SLOW")
        self.only = os.environ.get("HOSTILE_ONLY", "")
        self.cpus = int(os.environ.get("HOSTILE_CPUS", "1"))
        self.uds = directory + "/v.sock"
        self.done, self.clock, self.slowest = [], [], 0
        self.kept = []
        self.peer = Peer()
        if self.tap:
            know_guest(self.tap)
        self.make_disks()
        self.errors = open(directory + "/err", "w")
        self.monitor = Monitor(self.command(options), self.errors, [self.peer.others.fileno()])
        self.monitor.pinger = Pinger(directory + "/control")
        self.peer.others.close()
        echo_streams(self.uds)

    def make_disks(self):
        for name in ("disk", "witness"):
            with open("%s/%s" % (self.directory, name), "wb") as file:
                file.write(MARK)
                file.truncate(4 << 20)

    def command(self, options):
        devices = ["disk", "witness"] + ["slow"] * bool(self.slow) + ["tap"] * bool(self.tap) + ["stream", "vsock"]
        words = ["%s=%d" % (name, window) for window, name in enumerate(devices)]
        words += ["cpus=%d" % self.cpus, "effort=" + os.environ.get("HOSTILE_EFFORT", "1")] + ["run-" + suite for suite in self.suites]
        if self.only:
            words.append("only=" + self.only)
        return (
            os.environ.get("MONITOR", "./vmm").split()
            + ["--kernel", "build/tests/guest/hostile.elf", "--mem", "64M", "--cpus", str(self.cpus)]
            + ["--disk", self.directory + "/disk", "--disk", self.directory + "/witness"]
            + (["--disk", self.slow] if self.slow else [])
            + (["--net", "tap=" + self.tap] if self.tap else [])
            + ["--net", "fd=%d" % self.peer.others.fileno(), "--vsock", "cid=3,uds=" + self.uds]
            + ["--control", self.directory + "/control"]
            + ["--no-default-cmdline", "--cmdline", " ".join(words)]
            + options
        )

    def case(self, words):
        name, result = words[0], " ".join(words[1:])
        if words[1] != "ok":
            raise Fault("hostile/%s: %s" % (name, result))
        try:
            self.monitor.check()
        except Fault as fault:
            raise Fault("hostile/%s: %s" % (name, fault))
        self.slowest = max(self.slowest, int(words[2], 16))
        self.clock.append((time.monotonic(), int(words[3], 16)))
        self.done.append(name)
        print("case hostile/%s ok" % name, flush=True)

    def do(self, words):
        """What the guest asks for."""
        word = words[0]
        if word == "case":
            self.case(words[1:])
        elif word == "frame":
            udp_frame()
        elif word == "stream-frame":
            self.peer.send(b"\xff" * 12 + b"\x88\xb5" + bytes(100))
        elif word == "flood":
            flood()
        elif word == "stream-flood":
            for n in range(300):
                self.peer.try_to_send(b"\xff" * 12 + b"\x88\xb5" + bytes(n * 5))
        elif word == "type":
            self.monitor.type(b"x" * 1500)
        elif word == "connect":
            s = socket.socket(socket.AF_UNIX)
            s.connect(self.uds)
            s.sendall(b"CONNECT 5000\n")
            self.kept = self.kept[-3:] + [s]
        elif word not in ("ready", "end"):
            raise Fault("the guest asks for '%s'" % word)

    def expected(self):
        found = [name for suite in self.suites for name in hostile_cases.names(suite)]
        if not self.tap:
            found = [name for name in found if not name.startswith("net-")]
        if not self.slow:
            found = [name for name in found if not name.startswith("slow-")]
        return sorted(name for name in found if name.startswith(self.only))

    def run(self):
        while True:
            line = self.monitor.line()
            if line is None:
                raise Fault("the VM has ended with %d after %s" % (self.monitor.end(), self.done[-1:] or "nothing"))
            if not line.startswith("@"):
                if line:
                    print("guest:", line)
                continue
            self.do(line[1:].split(" "))
            self.monitor.answer(True)
            if line == "@end":
                break
        status = self.monitor.end()
        if status != 0:
            raise Fault("exit status %d" % status)
        if sorted(self.done) != self.expected():
            raise Fault("these cases are not those of the tables: %s" % sorted(set(self.done) ^ set(self.expected())))
        self.tell()

    def tell(self):
        (start_s, start), (end_s, end) = self.clock[0], self.clock[-1]
        hz = (end - start) / (end_s - start_s) if end > start else 2e9
        print(
            "%d cases; at most: %.1f ms for an answer of another device, %.0f ms of the event loop during the attacks, idle"
            " after %.0f ms; %d KiB at the first case, %d at the last"
            % (len(self.done), self.slowest / hz * 1000, self.monitor.pinger.slowest_s * 1000,
               self.monitor.slowest_idle_s * 1000,
               self.monitor.base_kib, self.monitor.kib)
        )


def main(words):
    options = []
    if "--" in words:
        at = words.index("--")
        words, options = words[:at], words[at + 1 :]
    host = Host(words[0], words[1:], options)
    try:
        host.run()
    except Fault as fault:
        host.monitor.process.kill()
        with open(host.directory + "/err") as file:
            print(file.read(), end="")
        sys.exit("FAILED: %s" % fault)
    with open(host.directory + "/err") as file:
        text = file.read()
        if text:
            sys.exit("FAILED: the monitor says: " + text)


main(sys.argv[1:])
