# SPDX-License-Identifier: MIT
"""A monitor under attack, as its host sees it: alive, no larger, idle; and the peers of its devices."""
import glob
import os
import select
import socket
import struct
import subprocess
import threading
import time

WAIT_S = 60  # on a busy machine
# How much larger than at the first case the monitor may be: its pools are touched as they are used.
MEMORY_KIB = int(os.environ.get("HOSTILE_MEMORY_KIB", "4096"))
IDLE_NS = 1_000_000  # of the processor, in a window of IDLE_S
IDLE_S = 0.01
ECHO_PORT = 6000
GUEST_IP, GUEST_MAC = "10.77.0.2", "02:00:00:00:00:02"


class Fault(Exception):
    pass


class Monitor:
    """arguments: of ./vmm. The console is in pipes."""

    def __init__(self, command, errors, pass_fds=()):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, pass_fds=pass_fds
        )
        self.pid = self.process.pid
        self.buffer = b""
        self.base_kib = self.base_fds = None
        self.slowest_idle_s = 0
        self.pinger = None

    def line(self, wait_s=WAIT_S):
        """The next line of the console; None at its end."""
        end = time.monotonic() + wait_s
        while b"\n" not in self.buffer:
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise Fault("nothing on the console for %d s" % wait_s)
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode(errors="replace").strip("\r")

    def answer(self, ok):
        self.process.stdin.write(b"y" if ok else b"n")
        self.process.stdin.flush()

    def type(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def rss_kib(self):
        with open("/proc/%d/status" % self.pid) as file:
            for line in file:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])
        return 0

    def descriptors(self):
        try:
            return len(os.listdir("/proc/%d/fd" % self.pid))
        except PermissionError:
            return 0

    def look(self):
        """What all threads but the processors' (the first is the process's own) have used of the host's processors, in ns;
        whether one of them would go on using them, which on a busy host is not the same."""
        total, runnable = 0, False
        for task in glob.glob("/proc/%d/task/*" % self.pid):
            try:
                with open(task + "/comm") as file:
                    if file.read().startswith("vmm-vcpu") or task.endswith("/%d" % self.pid):
                        continue
                with open(task + "/schedstat") as file:
                    total += int(file.read().split()[0])
                with open(task + "/stat") as file:
                    runnable |= file.read().rsplit(")", 1)[1].split()[0] == "R"
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total, runnable

    def check_idle(self):
        start = time.monotonic()
        while True:
            before, was_runnable = self.look()
            time.sleep(IDLE_S)
            now, is_runnable = self.look()
            used = now - before
            if used < IDLE_NS and not was_runnable and not is_runnable:
                break
            # A second is enough on an idle machine.
            if time.monotonic() - start > 10:
                raise Fault("its event loop is not idle after 10 s: it has used %d ns of %g s" % (used, IDLE_S))
        self.slowest_idle_s = max(self.slowest_idle_s, time.monotonic() - start - IDLE_S)

    def check(self):
        """After a case."""
        if self.process.poll() is not None:
            raise Fault("the monitor has ended: %d" % self.process.returncode)
        if self.pinger:
            self.pinger.check()
            # It would be what the event loop has to do.
            with self.pinger.asking:
                self.check_idle()
        else:
            self.check_idle()
        kib, fds = self.rss_kib(), self.descriptors()
        self.kib = kib
        if self.base_kib is None:
            self.base_kib, self.base_fds = kib, fds
        if kib > self.base_kib + MEMORY_KIB:
            raise Fault("it has grown from %d to %d KiB" % (self.base_kib, kib))
        # Connections of the case before may still be closing.
        end = time.monotonic() + 10
        while self.descriptors() > self.base_fds + 1:
            if time.monotonic() > end:
                raise Fault("it has %d descriptors, and had %d" % (self.descriptors(), self.base_fds))
            time.sleep(0.02)

    def end(self):
        self.process.stdin.close()
        try:
            return self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Fault("the monitor does not end")


class Pinger:
    """Asks the event loop by the control socket, again and again, while the guest attacks: how long did it take at most?"""

    LIMIT_S = 20  # that is no busy host any more
    PAUSE_S = 0.02

    def __init__(self, path):
        self.path, self.slowest_s, self.asking = path, 0, threading.Lock()
        self.begun = None
        serve(self.run)

    def run(self):
        s = socket.socket(socket.AF_UNIX)
        while ignore(s.connect, self.path) is not True:
            time.sleep(self.PAUSE_S)
        try:
            while True:
                with self.asking:
                    self.begun = time.monotonic()
                    s.sendall(b"ping\n")
                    while not s.recv(1000).endswith(b"\n"):
                        pass
                    self.slowest_s = max(self.slowest_s, time.monotonic() - self.begun)
                    self.begun = None
                time.sleep(self.PAUSE_S)
        except OSError:
            pass

    def check(self):
        begun = self.begun
        if self.slowest_s > self.LIMIT_S or (begun and time.monotonic() - begun > self.LIMIT_S):
            raise Fault("its event loop did not answer for %d s" % self.LIMIT_S)


def ignore(function, *arguments):
    """True if it succeeds."""
    try:
        function(*arguments)
        return True
    except OSError:
        return False


def serve(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def echo_streams(path):
    """The host program to which a guest's working vsock connects."""

    def one(s):
        try:
            while data := s.recv(65536):
                s.sendall(data)
        except OSError:
            pass
        s.close()

    def accept(listener):
        while True:
            serve(one, listener.accept()[0])

    listener = socket.socket(socket.AF_UNIX)
    listener.bind("%s_%d" % (path, ECHO_PORT))
    listener.listen(2048)
    serve(accept, listener)


class Peer:
    """The other end of a NIC on a stream: it sends each frame of ARP back."""

    def __init__(self):
        self.ours, self.others = socket.socketpair()
        self.lock = threading.Lock()
        serve(self.run)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            piece = self.ours.recv(n - len(data))
            if not piece:
                raise OSError("the end")
            data += piece
        return data

    def run(self):
        try:
            while True:
                (length,) = struct.unpack("!I", self.exactly(4))
                frame = self.exactly(length)
                if frame[12:14] == b"\x08\x06":
                    self.send(frame)
        except OSError:
            pass

    def send(self, frame):
        with self.lock:
            self.ours.sendall(struct.pack("!I", len(frame)) + frame)

    def try_to_send(self, frame):
        """If the monitor takes it: a frame that it has begun to take is always sent whole."""
        if select.select([], [self.ours], [], 0)[1]:
            serve(self.send, frame)


def know_guest(interface):
    """The host's kernel needs not ask for the guest's address."""
    subprocess.run(
        ["ip", "neigh", "replace", GUEST_IP, "lladdr", GUEST_MAC, "nud", "permanent", "dev", interface], check=True
    )


def udp_frame():
    """A frame for the guest, by way of the TAP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x" * 100, (GUEST_IP, 1))


def flood(count=300):
    """As many as the TAP's queue takes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setblocking(False)
        for n in range(count):
            try:
                s.sendto(bytes(n * 5 % 1400), (GUEST_IP, 1))
            except BlockingIOError:
                pass
