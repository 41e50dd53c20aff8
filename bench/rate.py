#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""rate.py TIME-LIMIT COMMAND...: runs a command that prints a line "begin" and then "count 0xN", and prints N a second
of the host's time between the two. Other lines go to stderr. Exit status 1: they did not come, or it failed."""
import subprocess
import sys
import time


def main(argv):
    limit = float(argv[1])
    began = rate = None
    with subprocess.Popen(argv[2:], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        deadline = time.monotonic() + limit
        try:
            for line in process.stdout:
                now = time.monotonic()
                word, _, value = line.strip().partition(" ")
                if word == "begin":
                    began = now
                elif word == "count" and began is not None:
                    rate = int(value, 16) / (now - began)
                else:
                    sys.stderr.write(line)
                if now > deadline:
                    break
            status = process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            sys.exit(f"rate.py: {argv[2]}: not within {limit:g} s")
    if rate is None or status != 0:
        sys.exit(f"rate.py: {argv[2]}: exit status {status}")
    print(f"{rate:.1f}")


main(sys.argv)
