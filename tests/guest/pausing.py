# SPDX-License-Identifier: MIT
"""pausing.py FILE COMMAND...: runs the monitor with a control socket, and pauses it as often as it can until it ends. Its exit
status is the monitor's. The number of pauses is added to FILE as a line."""

import random
import signal
import socket
import subprocess
import sys
import time

FILE, COMMAND = sys.argv[1], sys.argv[2:]

ours, theirs = socket.socketpair()
theirs.set_inheritable(True)
# With whatever else is inherited.
vm = subprocess.Popen(COMMAND + ["--control", f"fd={theirs.fileno()}"], close_fds=False)
theirs.close()
for number in signal.SIGTERM, signal.SIGINT:
    signal.signal(number, lambda number, frame: vm.send_signal(number))

lines = ours.makefile("rb")
pauses = 0
try:
    while True:
        ours.sendall(b"pause\n")
        if lines.readline() != b'{"ok":true}\n':
            break
        pauses += 1
        time.sleep(random.random() / 1000)
        ours.sendall(b"resume\n")
        if lines.readline() != b'{"ok":true}\n':
            break
        time.sleep(random.random() / 1000)
except OSError:
    pass
with open(FILE, "a", encoding="ascii") as file:
    print(pauses, file=file)
sys.exit(vm.wait())
