#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hostile host programs and traffic, at a monitor whose guest means well.

    hostile_peers.py DIRECTORY vsock    guests/vsock_io.c, with the programs of hostile_programs.py
    hostile_peers.py DIRECTORY net      guests/net_io.c, on the TAP that HOSTILE_TAP names
    hostile_peers.py DIRECTORY stream   the guest of hostile/, which serves: a VM for each case, whose link may be lost

DIRECTORY is for files. HOSTILE_ONLY, MONITOR: as with hostile_host.py.
"""
import os
import resource
import signal
import socket
import sys
import time

import hostile_traffic  # has cases, as hostile_programs
from hostile_monitor import GUEST_IP, Fault, Monitor
from hostile_programs import ECHO, crowd, read_line
from hostile_registry import CASES

COMMANDS = 5003
WAIT_S = 60  # on a busy machine


class Peers:
    def __init__(self, directory, target):
        self.directory, self.target = directory, target
        self.path = directory + "/v.sock"
        self.tap = os.environ.get("HOSTILE_TAP")
        self.errors = open(directory + "/err", "w")
        if target == "stream":
            return
        if target == "vsock":
            devices = ["--kernel", "build/tests/guest/vsock_io.elf", "--vsock", "cid=42,uds=" + self.path]
        else:
            devices = ["--kernel", "build/tests/guest/net_io.elf", "--net", "tap=" + self.tap]
        self.monitor = Monitor(os.environ.get("MONITOR", "./vmm").split() + devices, self.errors)
        while (line := self.monitor.line()) != "ready":
            if line is None:
                raise Fault("the guest does not start")
        self.warm_up()

    def warm_up(self):
        self.alive()
        if self.target == "vsock":
            crowd(self, 1200)
        self.monitor.check()

    # A guest that answers, and what a host program may do.

    def open(self, port=ECHO, line=None):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(WAIT_S)
        s.connect(self.path)
        if line is None:
            s.sendall(b"CONNECT %d\n" % port)
            if not read_line(s).startswith(b"OK "):
                raise Fault("port %d is refused" % port)
        else:
            s.sendall(line)
        return s

    def command(self, text):
        s = self.open(COMMANDS)
        s.sendall(text)
        answer = read_line(s)
        s.close()
        return answer

    def alive(self):
        if self.target == "vsock":
            s = self.open()
            s.sendall(b"alive" * 100)
            got = b""
            while len(got) < 500:
                piece = s.recv(1000)
                if not piece:
                    raise Fault("the echo ends")
                got += piece
            s.close()
        else:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.settimeout(2)
            s.connect((GUEST_IP, 7))
            # A datagram may be lost behind a flood.
            end = time.monotonic() + WAIT_S
            while time.monotonic() < end:
                try:
                    s.send(b"alive")
                    if s.recv(100) == b"alive":
                        return
                except OSError:
                    time.sleep(0.05)
            raise Fault("the guest does not answer")

    # The other end of a stream, in a VM of its own.

    def start_stream(self):
        for name in ("disk", "witness"):
            with open("%s/%s" % (self.directory, name), "wb") as file:
                file.truncate(1 << 20)
        self.peer, theirs = socket.socketpair()
        self.peer.settimeout(WAIT_S)
        self.monitor = Monitor(
            os.environ.get("MONITOR", "./vmm").split()
            + ["--kernel", "build/tests/guest/hostile.elf", "--mem", "64M", "--net", "fd=%d" % theirs.fileno()]
            + ["--disk", self.directory + "/disk", "--disk", self.directory + "/witness"]
            + ["--no-default-cmdline", "--cmdline", "disk=0 witness=1 stream=2 run-serve"],
            self.errors, [theirs.fileno()],
        )
        theirs.close()
        while self.monitor.line() != "@ready":
            pass
        self.monitor.answer(True)
        self.expect_served()
        self.monitor.check()

    def expect_served(self):
        while (line := self.monitor.line()) != "@served":
            if line:
                raise Fault("the guest says %s" % line)

    def run_stream(self):
        done = 0
        for target, attack, function in CASES:
            name = "stream-%s" % attack
            if target != "stream" or not name.startswith(os.environ.get("HOSTILE_ONLY", "")):
                continue
            try:
                self.start_stream()
                function(self)
                self.monitor.check()
                self.monitor.answer(True)
                self.expect_served()
                self.peer.close()
                self.monitor.check()
            except (Fault, OSError) as fault:
                raise Fault("hostile/%s: %s" % (name, fault)) from fault
            self.monitor.process.send_signal(signal.SIGTERM)
            if self.monitor.end() not in (143, -signal.SIGTERM):
                raise Fault("hostile/%s: the monitor does not end as it should" % name)
            done += 1
            print("case hostile/%s ok" % name, flush=True)
        print("%d cases" % done)

    def run(self):
        if self.target == "stream":
            self.run_stream()
            return
        done = 0
        for target, attack, function in CASES:
            name = "%s-%s" % (target, attack)
            if target != self.target or not name.startswith(os.environ.get("HOSTILE_ONLY", "")):
                continue
            try:
                start = time.monotonic()
                function(self)
                self.alive()
                self.monitor.check()
            except (Fault, OSError) as fault:
                raise Fault("hostile/%s: %s" % (name, fault)) from fault
            done += 1
            print("case hostile/%s ok (%.1f s)" % (name, time.monotonic() - start), flush=True)
        self.monitor.process.send_signal(signal.SIGTERM)
        status = self.monitor.end()
        if status != 143 and status != -signal.SIGTERM:
            raise Fault("exit status %d" % status)
        print(
            "%d cases; the event loop was idle after %.0f ms at most; %d KiB at the first case, %d at the last"
            % (done, self.monitor.slowest_idle_s * 1000, self.monitor.base_kib, self.monitor.kib)
        )


def main(directory, target):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    peers = Peers(directory, target)
    try:
        peers.run()
    except Fault as fault:
        peers.monitor.process.kill()
        sys.exit("FAILED: %s" % fault)
    # Of a stream's end the monitor has to say something.
    with open(directory + "/err") as file:
        text = "" if target == "stream" else file.read()
    if text:
        sys.exit("FAILED: the monitor says: " + text)


if __name__ == "__main__":
    main(*sys.argv[1:])
