# SPDX-License-Identifier: MIT
# The tests of events.sh: events.py FOLDER-OF-GUESTS SCRATCH VMM...
import json, os, resource, signal, subprocess, sys

import readers

guests, tmp, *vmm = sys.argv[1:]


def guest(name, words=""):
    return ["--kernel", f"{guests}/{name}.elf", "--cmdline", words]


def parse(data):
    """Each line is JSON, times ascend, `exit` is the last and the only one."""
    assert data.endswith(b"\n"), data
    events = [json.loads(line.decode()) for line in data.splitlines()]
    times = [event["time_us"] for event in events]
    assert times == sorted(times) and times[0] > 0, events
    names = [event["event"] for event in events]
    assert names[-1] == "exit" and names.count("exit") == 1, events
    return events


def run(*words, code=0, data=b""):
    """Returns the events, and the process's result."""
    r, w = os.pipe()
    vm = subprocess.run([*vmm, "--events-fd", str(w), *words], pass_fds=[w], capture_output=True, input=data, timeout=60)
    os.close(w)
    with os.fdopen(r, "rb") as file:
        events = parse(file.read())
    assert vm.returncode == code and events[-1]["exit_code"] == code, (vm, events)
    return events, vm


def names(events):
    return [event["event"] for event in events]


# A guest that only ends, and one that becomes ready first.
events, vm = run(*guest("end", "reset"))
assert names(events) == ["started", "exit"] and not vm.stderr, (events, vm)
last = events[-1]
assert last["reason"] == "guest_ended" and last["exits"]["port"] >= 1 and last["devices"] == [], last
assert last["lost"] == {"output_bytes": 0, "unflushed_disks": 0, "events": 0}, last
events, vm = run(*guest("buses"))  # which says twice that it is ready
assert names(events) == ["started", "ready", "exit"], events
events, vm = run(*guest("end", "triple"), code=123)
assert names(events) == ["started", "exit"] and events[-1]["reason"] == "triple_fault", events

# What is wrong before the guest's start: no `started`, no counters.
for words in (["--bogus"], ["--mem", "1"], ["stray"], ["--kernel", b"/\xff\xfe"], ["--kernel", "/none", "--kernel", "/none"]):
    events, vm = run(*words, code=121)
    assert names(events) == ["exit"] and "exits" not in events[0], events
    assert events[0]["message"] == vm.stderr.decode(errors="replace")[5:-1], (events, vm)

# What they are about: the option, its value as it was written, the host's error.
end = guest("end", "reset")
with open(tmp + "/disk", "wb") as file:
    file.truncate(1 << 20)
cases = [
    (["--mem", "1"], "--mem", "1", None),
    (["--mem=64M,4q"], "--mem", "64M,4q", None),
    (["--bogus=5"], "--bogus", None, None),
    (["stray"], None, "stray", None),
    (["--acpi", "on", "--acpi", "off"], "--acpi", None, None),
    (["--boot-timer=1"], "--boot-timer", None, None),
    (["--kernel"], "--kernel", None, None),
    (["--mem", "64M"], "--kernel", None, None),
    ([*end, "--net", "tap=none,mac=1,mtu=5"], "--net", "tap=none,mac=1,mtu=5", None),
    ([*end, "--vsock", "cid=3,uds=a,"], "--vsock", "cid=3,uds=a,", None),
    (["--kernel", "/none"], "--kernel", "/none", "ENOENT"),
    (["--kernel", tmp], "--kernel", tmp, None),
    (["--kernel", b"/\xff\xfe"], "--kernel", "/\ufffd\ufffd", "ENOENT"),
    ([*end, "--initrd", "/none"], "--initrd", "/none", "ENOENT"),
    ([*end, "--disk", "/none,ro"], "--disk", "/none", "ENOENT"),
    ([*end, "--disk", f"{tmp}/disk", "--rootfs", f"{tmp}/disk"], "--disk", f"{tmp}/disk", None),
    ([*end, "--serial", f"file:{tmp}"], "--serial", f"file:{tmp}", "EISDIR"),
    ([*end, "--serial", "fd=999"], "--serial", "fd=999", "EBADF"),
    ([*end, "--kernel", "/dev/fd/999"], "--kernel", None, None),
    ([*end, "--disk", "/dev/fd/999"], "--disk", "/dev/fd/999", "EBADF"),
    ([*end, "--lifeline-fd", "999"], "--lifeline-fd", "999", "EBADF"),
    ([*end, "--net", "fd=999"], "--net", "fd=999", "EBADF"),
    ([*end, "--vsock", "cid=3,uds=/none/a"], "--vsock", "uds=/none/a", "ENOENT"),
    (["--kernel", f"{guests}/end.elf", "--cmdline", "x" * 2100], "--cmdline", "x" * 2100, None),
]
for words, option, value, error in cases:
    events, vm = run(*words, code=121)
    found = tuple(events[0].get(key) for key in ("option", "value", "errno"))
    assert found == (option, value, error), (words, found, vm)
    # and the line on --status-fd says the same
    r, w = os.pipe()
    subprocess.run([*vmm, "--status-fd", str(w), *words], pass_fds=[w], stderr=subprocess.DEVNULL, timeout=30)
    os.close(w)
    with os.fdopen(r, "rb") as file:
        status = json.loads(file.read())
    assert status == {key: events[0][key] for key in events[0] if key not in ("event", "time_us")}, (status, events)
