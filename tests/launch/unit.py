#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""unit.py UNIT FOLDER KERNEL IMAGE: runs the unit's command as systemd does, without systemd.

Its environment is that of a NAME.conf; a socket takes what it tells the manager. Then it is stopped by SIGTERM."""
import atexit
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys

unit, folder, kernel, image = sys.argv[1:]
with open(unit, encoding="utf-8") as file:
    settings = re.findall(r"^(\w+)=(.*)$", file.read(), re.MULTILINE)


def values(name):
    return [value for key, value in settings if key == name]


def die(text):
    sys.exit(f"FAILED: {text}")


def system_calls(words):
    """The names behind systemd's @sets."""
    names = set()
    for word in words:
        if word.startswith("@"):
            said = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True)
            names |= system_calls(re.findall(r"^ +([@\w-]+)$", said.stdout, re.MULTILINE))
        else:
            names.add(word)
    return names


# All that the program calls is allowed. A later line of the unit adds to the earlier ones, or with ~ takes away.
allowed = set()
for words in values("SystemCallFilter"):
    calls = system_calls(words.lstrip("~").split())
    allowed = allowed - calls if words.startswith("~") else allowed | calls
with open("examples/oci/seccomp.json", encoding="utf-8") as file:
    called = {name for rule in json.load(file)["syscalls"] for name in rule["names"]}
if called - allowed:
    die(f"the unit's SystemCallFilter forbids {sorted(called - allowed)}")

(command,) = values("ExecStart")
if "%" in command or re.search(r"(?<!\$)\$(?!\$)", command):
    die("systemd would change the command before the shell sees it")
words = shlex.split(command.replace("$$", "$").replace("/usr/bin/vmm", f"{os.getcwd()}/vmm"))


class Manager:
    """The unit's process, and the socket that it tells of itself."""

    def __init__(self, guest):
        self.path = f"{folder}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(60)
        environment = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": self.path, "KERNEL": kernel, "ROOTFS": f"{image},ro",
                       "OPTIONS": "--mem 64M --cpus 1", "CMDLINE": guest}
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
        atexit.register(self.process.kill)

    def told(self):
        """The next line but systemd-notify's own, which waits until we close its descriptor."""
        while True:
            text, fds, _, _ = socket.recv_fds(self.socket, 4096, 1)
            for fd in fds:
                os.close(fd)
            if text != b"BARRIER=1":
                return text.decode().split("\n")

    def end(self):
        status = self.process.wait(60)
        self.socket.close()
        os.unlink(self.path)
        return status


manager = Manager("ready spin")
if "READY=1" not in manager.told():
    die("the unit is not ready")
manager.process.send_signal(signal.SIGTERM)
if (status := manager.end()) != 143 or "143" not in values("SuccessExitStatus"):
    die(f"the unit is stopped with {status}")
# The status is the guest's; a guest with words that look like the event's is not ready.
manager = Manager("event:ready status=7")
if (status := manager.end()) != 7:
    die(f"the unit ends with {status}, expected 7")
manager = Manager("status=0 --bogus")
if (status := manager.end()) != 0:
    die(f"the unit ends with {status}, expected 0")
