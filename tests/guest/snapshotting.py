# SPDX-License-Identifier: MIT
"""snapshotting.py FILE MONITOR ARGUMENT...: runs a VM in a row of monitors. Each is asked for a snapshot at a random moment, and the next
goes on from it, with the same arguments but those that the file fixes. The exit status is the last one's. The number of snapshots is
added to FILE as a line."""

import errno
import fcntl
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

FILE, MONITOR = sys.argv[1:3]
SPREAD_S = float(os.environ.get("SNAPSHOT_SPREAD_S", "0.01"))
MOST = int(os.environ.get("SNAPSHOT_MOST", "20"))
OF_THE_FILE = ("--kernel", "--initrd", "--cmdline", "--mem", "--cpus", "--acpi")

vm, said = None, set()
for number in signal.SIGTERM, signal.SIGINT:
    signal.signal(number, lambda number, frame: vm and vm.send_signal(number))


def attach_tap(fd, name):
    """Whoever has held it may leave it late, as the monitor knows, too."""
    end = time.monotonic() + 5
    while True:
        try:
            # TUNSETIFF: a TAP, no PI, a header
            return fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x5002))
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def hold_taps(arguments):
    """A TAP that nobody has open drops frames: so it is held here for all monitors."""
    for word in arguments:
        if word.startswith("tap="):
            name, *options = word[4:].split(",")
            release = tuple(int(number) for number in os.uname().release.split(".")[:2])
            fd = os.open("/dev/net/tun", os.O_RDWR | (0 if release >= (6, 4) else os.O_NONBLOCK))
            attach_tap(fd, name)
            os.set_inheritable(fd, True)
            word = ",".join([f"fd={fd}"] + options)
        yield word


def restored(arguments):
    """The arguments for a VM that goes on."""
    words = iter(arguments)
    for word in words:
        if word in OF_THE_FILE:
            next(words)
        else:
            yield word


def run(source, folder, name):
    """A monitor, its end of the control socket, and the file that it may write."""
    global vm
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    snap = f"{folder}/{name}"
    # With whatever else is inherited.
    with open(f"{folder}/stderr", "w", encoding="utf-8") as errors:
        vm = subprocess.Popen([MONITOR] + source + ["--snapshot", snap, "--control", f"fd={theirs.fileno()}"], close_fds=False,
                              stderr=errors)
    theirs.close()
    return ours, snap


def wait(folder):
    """Its exit status. What it has said on stderr is said once, and not by each monitor."""
    status = vm.wait()
    with open(f"{folder}/stderr", encoding="utf-8") as errors:
        for line in errors:
            if line not in said:
                sys.stderr.write(line)
                said.add(line)
    sys.stderr.flush()
    return status


def ask(ours, request):
    """Whether it has said yes."""
    time.sleep(random.random() * SPREAD_S)
    try:
        ours.sendall(request.encode() + b"\n")
        return ours.makefile("rb").readline() == b'{"ok":true}\n'
    except OSError:
        return False


def ask_on_its_way(ours, snap):
    """Half of them go on themselves before."""
    global snapshots
    if random.random() < 0.5 and ask(ours, "snapshot-continue on"):
        os.unlink(os.path.dirname(snap) + "/on")
        snapshots += 1
    return ask(ours, "snapshot")


ARGUMENTS = list(hold_taps(sys.argv[3:]))
snapshots = 0
with tempfile.TemporaryDirectory() as folder:
    ours, snap = run(ARGUMENTS, folder, "0")
    while snapshots < MOST and ask_on_its_way(ours, snap):
        # Then it ends.
        if wait(folder) != 0:
            sys.exit(f"after a snapshot the monitor ends with {vm.returncode}")
        snapshots += 1
        last = snap
        ours.close()
        ours, snap = run(["--restore", last] + list(restored(ARGUMENTS)), folder, str(snapshots))
        # It has the file open once it answers.
        try:
            ours.sendall(b"ping\n")
            ours.makefile("rb").readline()
        except OSError:
            pass
        os.unlink(last)
    status = wait(folder)
with open(FILE, "a", encoding="ascii") as file:
    print(snapshots, file=file)
sys.exit(status)
