#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Starts clones of a snapshot, all of which wait for their order, and lets them go at once.

    clones.py VMM SNAPSHOT COUNT [OPTION ...]     the options are those of the devices

Each clone is told its name, clone-NUMBER (docs/guest.md, "Clones of a snapshot"). Each OPTION is given to each clone, with its number
for "{}". Prints a line for each: its number, its exit status, and the first line that it has printed. Exit status 0 if all exited
with 0. To make the snapshot:

    vmm --kernel vmlinux --rootfs image.raw,ro --snapshot SNAPSHOT --cmdline 'snapshot=1 -- sh -c "..."'
"""
import os
import subprocess
import sys


def start(vmm, snapshot, number, options):
    """Starts a monitor that waits; returns it, and the end of the pipe that takes its order."""
    theirs, ours = os.pipe()
    process = subprocess.Popen(
        [vmm, f"--restore=fd={snapshot}", f"--start-fd={theirs}"] + [option.replace("{}", str(number)) for option in options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=[snapshot, theirs], text=True, errors="replace")
    os.close(theirs)  # it would hide the end of its file
    return process, ours


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    snapshot = os.open(sys.argv[2], os.O_RDONLY)
    waiting = [start(sys.argv[1], snapshot, number, sys.argv[4:]) for number in range(int(sys.argv[3]))]
    for number, (_, order) in enumerate(waiting):
        try:
            os.write(order, f"go text=clone-{number}\n".encode())
        except BrokenPipeError:
            pass  # it has refused, and says why on stderr
        os.close(order)
    failed = False
    for number, (process, _) in enumerate(waiting):
        output, _ = process.communicate()
        print(f"{number} exited {process.returncode}: {output.partition(chr(10))[0]}")
        failed |= process.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
