# SPDX-License-Identifier: MIT
"""Monitors with a lifeline; called by lifeline.sh with a guest and a folder."""

import ctypes
import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

from locked_image import locked_image

GUEST, FOLDER = sys.argv[1:3]
CLONE_NEWPID = 0x20000000
N_VMS = 50
libc = ctypes.CDLL(None, use_errno=True)


def die(text):
    sys.exit(f"FAILED: {text}")


class Monitor:
    """One start, with its status line in a pipe. `fd` is the lifeline, which this process closes."""

    def __init__(self, fd, *arguments, guest="halt", **popen):
        self.report, report_write = os.pipe()
        words = ["./vmm", "--lifeline-fd", str(fd), "--status-fd", str(report_write), "--kernel", GUEST,
                 "--cmdline", guest, *arguments]
        self.process = subprocess.Popen(words, pass_fds=[fd, report_write], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen)
        os.close(report_write)
        os.close(fd)

    def wait_until_it_runs(self):
        if self.process.stdout.readline() != b"running\n":
            die(f"no guest: {self.process.stderr.read()}")

    def expect_end(self, what):
        try:
            _, errors = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            die(f"{what}: it runs on")
        with os.fdopen(self.report) as report:
            lines = report.read()
        if self.process.returncode != 143 or errors:
            die(f"{what}: status {self.process.returncode}, stderr {errors}")
        if json.loads(lines) != {"exit_code": 143, "reason": "signal"}:
            die(f"{what}: the report is {lines}")

    def expect_nothing(self, what):
        """It runs on, and its event loop is not woken all the time."""
        before = self.wake_ups()
        time.sleep(0.3)
        if self.process.poll() is not None:
            die(f"{what} has ended it with {self.process.returncode}")
        if self.wake_ups() - before > 20:
            die(f"{what}: the event loop was woken {self.wake_ups() - before} times")

    def wake_ups(self):
        tasks = f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/comm", encoding="ascii") as name:
                if name.read() != "vmm-events\n":
                    continue
            with open(f"{tasks}/{task}/status", encoding="ascii") as status:
                fields = dict(line.split(":\t") for line in status if "ctxt_switches" in line)
            return sum(int(number) for number in fields.values())
        return die("no event loop")


def pipe_backwards():
    r, w = os.pipe()
    return w, r


def sockets(kind, family=socket.AF_UNIX):
    ours, theirs = socket.socketpair(family, kind)
    return theirs.detach(), ours.detach()


def tcp():
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    return theirs.detach(), ours.detach()


def fifo():
    path = f"{FOLDER}/lifeline"
    os.mkfifo(path)
    theirs = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    ours = os.open(path, os.O_WRONLY)
    os.unlink(path)
    return theirs, ours


KINDS = {
    "a pipe": os.pipe,
    "a pipe's writing end": pipe_backwards,
    "a FIFO": fifo,
    "a stream socket": lambda: sockets(socket.SOCK_STREAM),
    "a socket of packets": lambda: sockets(socket.SOCK_SEQPACKET),
    "TCP": tcp,
}


def test_kinds():
    for name, make in KINDS.items():
        for guest in "halt", "spin":
            theirs, ours = make()
            flags = fcntl.fcntl(theirs, fcntl.F_GETFL)
            copy = os.dup(theirs)
            monitor = Monitor(theirs, guest=guest)
            monitor.wait_until_it_runs()
            if make is not pipe_backwards:
                for _ in range(100):
                    os.write(ours, b"x" * 10)
            monitor.expect_nothing(f"{name}, written to")
            if fcntl.fcntl(copy, fcntl.F_GETFL) != flags:
                die(f"{name}: its flags have changed")
            os.close(ours)
            monitor.expect_end(f"{name}, closed, with a guest in {guest}")
            os.close(copy)


def test_half_closed():
    ours, theirs = socket.socketpair()
    monitor = Monitor(theirs.detach())
    monitor.wait_until_it_runs()
    ours.shutdown(socket.SHUT_WR)
    monitor.expect_end("the end of file of a socket")


def test_sockets_that_never_hang_up():
    listener = socket.create_server(("127.0.0.1", 0)).detach()
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for fd in listener, one.detach():
        run = subprocess.run(["./vmm", "--lifeline-fd", str(fd), "--kernel", GUEST], pass_fds=[fd], timeout=20,
                             capture_output=True, check=False)
        if run.returncode != 121 or b"expected one end of a pipe or a connected socket" not in run.stderr:
            die(f"a socket that never hangs up: {run}")
    other.close()


