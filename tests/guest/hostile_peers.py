#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hostile host programs and traffic, at a monitor whose guest means well.

    hostile_peers.py DIRECTORY vsock    guests/vsock_io.c: each case is a function below
    hostile_peers.py DIRECTORY net      guests/net_io.c, on the TAP that HOSTILE_TAP names
    hostile_peers.py DIRECTORY stream   the guest of hostile/, which serves: a VM for each case, whose link may be lost

DIRECTORY is for files. HOSTILE_ONLY, MONITOR: as with hostile_host.py.
"""
import array
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time

from hostile_monitor import GUEST_IP, Fault, Monitor

ECHO, COMMANDS = 5000, 5003
WAIT_S = 60  # on a busy machine
MANY = 2048  # connections that the device has
CASES = []


def case(target, attack, number):
    """Of this class. The function gets the Peers object."""

    def add(function):
        CASES.append((target, attack, function))
        return function

    return add


def read_line(s):
    line = b""
    while not line.endswith(b"\n"):
        byte = s.recv(1)
        if not byte:
            break
        line += byte
    return line


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


def ignore_errors(function, *arguments):
    try:
        return function(*arguments)
    except OSError:
        return None


def crowd(peers, count, line=b"CONNECT %d\n" % ECHO):
    """So many at once; those beyond the device's places are refused or wait. They leave together."""
    crowd_of = []
    for _ in range(count):
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        # The queue of those that wait to be accepted may be full.
        for _ in range(2000):
            try:
                s.connect(peers.path)
                break
            except BlockingIOError:
                time.sleep(0.002)
        ignore_errors(s.sendall, line)
        crowd_of.append(s)
    for s in crowd_of:
        s.close()


# Host programs at the vsock.


@case("vsock", "host-2048-at-once", 28)
def _(peers):
    crowd(peers, MANY)


@case("vsock", "host-2100-at-once-without-a-line", 28)
def _(peers):
    crowd(peers, MANY + 52, b"")


@case("vsock", "host-500-half-lines", 28)
def _(peers):
    crowd(peers, 500, b"CONNECT 50")


@case("vsock", "host-departs-at-once", 17)
def _(peers):
    for _ in range(500):
        s = socket.socket(socket.AF_UNIX)
        s.connect(peers.path)
        s.close()


@case("vsock", "host-departs-behind-its-line", 17)
def _(peers):
    for _ in range(500):
        peers.open(line=b"CONNECT %d\n" % ECHO).close()


@case("vsock", "host-departs-with-bytes-unread", 17)
def _(peers):
    for _ in range(50):
        s = peers.open()
        s.sendall(b"x" * 50000)
        s.close()


@case("vsock", "host-does-not-read", 21)
def _(peers):
    s = peers.open()
    s.setblocking(False)
    for _ in range(100):
        ignore_errors(s.send, b"x" * 65536)
    peers.alive()
    s.close()


@case("vsock", "host-20-do-not-read", 21)
def _(peers):
    streams = [peers.open() for _ in range(20)]
    for s in streams:
        s.setblocking(False)
        for _ in range(20):
            ignore_errors(s.send, b"x" * 65536)
    peers.alive()
    for s in streams:
        s.close()


@case("vsock", "host-writes-byte-by-byte", 10)
def _(peers):
    s = peers.open()
    for _ in range(500):
        s.sendall(b"b")
    got = b""
    while len(got) < 500:
        got += s.recv(500)
    s.close()


@case("vsock", "host-line-byte-by-byte", 10)
def _(peers):
    for _ in range(10):
        s = peers.open(line=b"")
        for byte in b"CONNECT 5000\n":
            s.sendall(bytes([byte]))
        if not read_line(s).startswith(b"OK "):
            raise Fault("a line in pieces is refused")
        s.close()


@case("vsock", "host-line-without-end", 8)
def _(peers):
    for _ in range(20):
        s = peers.open(line=b"")
        s.settimeout(1)
        ignore_errors(s.sendall, b"C" * 200000)
        s.close()


@case("vsock", "host-lines-of-nonsense", 20)
def _(peers):
    for line in (b"\0\n", b"\xff" * 40 + b"\n", b"CONNECT 99999999999999999999\n", b"CONNECT -5000\n",
                 b"CONNECT 0x1388\n", b"CONNECT  5000\n", b"CONNECT 5000\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\n"):
        for _ in range(5):
            s = peers.open(line=line)
            ignore_errors(s.recv, 1)
            s.close()


