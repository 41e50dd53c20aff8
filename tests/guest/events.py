# SPDX-License-Identifier: MIT
# The tests of events.sh: events.py VMM FOLDER-OF-GUESTS SCRATCH.
import json, os, subprocess, sys

vmm, guests, tmp = sys.argv[1:]


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


def run(*words, option="--events-fd", code=0, **arguments):
    """Returns the events, and the process's result."""
    r, w = os.pipe()
    vm = subprocess.run([vmm, option, str(w), *words], pass_fds=[w, *arguments.pop("pass_fds", [])], capture_output=True,
                        stdin=subprocess.DEVNULL, timeout=30, **arguments)
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
    subprocess.run([vmm, "--status-fd", str(w), *words], pass_fds=[w], stderr=subprocess.DEVNULL, timeout=30)
    os.close(w)
    with os.fdopen(r, "rb") as file:
        status = json.loads(file.read())
    assert status == {key: events[0][key] for key in events[0] if key not in ("event", "time_us")}, (status, events)
events, vm = run("--version")
assert names(events) == ["exit"], events
