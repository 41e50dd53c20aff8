#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""system_calls.py PROGRAM PROFILE: a static program and a seccomp profile that allows what it calls, and no more.

Reads the program's instructions. A number that is set in the function of a `syscall` may be its number; one that is set
right before it, or for musl's __syscall_cp, is."""
import collections
import json
import re
import subprocess
import sys

# What musl holds and never calls here: for kernels before 5.12, for clocks and robust mutexes that nobody uses; and
# numbers that only look like a call's.
NEVER = {
    "clock_nanosleep": "other clocks than CLOCK_REALTIME", "epoll_create": "without epoll_create1",
    "epoll_wait": "without epoll_pwait", "eventfd": "without eventfd2", "getrlimit": "without prlimit64",
    "gettimeofday": "without clock_gettime", "newfstatat": "fstatat() on a folder's descriptor",
    "set_robust_list": "robust mutexes",
    "setrlimit": "without prlimit64", "signalfd": "without signalfd4", "times": "the number is ETIMEDOUT's, too",
}
# The profile's own: how the program begins, and what the container's runtime calls.
OTHERS = {"execve", "getpid", "gettid", "openat", "sigaltstack", "tgkill"}

program, profile = sys.argv[1:]
names = {}
with open("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", encoding="ascii") as header:
    for line in header:
        if match := re.match(r"#define __NR_(\w+) (\d+)", line):
            names[int(match[2])] = match[1]

code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", program], capture_output=True, text=True, check=True).stdout
called, possible = collections.defaultdict(set), set()
function, seen, number, argument, has_call = "", set(), None, None, False
for line in code.splitlines() + ["0 <end>:"]:
    if match := re.match(r"[0-9a-f]+ <(.*)>:", line):
        possible |= seen if has_call else set()
        function, seen, number, argument, has_call = match[1], set(), None, None, False
    elif match := re.search(r"\bmov +\$0x([0-9a-f]+),%(\w+)", line):
        seen.add(names.get(int(match[1], 16)))
        if match[2] in ("eax", "rax"):
            number = int(match[1], 16)
        elif match[2] in ("edi", "rdi"):
            argument = int(match[1], 16)
    elif re.search(r"\bxor +%eax,%eax", line):
        number = 0
    elif re.search(r"\bxor +%edi,%edi", line):
        argument = 0
    elif re.search(r"\bsyscall\b", line):
        has_call = True
        called[names.get(number)].add(function)
    elif re.search(r"\b(call|jmp)\b.*<__syscall_cp(_c)?>", line):
        called[names.get(argument)].add(function)
called.pop(None, None)

with open(profile, encoding="utf-8") as file:
    allowed = {name for rule in json.load(file)["syscalls"] for name in rule["names"]}
failed = False
for name in sorted(set(called) - allowed - set(NEVER)):
    print(f"FAILED: {program} calls {name}, in {', '.join(sorted(called[name]))}; {profile} forbids that")
    failed = True
for name in sorted(allowed - OTHERS - set(called) - possible):
    print(f"FAILED: {profile} allows {name}, which {program} never calls")
    failed = True
if len(called) < 40:
    sys.exit(f"FAILED: only {len(called)} calls are found in {program}")
sys.exit(failed)