@case("vsock", "host-out-of-band-before-its-line", 27)
def _(peers):
    s = socket.socket(socket.AF_UNIX)
    s.connect(peers.path)
    ignore_errors(s.send, b"!", socket.MSG_OOB)
    peers.monitor.check_idle()
    s.close()


@case("vsock", "host-out-of-band-in-its-line", 27)
def _(peers):
    s = peers.open(line=b"CONN")
    ignore_errors(s.send, b"!", socket.MSG_OOB)
    peers.monitor.check_idle()
    s.close()


@case("vsock", "host-out-of-band-in-its-data", 27)
def _(peers):
    s = peers.open()
    for _ in range(20):
        s.sendall(b"data")
        ignore_errors(s.send, b"!", socket.MSG_OOB)
    peers.alive()
    peers.monitor.check_idle()
    s.close()


@case("vsock", "host-out-of-band-alone", 27)
def _(peers):
    streams = [peers.open() for _ in range(10)]
    for s in streams:
        ignore_errors(s.send, b"!", socket.MSG_OOB)
    peers.monitor.check_idle()
    for s in streams:
        s.close()


@case("vsock", "host-half-closed", 27)
def _(peers):
    streams = []
    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        for _ in range(10):
            s = peers.open()
            s.sendall(b"x" * 1000)
            s.shutdown(how)
            streams.append(s)
    peers.alive()
    peers.monitor.check_idle()
    for s in streams:
        s.close()


@case("vsock", "host-half-closed-before-its-line", 27)
def _(peers):
    streams = []
    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        for line in (b"", b"CONN", b"CONNECT 5000\n"):
            s = peers.open(line=line)
            s.shutdown(how)
            streams.append(s)
    peers.alive()
    peers.monitor.check_idle()
    for s in streams:
        s.close()


def pass_descriptors(s, count, data=b"x"):
    fds = array.array("i", [0] * count)
    return ignore_errors(s.sendmsg, [data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])


@case("vsock", "host-passes-descriptors-before-its-line", 28)
def _(peers):
    for _ in range(20):
        s = peers.open(line=b"")
        pass_descriptors(s, 100, b"CONNECT 5000\n")
        s.close()


@case("vsock", "host-passes-descriptors-in-its-data", 28)
def _(peers):
    for _ in range(20):
        s = peers.open()
        for _ in range(5):
            pass_descriptors(s, 250)
        s.close()


