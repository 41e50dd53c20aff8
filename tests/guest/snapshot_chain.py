#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""snapshot_chain.py FOLDER LINKS SEED SPREAD_MS -- MONITOR... -- KERNEL_OPTION... -- OPTION...: runs a guest to its end in several
processes. Each but the last is asked for a snapshot at a random moment, and the next goes on from it. Prints what all of them print, and
on stderr how many there were."""
import os
import random
import socket
import subprocess
import sys
import time

folder, links, seed, spread_ms = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
rest, parts = sys.argv[5:], []
for argument in rest:
    if argument == "--":
        parts.append([])
    else:
        parts[-1].append(argument)
monitor, kernel, options = parts
rng = random.Random(seed)


def ask(path, request):
    """The answer; empty where the VM has ended."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
            client.sendall(request.encode() + b"\n")
            return client.recv(8192).decode()
        except OSError:
            return ""


done = 0
for link in range(links + 1):
    source = kernel if link == 0 else ["--restore", f"{folder}/{link - 1}.snap"]
    control, snap = f"{folder}/control", f"{folder}/{link}.snap"
    with subprocess.Popen(monitor + source + options + ["--control", control, "--snapshot", snap], stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL) as vm:
        answer = ""
        if link < links:
            while not os.path.exists(control) and vm.poll() is None:
                time.sleep(0.0005)
            time.sleep(rng.random() * spread_ms / 1000)
            answer = ask(control, "snapshot")
        try:
            out, _ = vm.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            vm.kill()
            sys.exit(f"FAILED: link {link} hangs")
    sys.stdout.buffer.write(out)
    sys.stdout.flush()
    if vm.returncode != 0:
        sys.exit(f"FAILED: link {link} ends with {vm.returncode}, answer {answer!r}")
    if link > 0:
        os.unlink(f"{folder}/{link - 1}.snap")
    if not os.path.exists(snap):
        if answer and "true" in answer:
            sys.exit("FAILED: a snapshot is promised, and not there")
        break
    done += 1
print(done, file=sys.stderr)
