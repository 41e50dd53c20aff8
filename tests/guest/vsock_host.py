#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The host's side of the tests of vsock: talks to guests/vsock_io.c through the Unix socket PATH.

    vsock_host.py NAME PATH               one of the functions test_NAME below
    vsock_host.py with-listener FD PATH -- COMMAND...
                                          COMMAND with a listening socket at PATH as descriptor FD
    vsock_host.py with-non-blocking-listener FD PATH -- COMMAND...
                                          the same, O_NONBLOCK
    vsock_host.py with-launcher FD LOG -- COMMAND...
                                          COMMAND with a socket of packets as descriptor FD, and beside it a launcher
                                          that takes the guest's connections from the other end; it tells LOG
"""
import hashlib
import os
import socket
import struct
import sys
import threading
import time

WAIT_S = 20
ECHO, SLOW, HALF, COMMANDS, NOBODY = 5000, 5001, 5002, 5003, 4999
HALF_BYTES = 1 << 20
PIECE = 65536


def fail(text):
    print("vsock_host:", text)
    sys.exit(1)


def read_line(s):
    line = b""
    while not line.endswith(b"\n"):
        byte = s.recv(1)
        if not byte:
            return line
        line += byte
    return line


def connect(path, port, line=None):
    """A connection to the guest's port, or None if it is refused."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(WAIT_S)
    s.connect(path)
    s.sendall(line if line is not None else b"CONNECT %d\n" % port)
    try:
        ok = read_line(s)
    except ConnectionResetError:
        return None
    if ok == b"":
        return None
    if not ok.startswith(b"OK ") or not ok[3:-1].isdigit():
        fail("the answer is %r" % ok)
    return s


def must_connect(path, port):
    s = connect(path, port)
    if s is None:
        fail("port %d is refused" % port)
    return s


def read_all(s):
    got = b""
    while piece := s.recv(PIECE):
        got += piece
    return got


def command(path, text):
    s = must_connect(path, COMMANDS)
    s.sendall(text.encode())
    answer = read_line(s).decode().strip()
    s.close()
    return answer


def pattern(length, seed):
    return hashlib.shake_128(b"%d" % seed).digest(length)


def echo(s, length, seed):
    """Sends and receives so many bytes at once, then ends its half and reads the end."""
    sent, got = hashlib.sha256(), hashlib.sha256()

    def send():
        for i in range(0, length, PIECE):
            data = pattern(min(PIECE, length - i), seed + i)
            sent.update(data)
            s.sendall(data)
        s.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    n = 0
    while data := s.recv(PIECE):
        got.update(data)
        n += len(data)
    thread.join()
    if n != length or sent.digest() != got.digest():
        fail("%d bytes were echoed of %d, or other ones" % (n, length))


def test_echo(path):
    for length in (0, 1, 43, 4096, 4097, 100000, 8 << 20):
        echo(must_connect(path, ECHO), length, length)
    # A stream's first bytes may come with the CONNECT line.
    s = connect(path, 0, b"CONNECT %d\nwith the line" % ECHO)
    s.shutdown(socket.SHUT_WR)
    if read_all(s) != b"with the line":
        fail("bytes behind the CONNECT line are lost")
    print("echo of 8 MiB: the hashes are equal")


def test_dialect(path):
    for line in (b"CONNECT\n", b"CONNECT x\n", b"HELLO 5000\n", b"CONNECT 4294967296\n", b"\n",
                 b"CONNECT -1\n", b"CONNECT 5000 \n", b"C" * 100, b"connect 5000\n"):
        if connect(path, 0, line) is not None:
            fail("%r is accepted" % line)
    if connect(path, NOBODY) is not None or connect(path, 0) is not None:
        fail("a port on which nobody listens is accepted")
    # A line that comes byte by byte, and a program that leaves before its line is whole.
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(WAIT_S)
    s.connect(path)
    for byte in b"CONNECT 5000\n":
        s.send(bytes([byte]))
        time.sleep(0.005)
    if not read_line(s).startswith(b"OK "):
        fail("a slow CONNECT line is refused")
    for cut in (0, 3, 10):
        early = socket.socket(socket.AF_UNIX)
        early.connect(path)
        early.sendall(b"CONNECT 5000\n"[:cut])
        early.close()
    echo(s, 1000, 1)
    print("dialect ok")


def test_half_close(path):
    """The guest ends its half first, and reads on; then the other way round (that is what echo does)."""
    s = must_connect(path, HALF)
    got = read_all(s)
    if got != bytes((n * n >> 8) & 0xFF for n in range(HALF_BYTES)):
        fail("the guest's half is wrong, %d bytes" % len(got))
    for i in range(20):
        s.sendall(pattern(5000, i))
    s.shutdown(socket.SHUT_WR)
    time.sleep(0.1)
    s.close()
    echo(must_connect(path, ECHO), 300000, 3)
    print("half-close ok")


def listen(path, backlog=2048):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(backlog)
    s.settimeout(WAIT_S)
    return s


def test_from_guest(path):
    """The guest connects to the host: nobody there, a listener; its streams echo."""
    if command(path, "connect 7777 3\n") != "opened 0000 refused 0003":
        fail("a port of the host without a listener is not refused")
    listener = listen(path + "_6000")
    if command(path, "connect 6000 5\n") != "opened 0005 refused 0000":
        fail("the guest cannot connect to the host")
    for i in range(5):
        s = listener.accept()[0]
        s.settimeout(WAIT_S)
        echo(s, 500000 if i == 0 else 1000, i)
    listener.close()
    os.unlink(path + "_6000")
    print("from the guest ok")