events, vm = run("--version")
assert names(events) == ["exit"], events


# Neither open, nor for writing, and named again: the other of the two options tells it, or the first that can.
for good, bad in (("--events-fd", "--status-fd"), ("--status-fd", "--events-fd")):
    for fd in (999, os.open("/dev/null", os.O_RDONLY)):
        r, w = os.pipe()
        vm = subprocess.run([*vmm, bad, str(fd), *end, good, str(w)], pass_fds=[w] + [fd] * (fd < 999), capture_output=True, timeout=30)
        os.close(w)
        with os.fdopen(r, "rb") as file:
            report = json.loads(file.read())
        assert vm.returncode == report["exit_code"] == 121, (vm, report)
        assert report["option"] == bad and report["value"] == str(fd), report
        assert vm.stderr.decode().startswith(f"vmm: {bad} {fd}: "), vm
for words in (["--events-fd", "999"], ["--events-fd", "2"], ["--events-fd"], ["--disk", "--events-fd=1"]):
    events, vm = run(*words, *end, code=121)
    assert names(events) == ["exit"] and "message" in events[0], events
events, vm = run("--check", *end)
assert names(events) == ["exit"] and b"usable" in vm.stdout, (events, vm)


# Counters: a write and a flush; what is typed and printed.
disk = f"{tmp}/disk"
events, vm = run(*guest("blk_late"), "--disk", disk, data=b"x")
last = events[-1]
assert last["devices"] == [{"name": "disk0", "requests": 2, "in_bytes": 0, "out_bytes": 512, "errors": 0}], last
assert last["console"] == {"in_bytes": 1, "out_bytes": len(vm.stdout)}, (last, vm)
assert last["lost"] == {"output_bytes": 0, "unflushed_disks": 0, "events": 0}, last
assert last["exits"]["port"] > 10 and last["exits"]["mmio"] > 10, last
# Requests that fail: each its error, and none of their bytes.
with open(f"{tmp}/readonly", "wb") as file:
    file.truncate(1 << 20)
events, vm = run(*guest("blk_late"), "--disk", f"{tmp}/readonly,ro", data=b"x")
device = events[-1]["devices"][0]
assert device == {"name": "disk0", "requests": 2, "in_bytes": 0, "out_bytes": 0, "errors": 1}, device
# In the order of the command line, the vsock behind.
events, vm = run(*guest("end", "reset"), "--disk", disk, "--vsock", f"cid=3,uds={tmp}/sock", "--rootfs", f"{tmp}/readonly,ro")
assert [device["name"] for device in events[-1]["devices"]] == ["disk0", "disk1", "vsock0"], events


