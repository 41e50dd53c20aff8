# SPDX-License-Identifier: MIT
"""The other end of a NIC: of its stream, and of its TAP."""
import os
import socket
import struct
import subprocess

from hostile_monitor import GUEST_IP
from hostile_registry import case, ignore_errors, pass_descriptors

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
