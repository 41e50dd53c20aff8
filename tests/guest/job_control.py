# SPDX-License-Identifier: MIT
"""Runs monitors as jobs of interactive shells, each on a pseudo-terminal; called by job-control.sh with the guests'
folder."""

import os
import pty
import re
import select
import signal
import sys
import termios
import time

ELF = sys.argv[1]
LIMIT_S = 20
SHELLS = (["dash", "-i"], ["bash", "--norc", "--noprofile", "-i"], ["busybox", "ash", "-i"])
# It ends with its shell, and that with its terminal, however this test ends. (busybox has a setpriv without this.)
VMM = "/usr/bin/setpriv --pdeathsig KILL -- ./vmm"
KEYS_GUEST = f"{VMM} --kernel {ELF}/keys.elf"
IFLAG, LFLAG = 0, 3
COOKED = termios.ICANON | termios.ECHO | termios.ISIG


class Shell:
    """An interactive shell with a terminal of its own, and the person who types."""

    def __init__(self, command):
        self.name = command[0]
        self.output = b""
        self.markers = 0
        self.job = 0
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            environment = {"PATH": os.environ["PATH"], "PS1": "$ ", "TERM": "dumb", "HISTFILE": ""}
            os.execvpe(command[0], command, environment)
        self.mode = self.read_mode()

    def fail(self, text):
        for pid in {self.job, *self.children()} - {0}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        os.kill(self.pid, signal.SIGKILL)
        sys.exit(f"FAILED: {self.name}: {text}\n--- output: {self.output[-2000:]!r}")

    def type(self, keys):
        os.write(self.master, keys)

    def wait(self, condition, what):
        """Until it holds, while what comes from the terminal is read."""
        end = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end:
                self.fail(f"{what} within {LIMIT_S} s")
            if select.select([self.master], [], [], 0.02)[0]:
                self.output += os.read(self.master, 65536)

    def wait_output(self, text):
        self.wait(lambda: text in self.output, f"no {text!r}")

    def run(self, line=""):
        """Types a command line; returns what was printed when the shell is back."""
        self.output = b""
        self.markers += 1
        self.type(f"{line + '; ' if line else ''}echo marker-$((1000 + {self.markers}))\n".encode())
        marker = f"marker-{1000 + self.markers}".encode()
        self.wait_output(marker)
        return self.output

    def read_mode(self):
        """The mode that a program finds in front."""
        words = re.search(rb"((?:[0-9a-f]+:){10,}[0-9a-f]+)", self.run("stty -g"))
        if not words:
            self.fail("stty -g says nothing")
        return words[1]

    def mend_terminal(self):
        """Only bash does so itself when a job is stopped by surprise."""
        if self.name != "bash":
            self.run(f"stty {self.mode.decode()}")

    def expect_mode(self, when):
        mode = self.read_mode()
        if mode != self.mode:
            self.fail(f"{when}: the terminal's mode is {mode}, it was {self.mode}")

    def children(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]

    def start(self, line):
        """Starts a monitor; its process is `job`."""
        self.output = b""
        self.type(f"{line}\n".encode())
        self.wait_output(b"ready")
        self.job = self.children()[-1]

    def is_stopped(self):
        with open(f"/proc/{self.job}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "T"

    def is_raw(self):
        """As for a guest. The shells' line editors have modes between this and the usual one."""
        mode = termios.tcgetattr(self.master)
        return not mode[IFLAG] & termios.ICRNL and not mode[LFLAG] & COOKED

    def stop(self, number):
        os.kill(self.job, number)
        self.wait(self.is_stopped, f"signal {number} does not stop it")

    def expect_in_front(self, when):
        """All that is typed reaches the guest, and is echoed by nobody else."""
        self.wait(self.is_raw, f"{when}: the terminal is not raw")
        self.output = b""
        self.type(b"wv\x03\x1a\r")
        self.wait_output(b"<d>")
        # Before it may be the command line that fg prints.
        if not self.output.endswith(b"<77><76><3><1a><d>") or b"wv" in self.output:
            self.fail(f"{when}: the guest's and the terminal's echo are {self.output!r}")

    def expect_in_background(self, when):
        """The shell's terminal is as it was: the mode, Ctrl-c, and what is typed goes to who is in front."""
        self.expect_mode(when)
        self.output = b""
        self.type(b"/bin/sleep 1000\n")
        self.wait_in_front("sleep")
        self.type(b"\x03")
        self.wait(lambda: self.foreground_group() == self.pid, "Ctrl-c does not end sleep")
        self.wait_output(b"$ ")
        if b"<" in self.output + self.run():
            self.fail(f"{when}: the guest has got keys")
        self.expect_mode(f"{when}, after Ctrl-c")

    def foreground_group(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            return int(file.read().rsplit(")", 1)[1].split()[5])

    def wait_in_front(self, name):
        def is_there():
            try:
                with open(f"/proc/{self.foreground_group()}/comm", encoding="ascii") as file:
                    return file.read().strip() == name
            except FileNotFoundError:
                return False
        self.wait(is_there, f"{name} does not run in front")

    def end_by_key(self, when):
        self.type(b"q")
        self.wait(lambda: not os.path.exists(f"/proc/{self.job}"), f"{when}: no end")
        self.job = 0
        self.expect_mode(f"{when}, at its end")

    def close(self):
        self.type(b"exit\n")
        os.waitpid(self.pid, 0)
        os.close(self.master)


def check_front(shell):
    shell.start(KEYS_GUEST)
    shell.expect_in_front("started in front")
    shell.end_by_key("started in front")


def check_fg(shell):
    shell.start(f"{KEYS_GUEST} &")
    shell.expect_in_background("started in the background")
    shell.type(b"fg\n")
    shell.expect_in_front("fg of a running job")
    shell.end_by_key("fg of a running job")


def check_terminal_stop(shell):
    """SIGTSTP, fg, SIGTSTP, bg, fg."""
    shell.start(KEYS_GUEST)
    shell.expect_in_front("before SIGTSTP")
    shell.stop(signal.SIGTSTP)
    shell.expect_mode("stopped by SIGTSTP")
    shell.type(b"fg\n")
    shell.expect_in_front("fg after SIGTSTP")
    shell.stop(signal.SIGTSTP)
    shell.run("bg")
    shell.wait(lambda: not shell.is_stopped(), "bg does not continue it")
    shell.expect_in_background("bg after SIGTSTP")
    shell.type(b"fg\n")
    shell.expect_in_front("fg after bg")
    shell.end_by_key("fg after bg")


def check_stop(shell):
    """SIGSTOP, which cannot be seen coming: what the shell sets the mode to is what counts."""
    shell.start(KEYS_GUEST)
    shell.expect_in_front("before SIGSTOP")
    shell.stop(signal.SIGSTOP)
    shell.mend_terminal()
    shell.expect_mode("stopped by SIGSTOP")
    shell.type(b"fg\n")
    shell.expect_in_front("fg after SIGSTOP")
    os.kill(shell.job, signal.SIGSTOP)
    shell.wait(shell.is_stopped, "SIGSTOP does not stop it")
    shell.mend_terminal()
    shell.run("bg")
    shell.wait(lambda: not shell.is_stopped(), "bg does not continue it")
    shell.expect_in_background("bg after SIGSTOP")
    shell.type(b"fg\n")
    shell.expect_in_front("fg after SIGSTOP and bg")
    shell.end_by_key("fg after SIGSTOP and bg")


def check_background_end(shell):
    """A program in front keeps its echo when a monitor in the background ends."""
    shell.start(f"{KEYS_GUEST} &")
    shell.type(b"/bin/cat\n")
    shell.wait_in_front("cat")
    os.kill(shell.job, signal.SIGTERM)
    shell.wait(lambda: not os.path.exists(f"/proc/{shell.job}") or is_zombie(shell.job), "SIGTERM does not end it")
    shell.output = b""
    shell.type(b"hello\n")
    shell.wait(lambda: shell.output.count(b"hello\r\n") == 2, "no echo for the program in front")
    shell.type(b"\x04")
    shell.job = 0
    shell.expect_mode("ended in the background")


def is_monitor(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe").endswith("/vmm")
    except FileNotFoundError:  # it has just ended
        return False


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def check_pipeline(shell):
    """The process group is in front, and the output is no terminal."""
    shell.start(f"{KEYS_GUEST} | cat -u")
    shell.job = next(pid for pid in shell.children() if is_monitor(pid))
    shell.expect_in_front("in a pipeline")
    shell.end_by_key("in a pipeline")


def check_no_terminal(shell):
    shell.start(f"{KEYS_GUEST} </dev/null")
    if shell.is_raw():
        shell.fail("a monitor with stdin elsewhere has the terminal")
    os.kill(shell.job, signal.SIGTERM)
    shell.job = 0
    shell.expect_mode("stdin elsewhere")


def wake_ups(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
            text = file.read()
        if text.startswith("Name:\tvmm-events\n"):
            return int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", text)[1])
    return None


def check_idle(shell):
    """In the background it wakes for what is typed to others, and not without."""
    shell.start(f"{VMM} --kernel {ELF}/idle.elf &")
    shell.run()
    time.sleep(1)
    before = wake_ups(shell.job)
    time.sleep(1)
    after = wake_ups(shell.job)
    if before is None or before != after:
        shell.fail(f"it woke up in the background: {before} to {after}")
    os.kill(shell.job, signal.SIGTERM)
    shell.job = 0
    shell.expect_mode("ended in the background")


for words in SHELLS:
    person = Shell(words)
    for check in (check_front, check_fg, check_terminal_stop, check_stop, check_background_end, check_pipeline,
                  check_no_terminal, check_idle):
        check(person)
    person.close()