@case("vsock", "host-passes-itself", 28)
def _(peers):
    for _ in range(20):
        s = peers.open()
        fds = array.array("i", [s.fileno()])
        ignore_errors(s.sendmsg, [b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        s.close()


@case("vsock", "host-sends-credentials", 27)
def _(peers):
    s = peers.open()
    me = struct.pack("3i", os.getpid(), os.getuid(), os.getgid())
    for _ in range(20):
        ignore_errors(s.sendmsg, [b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, me)])
    s.close()


@case("vsock", "host-dies", 17)
def _(peers):
    child = os.fork()
    if child == 0:
        for _ in range(30):
            s = peers.open()
            s.setblocking(False)
            ignore_errors(s.send, b"x" * 100000)
            s.detach()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


@case("vsock", "host-ports-without-a-listener", 15)
def _(peers):
    for port in range(1, 200):
        s = peers.open(line=b"CONNECT %d\n" % port)
        ignore_errors(s.recv, 1)
        s.close()


@case("vsock", "host-port-storm", 30)
def _(peers):
    for i in range(300):
        s = peers.open(line=b"CONNECT %d\n" % (i * 2048 + 7 & 0xFFFFFFFF))
        ignore_errors(s.recv, 1)
        s.close()


def at(peers, kind=socket.SOCK_STREAM, port=6001, backlog=16):
    path = "%s_%d" % (peers.path, port)
    ignore_errors(os.unlink, path)
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(path)
    if kind != socket.SOCK_DGRAM:
        s.listen(backlog)
    return s, path


def guest_connects(peers, count, port=6001):
    """What becomes of so many connections of the guest."""
    answer = peers.command(b"connect %d %d\n" % (port, count))
    if not answer.startswith(b"opened"):
        raise Fault("the guest does not say what became of its connections")
    words = answer.split()
    return int(words[1]), int(words[3])


@case("vsock", "listener-that-does-not-accept", 28)
def _(peers):
    s, path = at(peers, backlog=100)
    guest_connects(peers, 50)
    peers.alive()
    s.close()
    os.unlink(path)


@case("vsock", "listener-that-closes-at-once", 17)
def _(peers):
    s, path = at(peers, backlog=200)
    guest_connects(peers, 100)
    for _ in range(100):
        s.accept()[0].close()
    s.close()
    os.unlink(path)


@case("vsock", "listener-that-leaves", 17)
def _(peers):
    s, path = at(peers, backlog=200)
    guest_connects(peers, 100)
    s.close()
    if guest_connects(peers, 20) != (0, 20):
        raise Fault("somebody listens where nobody does")
    os.unlink(path)


@case("vsock", "listener-of-packets", 1)
def _(peers):
    s, path = at(peers, socket.SOCK_SEQPACKET)
    if guest_connects(peers, 20) != (0, 20):
        raise Fault("a socket of another type is taken")
    s.close()
    os.unlink(path)


@case("vsock", "listener-of-datagrams", 1)
def _(peers):
    s, path = at(peers, socket.SOCK_DGRAM)
    if guest_connects(peers, 20) != (0, 20):
        raise Fault("a socket of another type is taken")
    s.close()
    os.unlink(path)


@case("vsock", "listener-is-a-file", 1)
def _(peers):
    path = peers.path + "_6001"
    with open(path, "w"):
        pass
    if guest_connects(peers, 20) != (0, 20):
        raise Fault("a file is taken for a socket")
    os.unlink(path)


@case("vsock", "listener-is-a-directory", 1)
def _(peers):
    path = peers.path + "_6001"
    os.mkdir(path)
    if guest_connects(peers, 20) != (0, 20):
        raise Fault("a directory is taken for a socket")
    os.rmdir(path)


@case("vsock", "listener-is-a-loop-of-links", 1)
def _(peers):
    path = peers.path + "_6001"
    os.symlink(path, path)
    if guest_connects(peers, 20) != (0, 20):
        raise Fault("a loop is taken for a socket")
    os.unlink(path)


@case("vsock", "listener-is-a-fifo", 1)
def _(peers):
    path = peers.path + "_6001"
    os.mkfifo(path)
    if guest_connects(peers, 20) != (0, 20):
        raise Fault("a FIFO is taken for a socket")
    os.unlink(path)


# The other end of a NIC's stream: each frame is behind its length.


def frame_of(length, data=None):
    return struct.pack("!I", length) + (bytes(length) if data is None else data)


@case("stream", "length-of-0", 5)
def _(peers):
    peers.peer.sendall(frame_of(0) * 100)


@case("stream", "length-of-13", 20)
def _(peers):
    peers.peer.sendall(frame_of(13) * 10)


@case("stream", "length-of-4g", 8)
def _(peers):
    ignore_errors(peers.peer.sendall, frame_of(0xFFFFFFFF, b"x" * 100000))


@case("stream", "length-with-a-sign", 14)
def _(peers):
    ignore_errors(peers.peer.sendall, frame_of(0x80000000, b"x" * 100000))


@case("stream", "length-of-the-buffer", 8)
def _(peers):
    for length in (65536, 131068, 131072, 131073):
        ignore_errors(peers.peer.sendall, frame_of(length))


@case("stream", "lengths-at-random", 5)
def _(peers):
    ignore_errors(peers.peer.sendall, os.urandom(300000))


@case("stream", "frames-of-every-length", 5)
def _(peers):
    for length in range(14, 1515, 3):
        peers.peer.sendall(frame_of(length))


@case("stream", "byte-by-byte", 10)
def _(peers):
    for byte in frame_of(60) * 5:
        peers.peer.sendall(bytes([byte]))


@case("stream", "half-a-length", 9)
def _(peers):
    peers.peer.sendall(b"\0\0")


@case("stream", "half-a-frame", 9)
def _(peers):
    peers.peer.sendall(frame_of(1000, bytes(500)))


@case("stream", "ends-in-a-length", 17)
def _(peers):
    peers.peer.sendall(b"\0\0")
    peers.peer.close()


@case("stream", "ends-in-a-frame", 17)
def _(peers):
    peers.peer.sendall(frame_of(1000, bytes(500)))
    peers.peer.close()


@case("stream", "closes-its-writing-half", 27)
def _(peers):
    peers.peer.shutdown(socket.SHUT_WR)


@case("stream", "closes-its-reading-half", 27)
def _(peers):
    peers.peer.shutdown(socket.SHUT_RD)


@case("stream", "out-of-band", 27)
def _(peers):
    for _ in range(10):
        ignore_errors(peers.peer.send, b"!", socket.MSG_OOB)
        ignore_errors(peers.peer.sendall, frame_of(60))


@case("stream", "out-of-band-alone", 27)
def _(peers):
    ignore_errors(peers.peer.send, b"!", socket.MSG_OOB)


@case("stream", "passes-descriptors", 28)
def _(peers):
    for _ in range(10):
        pass_descriptors(peers.peer, 250, frame_of(60))


@case("stream", "flood", 6)
def _(peers):
    for _ in range(5000):
        peers.peer.sendall(frame_of(1514))


@case("stream", "does-not-read", 21)
def _(peers):
    for _ in range(50):
        peers.monitor.answer(True)
        peers.expect_served()


# Traffic to a TAP.


def packet_socket(peers, vnet=False):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.bind((peers.tap, 0))
    s.setblocking(False)
    if vnet:
        s.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
    return s


def send_all(peers, frames, vnet=False):
    s = packet_socket(peers, vnet)
    for frame in frames:
        ignore_errors(s.send, frame)
    s.close()


HEADER = b"\x02\0\0\0\0\2" + b"\x02\0\0\0\0\1"


@case("net", "frames-of-every-length", 5)
def _(peers):
    send_all(peers, [HEADER + b"\x88\xb5" + bytes(n) for n in range(0, 1501, 3)])


@case("net", "runts", 20)
def _(peers):
    send_all(peers, [(HEADER + b"\x08\x00")[:n] for n in range(15)] * 10)


@case("net", "every-ethertype", 1)
def _(peers):
    send_all(peers, [HEADER + struct.pack("!H", n) + bytes(50) for n in range(0, 65536, 97)])


@case("net", "vlan-tags", 5)
def _(peers):
    tag = b"\x81\x00\x00\x05"
    send_all(peers, [HEADER + tag * n + b"\x88\xb5" + bytes(1500 - 4 * n) for n in range(1, 40)])


@case("net", "random-frames", 5)
def _(peers):
    send_all(peers, [os.urandom(14 + n % 1490) for n in range(500)])


@case("net", "broken-ip", 20)
def _(peers):
    send_all(peers, [HEADER + b"\x08\x00" + bytes([0x40 | n % 16]) + os.urandom(n % 100) for n in range(300)])


@case("net", "broken-arp", 20)
def _(peers):
    send_all(peers, [b"\xff" * 6 + HEADER[6:] + b"\x08\x06" + os.urandom(n) for n in range(100)])


@case("net", "offloads-that-the-guest-lacks", 18)
def _(peers):
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 3020, 0, 0, 64, 6, 0, b"\x0a\x4d\0\1", b"\x0a\x4d\0\2")
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 0, 0, 0x50, 0x10, 100, 0, 0)
    frames = []
    for gso in (0, 1, 3, 4, 5, 0x81, 0x7F, 0xFF):
        for flags in (0, 1, 2, 3):
            vnet = struct.pack("<BBHHHH", flags, gso, 54, 1000, 34, 16)
            frames.append(vnet + HEADER + b"\x08\x00" + ip + tcp + bytes(2980))
    send_all(peers, frames * 5, True)