def test_slow_reader(path):
    """Class 21: neither side's reader reads; the others are served, and then all of it arrives."""
    half = must_connect(path, HALF)
    slow = must_connect(path, SLOW)
    slow.setblocking(False)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += slow.send(b"s" * PIECE)
            time.sleep(0.01)
    except BlockingIOError:
        pass
    if sent > 2 << 20:
        fail("%d bytes were taken from a program whose reader does not read" % sent)
    echo(must_connect(path, ECHO), 1 << 20, 5)
    if read_all(half) != bytes((n * n >> 8) & 0xFF for n in range(HALF_BYTES)):
        fail("what the slow reader reads is wrong")
    half.close()
    if command(path, "read\n") != "ok":
        fail("the guest does not begin to read")
    slow.settimeout(WAIT_S)
    slow.sendall(b"e" * 100000)
    slow.shutdown(socket.SHUT_WR)
    if read_all(slow) != b"":
        fail("the slow port has sent something")
    print("class 21, vsock credit: ok")


def test_many(path):
    """1,000 connections at once, each with data; 200 of the guest's beside them."""
    streams = [must_connect(path, ECHO) for _ in range(1000)]
    listener = listen(path + "_6001")
    if command(path, "connect 6001 200\n") != "opened 0200 refused 0000":
        fail("the guest cannot open 200 connections beside 1000")
    streams += [listener.accept()[0] for _ in range(200)]
    for i, s in enumerate(streams):
        s.settimeout(WAIT_S)
        s.sendall(pattern(500, i))
    for i, s in enumerate(streams):
        got = b""
        while len(got) < 500:
            got += s.recv(500)
        if got != pattern(500, i):
            fail("connection %d has the bytes of another" % i)
    listener.close()
    os.unlink(path + "_6001")
    print("1200 at once ok")


def test_reset(path):
    """A driver that starts anew: connections end, the next ones work. INDIRECT and EVENT_IDX, too."""
    for bits in (1 << 28 | 1 << 29, 1 << 29, 0):
        open_ones = [must_connect(path, ECHO) for _ in range(50)]
        s = must_connect(path, COMMANDS)
        s.sendall(b"features %d\n" % bits)
        for one in open_ones + [s]:
            try:
                if one.recv(1) != b"":
                    fail("a connection goes on after a reset")
            except ConnectionResetError:
                pass
        # Until the new driver is there nobody listens.
        end = time.monotonic() + WAIT_S
        while (s := connect(path, ECHO)) is None and time.monotonic() < end:
            time.sleep(0.01)
        echo(s, 1 << 20, bits)
    print("reset ok")


def test_launcher(path):
    """The guest connects to the launcher: one who echoes, one who is late for hundreds, nobody any more."""
    if command(path, "connect 6000 5\n") != "opened 0005 refused 0000":
        fail("the guest cannot connect to the launcher")
    # A busy machine may make it later than a connection waits.
    words = command(path, "connect 6001 600\n").split()
    opened, refused = int(words[1]), int(words[3])
    if opened + refused != 600 or opened < 100:
        fail("of 600 connections %d are opened and %d refused" % (opened, refused))
    print(opened, "of 600 connections opened")
    if command(path, "connect 6666 1\n") != "opened 0001 refused 0000":
        fail("the guest cannot connect to port 6666")
    end = time.monotonic() + WAIT_S
    while command(path, "connect 6000 1\n") != "opened 0000 refused 0001":
        if time.monotonic() > end:
            fail("a connection to a launcher that has gone is not refused")
    print("launcher ok")


def test_wait(path):
    """Connections for which the guest does nothing, half of them without a whole line."""
    streams = []
    for i in range(20):
        streams.append(socket.socket(socket.AF_UNIX))
        streams[i].connect(path)
        streams[i].sendall(b"CONNECT 5000\n" if i % 2 else b"CONN")
    print("waiting", flush=True)
    time.sleep(60)


def test_end(path):
    s = must_connect(path, COMMANDS)
    s.sendall(b"end\n")
    try:
        read_all(s)
    except ConnectionResetError:
        pass


def with_listener(number, path, arguments, blocking):
    listener = listen(path)
    listener.setblocking(blocking)
    os.dup2(listener.fileno(), number)
    os.execvp(arguments[0], arguments)


def launcher(packets, log):
    """Port 6000: a hash of what the guest echoes. 6001: kept, and the first one makes it late. 6666: the end."""
    kept = []
    while packet := socket.recv_fds(packets, 100, 4):
        data, fds = packet[:2]
        if data == b"":
            return
        if len(data) != 4 or len(fds) != 1:
            fail("a packet of %d bytes with %d descriptors" % (len(data), len(fds)))
        s = socket.socket(fileno=fds[0])
        (port,) = struct.unpack("<I", data)
        if port == 6000:
            s.settimeout(WAIT_S)
            echo(s, 300000, 6)
            print("echo ok", file=log, flush=True)
        elif port == 6001:
            if not kept:
                time.sleep(0.5)
            kept.append(s)
        else:
            print("port", port, "after", len(kept), file=log, flush=True)
            return


def with_launcher(number, log, arguments):
    ours, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    log = open(log, "w")
    if os.fork() == 0:
        others.close()
        os.closerange(1, 3)
        launcher(ours, log)
        os._exit(0)
    os.dup2(others.fileno(), number)
    os.execvp(arguments[0], arguments)


if sys.argv[1] == "with-launcher":
    with_launcher(int(sys.argv[2]), sys.argv[3], sys.argv[5:])
if sys.argv[1] in ("with-listener", "with-non-blocking-listener"):
    with_listener(int(sys.argv[2]), sys.argv[3], sys.argv[5:], sys.argv[1] == "with-listener")
globals()["test_" + sys.argv[1]](sys.argv[2])
