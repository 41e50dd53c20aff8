#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""snapshot_vsock.py FOLDER SNAPSHOTS SEED -- MONITOR...: programs of the host talk to guests/vsock_io.c all the time, which goes from monitor
to monitor at random moments. A connection may end with its monitor, but what it brought until then is right, the guest's listeners serve
each monitor, and no connection just stands."""
import os
import random
import socket
import subprocess
import sys
import threading
import time

folder, snapshots, seed, monitor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[5:]
rng = random.Random(seed)
path, control = f"{folder}/v", f"{folder}/control"
TALKERS = {"echo": 3, "half": 1}
TIME_LIMIT = 30
ECHO, HALF, HALF_BYTES = 5000, 5002, 1 << 20
whole, broken = dict.fromkeys(TALKERS, 0), dict.fromkeys(TALKERS, 0)
over, wrong = threading.Event(), []


def connect(port):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(TIME_LIMIT)
    s.connect(path)
    s.sendall(b"CONNECT %d\n" % port)
    line = b""
    while not line.endswith(b"\n"):
        byte = s.recv(1)
        if not byte:
            raise ConnectionResetError
        line += byte
    return s


def talk_echo(talker_rng):
    """Whether the echo was whole."""
    data = talker_rng.randbytes(talker_rng.randrange(1, 100000))
    with connect(ECHO) as s:
        got, sent = b"", 0
        while len(got) < len(data):
            piece = data[sent:sent + talker_rng.randrange(1, 20000)]
            s.sendall(piece)
            sent += len(piece)
            while len(got) < sent:
                more = s.recv(65536)
                if not more:
                    return False
                got += more
                if not data.startswith(got):
                    wrong.append(f"the echo's bytes up to {len(got)} are others")
        return True


HALF_DATA = bytes(n * n >> 8 & 255 for n in range(HALF_BYTES))


def talk_half(_):
    with connect(HALF) as s:
        got = 0
        while got < HALF_BYTES:
            more = s.recv(65536)
            if not more:
                return False
            if more != HALF_DATA[got:got + len(more)]:
                wrong.append(f"the guest's bytes from {got} on are others")
            got += len(more)
        return True


def talk(name, talker_rng):
    while not over.is_set() and not wrong:
        try:
            if (talk_echo if name == "echo" else talk_half)(talker_rng):
                whole[name] += 1
                continue
            broken[name] += 1
        except TimeoutError:
            wrong.append(f"{name}: a connection stands still")
        except (ConnectionResetError, BrokenPipeError):
            broken[name] += 1
        except (FileNotFoundError, ConnectionRefusedError):
            pass  # there is no monitor, or it ends
        time.sleep(0.001)


def ask(request):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIME_LIMIT)
        client.connect(control)
        client.sendall(request.encode() + b"\n")
        return client.recv(8192)


def wait_for(what, condition):
    end = time.monotonic() + TIME_LIMIT
    while not condition():
        if wrong or time.monotonic() > end:
            sys.exit(f"FAILED: {wrong or what}, seed {seed}, {whole} whole, {broken} broken off")
        time.sleep(0.001)


def start(source, snap):
    return subprocess.Popen(monitor + source + ["--vsock", f"cid=42,uds={path}", "--control", control, "--snapshot", snap],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


threads = [threading.Thread(target=talk, args=(name, random.Random(f"{seed} {name} {number}")))
           for name, count in TALKERS.items() for number in range(count)]
source = ["--kernel", "build/tests/guest/vsock_io.elf"]
for thread in threads:
    thread.start()
try:
    for link in range(snapshots + 1):
        snap, before = f"{folder}/{link}.snap", dict(whole)
        vm = start(source, snap)
        wait_for("a listener does not serve this monitor", lambda: all(whole[name] > before[name] for name in TALKERS))
        if link == snapshots:
            break
        time.sleep(rng.random() * 0.02)
        answer = ask("snapshot")
        if answer != b'{"ok":true}\n' or vm.wait(TIME_LIMIT) != 0:
            sys.exit(f"FAILED: snapshot {link}, seed {seed}: {answer!r}, status {vm.returncode}")
        if link > 0:
            os.unlink(f"{folder}/{link - 1}.snap")
        source = ["--restore", snap]
finally:
    over.set()
    for thread in threads:
        thread.join()
    if vm.poll() is None:
        vm.terminate()
        vm.wait()
if wrong:
    sys.exit(f"FAILED: {wrong}, seed {seed}")
print(f"{snapshots} snapshots under vsock load, seed {seed}: {sum(whole.values())} connections whole, {sum(broken.values())} broken off")
