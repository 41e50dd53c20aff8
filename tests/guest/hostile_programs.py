# SPDX-License-Identifier: MIT
"""Host programs at the vsock: slow, out of band, half-closed, many, gone."""
import array
import os
import signal
import socket
import struct
import time

from hostile_monitor import Fault
from hostile_registry import case, ignore_errors, pass_descriptors

ECHO = 5000  # a port of guests/vsock_io.c
MANY = 2048  # connections that the device has


def read_line(s):
    line = b""
    while not line.endswith(b"\n"):
        byte = s.recv(1)
        if not byte:
            break
        line += byte
    return line


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


def listener_of(peers, kind):
    s, path = at(peers, kind)
    if guest_connects(peers, 20) != (0, 20):
        raise Fault("a socket of another type is taken")
    s.close()
    os.unlink(path)


@case("vsock", "listener-of-packets", 1)
def _(peers):
    listener_of(peers, socket.SOCK_SEQPACKET)


@case("vsock", "listener-of-datagrams", 1)
def _(peers):
    listener_of(peers, socket.SOCK_DGRAM)


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
