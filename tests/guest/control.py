# SPDX-License-Identifier: MIT
"""VMs with a control socket; called by control.sh with a guest that counts, one that floods its console, and a folder."""

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

GUEST, FLOOD, FOLDER = sys.argv[1:4]
MONITOR = os.environ.get("MONITOR", "./vmm").split()
PATH = f"{FOLDER}/c"
LIMIT_S = 20


def die(text):
    sys.exit(f"FAILED: {text}")


class Client:
    def __init__(self, fd=None):
        if fd is None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(PATH)
        else:
            self.socket = socket.socket(fileno=fd)
        self.socket.settimeout(LIMIT_S)
        self.lines = self.socket.makefile("rb")

    def send(self, text):
        self.socket.sendall(text.encode() + b"\n")

    def answer(self):
        line = self.lines.readline()
        if not line.endswith(b"\n"):
            die(f"an answer without an end: {line}")
        return json.loads(line)

    def ask(self, request, **wanted):
        """The answer, which has these fields."""
        self.send(request)
        answer = self.answer()
        if not wanted.items() <= answer.items():
            die(f"{request}: {answer}, expected {wanted}")
        return answer

    def close(self):
        self.lines.close()
        self.socket.close()


class Vm:
    """A guest that counts, with its output in a file; `with` kills what is left."""

    def __init__(self, *words, guest=GUEST, options=(), control=None, cpus=1, **popen):
        self.out = open(f"{FOLDER}/out", "wb")
        self.report, report_write = os.pipe()
        command = [*MONITOR, "--kernel", guest, "--cpus", str(cpus), "--control", control or PATH, "--status-fd",
                   str(report_write), "--cmdline", " ".join(words), *options]
        fds = [report_write] + popen.pop("pass_fds", [])
        self.process = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL,
                                        stdout=popen.pop("stdout", self.out), **popen)
        os.close(report_write)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.out.close()
        os.close(self.report)

    def text(self):
        with open(f"{FOLDER}/out", "rb") as file:
            return file.read()

    def wait_for(self, what):
        """Until the condition on the output holds."""
        end = time.monotonic() + LIMIT_S
        while not what(self.text()):
            if time.monotonic() > end or self.process.poll() is not None:
                die(f"the guest's output stays {self.text()[-200:]}")
            time.sleep(0.01)

    def wait_for_progress(self):
        length = len(self.text())
        self.wait_for(lambda text: len(text) > length + 8)

    def expect_end(self, status, reason, what):
        try:
            self.process.wait(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            die(f"{what}: it runs on")
        report = json.loads(os.read(self.report, 4096))
        if self.process.returncode != status or report != {"exit_code": status, "reason": reason}:
            die(f"{what}: status {self.process.returncode}, {report}; expected {status} {reason}")
        if os.path.exists(PATH):
            die(f"{what}: the socket is left")

    def vcpu_ticks(self):
        """What the vCPUs' threads have used of a CPU."""
        total, tasks = 0, f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/stat", encoding="ascii") as stat:
                name, fields = stat.read().rsplit(") ", 1)
            if not name.endswith("vmm-events"):
                total += sum(map(int, fields.split()[11:13]))
        return total


    def wait_until_it_stands(self):
        before, end = -1, time.monotonic() + LIMIT_S
        while self.vcpu_ticks() != before:
            if time.monotonic() > end:
                die("the vCPUs do not come to a stand")
            before = self.vcpu_ticks()
            time.sleep(0.5)


def connect(vm):
    """When the guest runs."""
    vm.wait_for(lambda text: text)
    return Client()


def check_counts(text):
    """Not one line is lost or doubled; the last is cut off where the guest was stopped."""
    numbers = [int(line, 16) for line in text.split(b"\n")[:-1] if line not in (b"nmi", b"button", b"ring")]
    if numbers != list(range(len(numbers))):
        die(f"the guest has counted {numbers}")


def test_requests():
    with Vm() as vm:
        client = connect(vm)
        if os.stat(PATH).st_mode & 0o777 != 0o600:
            die(f"the socket's mode is {os.stat(PATH).st_mode:o}")
        client.ask("ping", ok=True)
        stat = client.ask("stat", ok=True, state="running", cpus=1, memory_bytes=128 << 20)
        if not 0 < stat["time_us"] < 60e6 or not stat["counters"]["console"]["out_bytes"] > 0:
            die(f"stat: {stat}")
        for bad in "", "Ping", "ping ", " ping", "ping\r", "pause now", "\x7f\x80", "{}", "x" * 127:
            if client.ask(bad, ok=False)["error"] != "expected ping, stat, pause, resume, nmi, stop, powerdown, snapshot or snapshot-continue":
                die(f"the error of {bad}")
        client.ask("powerdown", ok=False, error="the guest listens neither to ACPI's power button nor to the serial port's "
                   "ring indicator")
        client.ask("resume", ok=True)
        client.ask("nmi", ok=True)
        vm.wait_for(lambda text: b"nmi\n" in text)
        # Some requests at once are answered in order.
        client.send("pause\nstat\nresume\nstat\nping")
        states = [client.answer() for _ in range(5)]
        if [answer["ok"] for answer in states] != [True] * 5 or states[1]["state"] != "paused" or states[3]["state"] != "running":
            die(f"requests at once: {states}")
        client.ask("stop", ok=True)
        vm.expect_end(143, "signal", "stop")
        if client.socket.recv(10):
            die("bytes behind the last answer")
        client.close()


def test_pause():
    for cpus, words in (1, ("",)), (4, ("cpus=4",)):
        with Vm(*words, cpus=cpus) as vm:
            client, other = connect(vm), Client()
            vm.wait_for_progress()
            client.ask("pause", ok=True)
            time.sleep(0.1)  # what was printed is written
            before, ticks = vm.text(), vm.vcpu_ticks()
            other.ask("stat", ok=True, state="paused")
            other.ask("pause", ok=True)
            client.ask("powerdown", ok=False, error="the guest is paused")
            client.ask("nmi", ok=True)
            time.sleep(1)
            if vm.text() != before:
                die(f"the paused guest has printed {vm.text()[len(before):]}")
            if vm.vcpu_ticks() - ticks > 5:
                die(f"paused vCPUs have used {vm.vcpu_ticks() - ticks} ticks of a CPU")
            other.ask("resume", ok=True)
            client.ask("stat", ok=True, state="running")
            vm.wait_for_progress()
            vm.wait_for(lambda text: b"nmi\n" in text)
            ticks = vm.vcpu_ticks()
            end = time.monotonic() + LIMIT_S
            while vm.vcpu_ticks() - ticks < 10:
                if time.monotonic() > end:
                    die("the vCPUs stand still after resume")
                time.sleep(0.05)
            client.ask("stop", ok=True)
            vm.expect_end(143, "signal", f"stop, {cpus} vCPUs")
            check_counts(vm.text())
            client.close()
            other.close()


def test_thousand_pauses():
    with Vm("cpus=3", cpus=3) as vm:
        client, other = connect(vm), Client()
        for i in range(1000):
            client.ask("pause", ok=True)
            if i % 4 == 0:
                time.sleep(0.001)
            client.ask("resume", ok=True)
            if i % 3 == 0:
                # One may be withdrawn.
                client.send("pause")
                other.ask("resume", ok=True)
                client.answer()
                client.ask("resume", ok=True)
        vm.wait_for_progress()
        os.kill(vm.process.pid, signal.SIGTERM)
        vm.expect_end(143, "signal", "SIGTERM")
        check_counts(vm.text())
        client.close()
        other.close()


def test_ends_while_paused():
    def lifeline():
        theirs, ours = os.pipe()
        return ("--lifeline-fd", str(theirs)), [theirs], lambda vm, client: os.close(ours)

    ways = {
        "SIGTERM": lambda: ((), [], lambda vm, client: os.kill(vm.process.pid, signal.SIGTERM)),
        "SIGTERM and a grace time": lambda: (("--grace", "100"), [],
                                             lambda vm, client: os.kill(vm.process.pid, signal.SIGTERM)),
        "stop": lambda: ((), [], lambda vm, client: client.ask("stop", ok=True)),
        "the lifeline's end": lifeline,
    }
    for name, make in ways.items():
        for cpus in 1, 3:
            options, fds, end = make()
            with Vm(f"cpus={cpus} ring", cpus=cpus, options=options, pass_fds=fds) as vm:
                for fd in fds:
                    os.close(fd)
                client = connect(vm)
                client.ask("pause", ok=True)
                end(vm, client)
                vm.expect_end(143, "signal", f"{name}, paused, {cpus} vCPUs")
                client.close()


def test_stalled_console():
    """A vCPU that waits for the console's reader is no hindrance, and loses nothing."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ
    with Vm("flood", guest=FLOOD, stdout=writer) as vm:
        os.close(writer)
        text = os.read(reader, 8)
        client = Client()
        vm.wait_until_it_stands()
        for _ in range(3):
            client.ask("pause", ok=True)
            text += os.read(reader, 100)
            client.ask("resume", ok=True)
        client.ask("pause", ok=True)
        while select.select([reader], [], [], 0.5)[0]:  # no more than what was on its way
            text += os.read(reader, 65536)
        client.ask("stat", ok=True, state="paused")
        length = len(text)
        client.ask("resume", ok=True)
        while len(text) < length + 3000:
            text += os.read(reader, 65536)
        client.send("stop")
        while piece := os.read(reader, 65536):
            text += piece
        vm.process.wait(timeout=LIMIT_S)
        lines = text.split(b"\n")[1:-1]
        if len(set(lines)) != 1:
            die(f"lines of a paused flood: {set(lines)}")
        client.close()
    os.close(reader)


def test_clients_that_vanish():
    with Vm() as vm:
        connect(vm).close()
        for i in range(300):
            client = Client()
            client.socket.send(("", "ping\n", "pi", "pause\n", "resume\n", "\n" * 100, "x" * 500, "stat\npause\n")[i % 8].encode())
            if i % 2:
                client.socket.shutdown(socket.SHUT_RD if i % 4 == 1 else socket.SHUT_RDWR)
            client.close()
        client = Client()
        end = time.monotonic() + LIMIT_S
        while not client.ask("resume")["ok"]:
            client = Client()
            if time.monotonic() > end:
                die("places are not given back")
        client.ask("stat", ok=True, state="running")
        vm.wait_for_progress()
        fds = len(os.listdir(f"/proc/{vm.process.pid}/fd"))
        for _ in range(50):
            Client().close()
        client.ask("ping", ok=True)
        if len(os.listdir(f"/proc/{vm.process.pid}/fd")) > fds + 8:
            die("clients that have left leave descriptors behind")
        client.ask("stop", ok=True)
        vm.expect_end(143, "signal", "stop")


def test_ninth_client():
    with Vm() as vm:
        clients = [connect(vm) for _ in range(8)]
        for client in clients:
            client.ask("ping", ok=True)
        for _ in range(3):
            ninth = Client()
            if ninth.answer() != {"ok": False, "error": "as many clients as there may be are connected"}:
                die("the ninth client's answer")
            if ninth.socket.recv(10):
                die("the ninth client stays")
            ninth.close()
        ctl = subprocess.run(["./vmm", "ctl", PATH, "ping"], capture_output=True, timeout=LIMIT_S, check=False)
        if ctl.returncode != 1 or b"as many clients" not in ctl.stdout:
            die(f"ctl as the ninth: {ctl}")
        clients.pop().close()
        end = time.monotonic() + LIMIT_S
        while not Client().ask("ping")["ok"]:
            if time.monotonic() > end:
                die("a place is not given back")
        clients[0].ask("stop", ok=True)
        vm.expect_end(143, "signal", "stop")


def test_descriptors():
    ours, theirs = socket.socketpair()
    with Vm(control=f"fd={theirs.fileno()}", pass_fds=[theirs.fileno()]) as vm:
        theirs.close()
        client = Client(ours.detach())
        client.ask("ping", ok=True)
        client.ask("pause", ok=True)
        client.ask("resume", ok=True)
        client.ask("stop", ok=True)
        vm.expect_end(143, "signal", "stop by an inherited socket")
        client.close()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{FOLDER}/inherited")
    listener.listen()
    with Vm(control=f"fd={listener.fileno()}", pass_fds=[listener.fileno()]) as vm:
        for _ in range(3):
            client = Client(socket.socket(socket.AF_UNIX).detach())
            client.socket.connect(f"{FOLDER}/inherited")
            client.ask("ping", ok=True)
            client.close()
        ctl = subprocess.run(["./vmm", "ctl", f"{FOLDER}/inherited", "stop"], capture_output=True, timeout=LIMIT_S, check=False)
        if ctl.returncode != 0 or ctl.stdout != b'{"ok":true}\n':
            die(f"ctl on an inherited socket: {ctl}")
        vm.expect_end(143, "signal", "stop by an inherited listener")
    if not os.path.exists(f"{FOLDER}/inherited"):
        die("the launcher's socket is removed")
    listener.close()


def test_powerdown():
    for words, asked in (("button",), ["power_button"]), (("ring",), ["serial_ring"]), (("ring", "button"), ["power_button", "serial_ring"]):
        with Vm(*words) as vm:
            client = connect(vm)
            vm.wait_for_progress()
            client.ask("powerdown", ok=True, asked=asked)
            vm.expect_end(0, "guest_ended", f"powerdown, {words}")
            if (b"button\n" in vm.text()) + (b"ring\n" in vm.text()) == 0:
                die("the guest was not asked")
            client.close()
    with Vm("ring", options=["--serial", "none"], stdout=subprocess.DEVNULL) as vm:
        while not os.path.exists(PATH):
            time.sleep(0.01)
        client = Client()
        client.ask("powerdown", ok=False)
        client.ask("stop", ok=True)
        vm.expect_end(143, "signal", "stop without a serial port")
    with Vm("button", options=["--acpi", "off"]) as vm:
        client = connect(vm)
        vm.wait_for_progress()
        client.ask("powerdown", ok=False)
        client.ask("stop", ok=True)
        vm.expect_end(143, "signal", "stop without ACPI")
    # Without a grace time nobody ends a guest that does not heed.
    with Vm("ring", "deaf") as vm:
        client = connect(vm)
        vm.wait_for_progress()
        client.ask("powerdown", ok=True)
        vm.wait_for(lambda text: b"ring\n" in text)
        client.ask("powerdown", ok=True)
        vm.wait_for(lambda text: text.count(b"ring\n") == 2)
        client.ask("stop", ok=True)
        vm.expect_end(143, "signal", "stop of a guest that does not heed")


def end_with_grace(seconds, words, act, status, reason, what):
    """A VM whose guest runs; act() ends it. How long that takes."""
    with Vm(*words, options=["--grace", str(seconds)]) as vm:
        client = connect(vm)
        vm.wait_for_progress()
        start = time.monotonic()
        act(vm, client)
        vm.expect_end(status, reason, what)
        client.close()
        return time.monotonic() - start


def test_grace():
    def send(number):
        return lambda vm, client: os.kill(vm.process.pid, number)

    def send_twice(vm, client):
        os.kill(vm.process.pid, signal.SIGTERM)
        vm.wait_for(lambda text: b"ring\n" in text)
        client.ask("ping", ok=True)
        os.kill(vm.process.pid, signal.SIGINT)

    for words in ("ring",), ("button",), ("ring", "button"):
        end_with_grace(100, words, send(signal.SIGTERM), 0, "guest_ended", f"SIGTERM, {words}")
    end_with_grace(100, (), send(signal.SIGTERM), 143, "signal", "SIGTERM, a guest that does not listen")
    for act, status in (send(signal.SIGHUP), 129), (lambda vm, client: client.ask("powerdown", ok=True), 143):
        took = end_with_grace(1, ("ring", "deaf"), act, status, "signal", "the time is over")
        if took < 1:
            die(f"a grace time of 1 s is over after {took} s")
    end_with_grace(100, ("ring", "deaf"), send_twice, 130, "signal", "the second signal")
    end_with_grace(100, ("ring",), lambda vm, client: client.ask("stop", ok=True), 143, "signal", "stop asks nobody")


def test_grace_of_the_lifeline():
    for words, status, reason in (("ring",), 0, "guest_ended"), (("ring", "deaf"), 143, "signal"):
        theirs, ours = os.pipe()
        with Vm(*words, options=["--grace", "100", "--lifeline-fd", str(theirs)], pass_fds=[theirs]) as vm:
            os.close(theirs)
            client = connect(vm)
            vm.wait_for_progress()
            os.close(ours)
            vm.wait_for(lambda text: b"ring\n" in text)
            if "deaf" in words:
                # It may come with the launcher's own SIGTERM, in any order: that is no second signal.
                os.kill(vm.process.pid, signal.SIGTERM)
                vm.wait_for_progress()
                client.ask("ping", ok=True)
                os.kill(vm.process.pid, signal.SIGTERM)
            vm.expect_end(status, reason, f"the lifeline's end, {words}")
            client.close()


for name, test in list(globals().items()):
    if name.startswith("test_") and (len(sys.argv) == 4 or name in sys.argv[4:]):
        start = time.monotonic()
        test()
        print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)
