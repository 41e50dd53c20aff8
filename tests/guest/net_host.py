#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The host's side of the tests of net: talks to guests/net_io.c at 10.77.N.2.

    net_host.py check IP MTU      pings and echoes of all sizes up to the MTU
    net_host.py burst IP MTU N    N datagrams of the guest, each compared, and their hash
    net_host.py command IP TEXT   a command of the guest, answered with "done"
    net_host.py flood IP SECONDS  as many datagrams as go, and pings between them
    net_host.py answers PATH SECONDS
                                  connects to the vsock again and again, with no greeting: each time
                                  the monitor closes the connection
    net_host.py with-tap FD NAME FLAG... -- COMMAND...
                                  COMMAND with a descriptor FD of the TAP: FLAG are those of
                                  TUNSETIFF: tap, tun, no_pi, vnet_hdr; and nonblock
"""
import fcntl
import hashlib
import os
import select
import socket
import struct
import sys
import time

PORT_DISCARD, PORT_ECHO, PORT_COMMANDS = 1, 7, 9
WAIT_S = 60  # on a busy machine
HEADERS = 28  # of IP and UDP


def fail(text):
    print("net_host:", text)
    sys.exit(1)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pattern(length, seed):
    return hashlib.shake_128(b"%d" % seed).digest(length)


def udp_socket():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    s.settimeout(WAIT_S)
    return s


class Pinger:
    def __init__(self, ip):
        self.s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.s.connect((ip, 0))
        self.number = 0

    def ping(self, length, wait_s=WAIT_S):
        """True: the answer has come and is right."""
        self.number += 1
        data = pattern(length, self.number)
        head = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, self.number)
        head = head[:2] + struct.pack("!H", checksum(head + data)) + head[4:]
        self.s.send(head + data)
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0 and select.select([self.s], [], [], left)[0]:
            answer = self.s.recv(70000)[20:]
            if answer[0] == 0 and answer[4:8] == head[4:8]:
                if answer[8:] != data or checksum(answer):
                    fail("a ping's answer of %d bytes is wrong" % length)
                return True
        return False


def sizes(room):
    some = [0, 1, 2, 17, 18, 19, 100, 511, 512, 1000, 1471, 1472, 2005, 2006, 2007, 4054, 8000]
    return [n for n in some if n < room] + [room - 1, room]


def check(ip, mtu):
    room = mtu - HEADERS
    pinger, s = Pinger(ip), udp_socket()
    for n in sizes(room):
        if not pinger.ping(n):
            fail("no answer to a ping of %d bytes" % n)
    s.connect((ip, PORT_ECHO))
    for n in sizes(room):
        s.send(pattern(n, n))
        if s.recv(70000) != pattern(n, n):
            fail("the echo of %d bytes is wrong" % n)
    # Several on their way at once, in order.
    for burst in range(8):
        for i in range(40):
            s.send(pattern((burst * 40 + i) * 331 % room, i))
        for i in range(40):
            if s.recv(70000) != pattern((burst * 40 + i) * 331 % room, i):
                fail("an echo of burst %d is wrong" % burst)
    print("pings and echoes ok")


def burst(ip, mtu, count):
    room = mtu - HEADERS - 4
    s = udp_socket()
    s.connect((ip, PORT_COMMANDS))
    s.send(b"burst %d" % count)
    got, wanted = hashlib.sha256(), hashlib.sha256()
    ramp = bytes(i & 0xFF for i in range(256 + room))
    total = 0
    for i in range(count):
        length = i * 7919 % (room + 1)
        data = s.recv(70000)
        got.update(data)
        wanted.update(struct.pack("!I", i) + ramp[i & 0xFF : (i & 0xFF) + length])
        total += len(data)
    if s.recv(100) != b"done" or got.digest() != wanted.digest():
        fail("the hash of %d datagrams is wrong" % count)
    print("%d datagrams, %d bytes: the hash is right" % (count, total))


def command(ip, text):
    s = udp_socket()
    s.connect((ip, PORT_COMMANDS))
    s.send(text.encode())
    if s.recv(100) != b"done":
        fail("no answer to '%s'" % text)


def flood(ip, seconds):
    """Class 6: pings get through between the bursts of a flood, and all of them afterwards."""
    pinger, s = Pinger(ip), udp_socket()
    s.setblocking(False)
    s.connect((ip, PORT_DISCARD))
    sent = pings = bursts = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(2000):
            try:
                s.send(b"x" * 1000)
                sent += 1
            except (BlockingIOError, ConnectionRefusedError):
                pass
        bursts += 1
        # A burst is longer than the TAP's queue, which drops what comes behind it until the guest has taken some.
        patience = time.monotonic() + WAIT_S
        while True:
            pings += 1
            if pinger.ping(56, 0.1):
                break
            if time.monotonic() > patience:
                fail("no answer after burst %d of a flood of %d datagrams" % (bursts, sent))
    for _ in range(20):
        if not pinger.ping(1000):
            fail("no answer to a ping after the flood")
    print("class 6, flood freeze: %d of %d pings answered in a flood of %d datagrams" % (bursts, pings, sent))


def answers(path, seconds):
    count, slowest = 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(WAIT_S)
        s.connect(path)
        s.sendall(b"nonsense\n")
        try:
            if s.recv(1):
                fail("nonsense is answered")
        except ConnectionResetError:
            pass
        s.close()
        count += 1
        slowest = max(slowest, time.monotonic() - start)
    print("%d answers in %g s, the slowest after %.0f ms" % (count, seconds, slowest * 1000))


def with_tap(number, name, flags, arguments):
    bits = {"tun": 1, "tap": 2, "no_pi": 0x1000, "vnet_hdr": 0x4000}
    fd = os.open("/dev/net/tun", os.O_RDWR | (os.O_NONBLOCK if "nonblock" in flags else 0))
    request = struct.pack("16sH22x", name.encode(), sum(bits.get(flag, 0) for flag in flags))
    fcntl.ioctl(fd, 0x400454CA, request)  # TUNSETIFF
    os.dup2(fd, number)
    os.execvp(arguments[0], arguments)


def main(words):
    if words[0] == "check":
        check(words[1], int(words[2]))
    elif words[0] == "burst":
        burst(words[1], int(words[2]), int(words[3]))
    elif words[0] == "command":
        command(words[1], words[2])
    elif words[0] == "flood":
        flood(words[1], float(words[2]))
    elif words[0] == "answers":
        answers(words[1], float(words[2]))
    elif words[0] == "with-tap":
        end = words.index("--")
        with_tap(int(words[1]), words[2], words[3:end], words[end + 1 :])
    else:
        fail("what is '%s'?" % words[0])


main(sys.argv[1:])