@case("net", "broadcast-flood", 6)
def _(peers):
    send_all(peers, [b"\xff" * 6 + HEADER[6:] + b"\x88\xb5" + bytes(1000)] * 5000)


@case("net", "flood-of-pings", 6)
def _(peers):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    for n in range(5000):
        ignore_errors(s.sendto, bytes(n % 1400), (GUEST_IP, 7))
    s.close()


def link(peers, *words):
    subprocess.run(["ip", "link", "set", peers.tap, *words], check=True)


def renew_neighbour(peers):
    subprocess.run(["ip", "addr", "replace", "10.77.0.1/24", "dev", peers.tap], check=False)


@case("net", "interface-down-and-up", 26)
def _(peers):
    for _ in range(20):
        link(peers, "down")
        link(peers, "up")
    renew_neighbour(peers)


@case("net", "mtu-changes", 18)
def _(peers):
    for mtu in (68, 1280, 9000, 65521, 1500):
        link(peers, "mtu", str(mtu))
        send_all(peers, [HEADER + b"\x88\xb5" + bytes(min(mtu, 60000))] * 20)
    renew_neighbour(peers)


@case("net", "queue-of-one", 6)
def _(peers):
    link(peers, "txqueuelen", "1")
    send_all(peers, [HEADER + b"\x88\xb5" + bytes(100)] * 500)
    link(peers, "txqueuelen", "1000")


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
