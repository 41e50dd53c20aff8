#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""order.py COUNT -- COMMAND...: starts monitors that wait for their order (--start-fd 3, added here), one after the other, "{}" in an
argument being the number. Prints for each, between tabs: its private memory while it waits (KiB), and from the order to its first byte
(us)."""
import os
import subprocess
import sys
import time

count, command = int(sys.argv[1]), sys.argv[3:]


def private_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_Dirty"))


for number in range(count):
    order, theirs = os.pipe()
    os.dup2(order, 3) if order != 3 else None
    os.set_inheritable(3, True)
    arguments = [word.replace("{}", str(number)) for word in command] + ["--start-fd", "3"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, pass_fds=(3,), bufsize=0) as vm:
        time.sleep(0.15)
        private = private_kib(vm.pid)
        start = time.perf_counter_ns()
        os.write(theirs, b"go\n")
        if not vm.stdout.read(1):
            sys.exit(f"order.py: {arguments} ended without a byte")
        print(private, round((time.perf_counter_ns() - start) / 1000, 1), sep="\t")
        vm.stdout.read()
    os.close(theirs)
    if order != 3:
        os.close(order)
    if vm.returncode != 0:
        sys.exit(f"order.py: {arguments} ended with {vm.returncode}")
