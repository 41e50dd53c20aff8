#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The peer of a NIC with a stream: joins it to a TAP, on whose other side is net_host.py.

    net_stream.py bridge PATH TAP [pieces]     listens at PATH, for one monitor after the other; "pieces": a few bytes at a time
    net_stream.py with-bridge FD TAP -- COMMAND...
                                               COMMAND with one end of a pair as descriptor FD, the bridge at the other
    net_stream.py break PATH TAP HEX           a bridge until the first frame of the guest has come: then it sends these bytes and
                                               prints what the monitor does
"""
import fcntl
import os
import random
import select
import socket
import struct
import sys

MOST = 65535


def open_tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))  # TUNSETIFF: IFF_TAP, IFF_NO_PI
    return fd


class Bridge:
    def __init__(self, tap, peer, pieces=False):
        self.tap, self.peer, self.pieces = tap, peer, pieces
        self.got = b""

    def to_peer(self, data):
        size = len(data) if not self.pieces else None
        while data:
            n = self.peer.send(data[: size or random.randint(1, 700)])
            data = data[n:]

    def read_tap(self):
        """A few frames at once: they share what is sent."""
        frames = b""
        for _ in range(16):
            try:
                frame = os.read(self.tap, 70000)
            except BlockingIOError:
                break
            frames += struct.pack("!I", len(frame)) + frame
        self.to_peer(frames)

    def read_peer(self):
        """False: it has left."""
        data = self.peer.recv(random.randint(1, 999) if self.pieces else 262144)
        self.got += data
        while len(self.got) >= 4:
            (length,) = struct.unpack("!I", self.got[:4])
            if not 14 <= length <= MOST:
                print("a frame of", length, "bytes", flush=True)
                return False
            if len(self.got) < 4 + length:
                break
            os.write(self.tap, self.got[4 : 4 + length])
            self.got = self.got[4 + length :]
        return data != b""

    def run(self, until_frame=False):
        while True:
            ready = select.select([self.tap, self.peer], [], [])[0]
            try:
                if self.peer in ready:
                    if not self.read_peer() or until_frame:
                        return
                if self.tap in ready:
                    self.read_tap()
            except (BrokenPipeError, ConnectionResetError):
                return


def listen(path):
    listener = socket.socket(socket.AF_UNIX)
    if os.path.exists(path):
        os.unlink(path)
    listener.bind(path)
    listener.listen(1)
    print("listening", flush=True)
    return listener


def main(words):
    if words[0] == "bridge":
        tap, listener = open_tap(words[2]), listen(words[1])
        while True:
            Bridge(tap, listener.accept()[0], "pieces" in words[3:]).run()
            print("the monitor has left", flush=True)
    elif words[0] == "break":
        tap, peer = open_tap(words[2]), listen(words[1]).accept()[0]
        bridge = Bridge(tap, peer)
        bridge.run(until_frame=True)
        peer.sendall(bytes.fromhex(words[3]))
        peer.settimeout(20)
        while peer.recv(65536):
            pass
        print("the monitor has left", flush=True)
    elif words[0] == "with-bridge":
        tap = open_tap(words[2])
        ours, others = socket.socketpair()
        if os.fork() == 0:
            others.close()
            os.closerange(1, 3)
            Bridge(tap, ours).run()
            os._exit(0)
        os.close(tap)
        os.dup2(others.fileno(), int(words[1]))
        os.execvp(words[4], words[4:])


main(sys.argv[1:])