def test_ignored_sigterm():
    """An ignored signal is the launcher's wish for signals only."""
    theirs, ours = os.pipe()
    monitor = Monitor(theirs, preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
    monitor.wait_until_it_runs()
    os.kill(monitor.process.pid, signal.SIGTERM)
    monitor.expect_nothing("an ignored SIGTERM")
    os.close(ours)
    monitor.expect_end("the lifeline's end, with SIGTERM ignored")


def test_before_the_start():
    path = f"{FOLDER}/v"
    for name, make in KINDS.items():
        theirs, ours = make()
        os.close(ours)
        monitor = Monitor(theirs, "--vsock", f"cid=3,uds={path}")
        monitor.expect_end(f"{name}, closed before")
        if os.path.exists(path):
            die(f"{name}, closed before: a socket is left")


def test_in_the_set_up():
    """While it waits for an image that is locked."""
    image = f"{FOLDER}/image"
    with locked_image(image):
        theirs, ours = os.pipe()
        monitor = Monitor(theirs, "--disk", image)
        while not any(image == os.path.realpath(f"/proc/{monitor.process.pid}/fd/{fd}")
                      for fd in os.listdir(f"/proc/{monitor.process.pid}/fd")):
            time.sleep(0.001)
        os.close(ours)
        monitor.expect_end("a locked image")


def test_any_moment():
    for i in range(120):
        theirs, ours = os.pipe()
        monitor = Monitor(theirs, "--vsock", f"cid=3,uds={FOLDER}/v", guest=random.choice(("halt", "spin")))
        time.sleep(random.random() * random.choice((0.002, 0.01, 0.03)))
        os.close(ours)
        monitor.expect_end(f"closed early, try {i}")
        if os.path.exists(f"{FOLDER}/v"):
            die("a socket is left")


def test_first_of_a_namespace():
    for i in range(20):
        theirs, ours = os.pipe()
        os.set_inheritable(theirs, True)
        pid = libc.syscall(56, signal.SIGCHLD | CLONE_NEWPID, 0, 0, 0, 0)  # clone
        if pid < 0:
            print("no PID namespace is tested: no permission")
            return
        if pid == 0:
            os.close(ours)
            null = os.open("/dev/null", os.O_RDWR)
            for fd in range(3):
                os.dup2(null, fd)
            os.execv("./vmm", ["./vmm", "--lifeline-fd", str(theirs), "--kernel", GUEST, "--cmdline", "spin"])
        os.close(theirs)
        time.sleep(0.1 if i % 2 else random.random() / 50)
        os.close(ours)
        for _ in range(1000):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            time.sleep(0.02)
        else:
            os.kill(pid, signal.SIGKILL)
            die("the first process of a PID namespace runs on")
        if os.waitstatus_to_exitcode(status) != 143:
            die(f"the first process of a PID namespace: {status}")


def launch():
    """The launcher: many VMs on one pipe, whose other end dies with it."""
    theirs, _ours = os.pipe()
    vms = [subprocess.Popen(["./vmm", "--lifeline-fd", str(theirs), "--kernel", GUEST, "--cmdline", "halt", "--mem", "16M"],
                            pass_fds=[theirs], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
           for _ in range(N_VMS)]
    for vm in vms:
        vm.stdout.readline()
    print("all run", flush=True)
    signal.pause()


def test_killed_launcher():
    """Its orphans become children of this process, which collects what it may never see otherwise: their statuses."""
    libc.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    for delay in (None, 0.1, 0.2, 0.4, 0.6, None):
        launcher = subprocess.Popen([sys.executable, __file__, GUEST, FOLDER, "launch"], stdout=subprocess.PIPE)
        if delay is None:
            launcher.stdout.readline()
        else:
            time.sleep(delay)
        launcher.kill()
        launcher.wait()
        launcher.stdout.close()
        statuses, end = [], time.monotonic() + 60
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid:
                statuses.append(os.waitstatus_to_exitcode(status))
            elif time.monotonic() > end:
                children = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, check=False).stdout
                for child in children.split():
                    os.kill(int(child), signal.SIGKILL)
                die(f"a killed launcher: VMs run on, {len(statuses)} have ended")
            else:
                time.sleep(0.005)
        if any(status != 143 for status in statuses) or (delay is None and len(statuses) != N_VMS):
            die(f"a launcher that was killed after {delay} s: {statuses}")


if len(sys.argv) > 3:
    launch()
else:
    test_kinds()
    test_half_closed()
    test_sockets_that_never_hang_up()
    test_ignored_sigterm()
    test_before_the_start()
    test_in_the_set_up()
    test_any_moment()
    test_first_of_a_namespace()
    test_killed_launcher()