# Readers that are stalled or have left, and a disk that is full: the VM does what it would, and one line says so.
for make, reason in ((readers.full, "Operation timed out"), (readers.dead, "Broken pipe"), (readers.device, "No space left on device")):
    for words, code in ((end, 0), (guest("buses"), 0), (guest("end", "triple"), 123), (["--kernel", "/none"], 121), (["--help"], 0)):
        reader, w = make()
        vm = subprocess.run([*vmm, "--events-fd", str(w), *words], pass_fds=[w], capture_output=True, timeout=60)
        lines = vm.stderr.decode().splitlines()
        assert vm.returncode == code, (make, words, vm)
        # two C libraries
        lines = [line.replace("Connection timed out", "Operation timed out") for line in lines]
        assert lines.count(f"vmm: --events-fd {w}: an event is not written: {reason}") == 1, (make, lines)
        assert len(lines) == 1 + (code in (121, 123)), (make, lines)
        os.close(w)


def start(*words, **arguments):
    return subprocess.Popen([*vmm, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **arguments)


# A write without a flush: the guest's own end flushes it, a signal does not.
events, vm = run(*guest("blk_late", "no-flush"), "--disk", disk, data=b"x")
assert events[-1]["devices"][0]["requests"] == 1 and events[-1]["lost"]["unflushed_disks"] == 0, events
r, w = os.pipe()
vm = subprocess.Popen([*vmm, "--events-fd", str(w), *guest("blk_late", "stay"), "--disk", disk], pass_fds=[w],
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
os.close(w)
vm.stdin.write(b"x")
vm.stdin.flush()
while vm.stdout.readline() != b"write ok\n":
    pass
vm.send_signal(signal.SIGTERM)
with os.fdopen(r, "rb") as file:
    events = parse(file.read())
assert vm.wait(timeout=60) == 143 and events[-1]["lost"]["unflushed_disks"] == 1, events
vm.communicate()

# A reader that comes back: it reads how many events it has missed. The guest has run meanwhile.
reader, w = readers.full()
vm = start("--events-fd", str(w), *guest("end", "spin"), pass_fds=[w])
os.close(w)
assert vm.stdout.readline() == b"running\n"
os.set_blocking(reader, False)
while True:
    try:
        os.read(reader, 65536)
    except BlockingIOError:
        break
vm.send_signal(signal.SIGTERM)
os.set_blocking(reader, True)
with os.fdopen(reader, "rb") as file:
    events = parse(file.read())
assert vm.wait(timeout=60) == 143 and names(events) == ["exit"], events
assert events[0]["reason"] == "signal" and events[0]["lost"]["events"] == 1, events
vm.communicate()

# A file that has room for one line and a half: no second half follows.
path = f"{tmp}/events"
with open(path, "wb") as file:
    vm = start("--events-fd", str(file.fileno()), *end, pass_fds=[file.fileno()],
               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60)))
    _, errors = vm.communicate(timeout=60)
text = open(path, "rb").read()
assert vm.returncode == 0 and len(text) == 60 and text.count(b"\n") == 1, (vm.returncode, text)
assert json.loads(text.splitlines()[0])["event"] == "started", text
assert errors.count(b"not written to its end, and no further one: File too large") == 1, errors

# Output that nobody takes is told twice, as a loss and as the status line does.
reader, w = readers.full()
r, events_w = os.pipe()
vm = subprocess.run([*vmm, "--events-fd", str(events_w), *guest("serial_flood", "bytes=2048")], pass_fds=[events_w],
                    stdin=subprocess.DEVNULL, stdout=w, stderr=subprocess.PIPE, timeout=60)
os.close(events_w)
with os.fdopen(r, "rb") as file:
    last = parse(file.read())[-1]
assert last["lost_output_bytes"] == last["lost"]["output_bytes"] == last["console"]["out_bytes"] == 2048, last

# `exit` says all at the moment when the disks are free: its reader has them while the process still ends.
r, w = os.pipe()
vm = start("--events-fd", str(w), *end, "--disk", disk, pass_fds=[w])
os.close(w)
with os.fdopen(r, "rb") as file:
    events = parse(file.read())
subprocess.run([*vmm, *end, "--disk", disk], check=True, timeout=60)
assert vm.wait(timeout=60) == 0
vm.communicate()
