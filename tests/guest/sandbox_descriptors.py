# SPDX-License-Identifier: MIT
# sandbox_descriptors.py KERNEL FOLDER MONITOR: see sandbox-descriptors.sh. Prints the table.
import collections, os, re, socket, subprocess, sys

kernel, folder, monitor = sys.argv[1:]
R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR

# What it is; how many; how it is open; why.
REASONS = {
    "input": (1, R, "stdin"),
    "output": (1, W, "stdout, again: the guest's output, in a description that is ours"),
    "stdout": (1, W, "stdout"),
    "stderr": (1, W, "our lines"),
    "status": (1, W, "--status-fd: the end's line"),
    "events": (1, W, "--events-fd: lines"),
    "lifeline": (1, R, "--lifeline-fd: polled"),
    "kvm-vm": (1, RW, "interrupts, doorbells; closed late"),
    "kvm-vcpu": (2, RW, "KVM_RUN; registers when a guest fails"),
    "io_uring": (2, RW, "the devices' ring; the table that holds the VM at the end"),
    "signalfd": (1, RW, "signals, on the ring"),
    "eventfd": (11 + 4, RW, "a doorbell for each queue; the console, the end's request, the pause, the snapshot"),
    "eventpoll": (1, RW, "the vsock's streams that have ended in one direction"),
    "disk": (1, RW, "the first disk: reads, writes, its lock"),
    "ro": (1, R, "a disk that is not written"),
    "base": (1, R, "the first overlay's base"),
    "over": (1, RW, "that overlay"),
    "base2": (1, R, "the second overlay's base"),
    "nameless": (1, RW, "that overlay, which has no name"),
    "tun": (1, RW, "a TAP: frames"),
    "stream": (1, RW, "a stream NIC: frames"),
    "v": (1, RW, "the vsock's socket: programs of the host connect"),
    "snapshots": (1, R, "the folder of --snapshot's file"),
    "unnamed": (1, RW, "the snapshot that will end the VM, which is mapped then"),
    "pagemap": (1, R, "which pages a snapshot holds"),
    "fd": (1, R, "our own descriptors, by which an unnamed snapshot gets its name"),
    "c": (1, RW, "the control socket: clients connect"),
    "directory": (2, R, "where those two are removed: a place only (O_PATH)"),
    "fd": (1, R, "/proc/self/fd, a place only: a snapshot's file gets its name by it"),
}
# What is mapped beside memory without a file.
MAPPED = {"vmm", "kvm-vcpu", "io_uring", "[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[stack]", "[heap]"}


def pipe(number):
    """The read end stays here; the write end becomes `number`."""
    ends = os.pipe()
    os.dup2(ends[1], number)
    os.close(ends[1])
    return ends[0]


def make(name, size):
    with open(os.path.join(folder, name), "wb") as file:
        file.truncate(size)


os.mkdir(folder + "/snapshots")
for name in ("disk", "ro", "base", "base2"):
    make(name, 1 << 20)
stream_ours, stream = socket.socketpair()
os.dup2(stream.fileno(), 90)
keep = [pipe(91), pipe(92)]
life_read, life_write = os.pipe()
os.dup2(life_read, 93)
words = ["--kernel", kernel, "--cmdline", "halt", "--cpus", "2", "--disk", folder + "/disk", "--disk", folder + "/ro,ro",
         "--disk", folder + "/base,overlay=" + folder + "/over", "--disk", folder + "/base2,overlay-dir=" + folder,
         "--net", "tap=vmtap0", "--net", "fd=90", "--vsock", "cid=3,uds=" + folder + "/v", "--control", folder + "/c",
         "--status-fd", "91", "--events-fd", "92", "--lifeline-fd", "93", "--snapshot", folder + "/snapshots/file"]
null = os.open("/dev/null", R)
out_read, out_write = os.pipe()
with open(folder + "/errors", "w") as errors:
    vmm = subprocess.Popen([monitor, *words], stdin=null, stdout=out_write, stderr=errors, pass_fds=(90, 91, 92, 93))
os.close(out_write)
proc = "/proc/%d/" % vmm.pid


def sockets():
    """The names of those at paths, by inode."""
    with open("/proc/net/unix") as table:
        return {"socket:[%s]" % line.split()[6]: os.path.basename(line.split()[7])
                for line in table if len(line.split()) == 8}


def kind(number, name):
    if number in ORDINARY:
        return ORDINARY[number]
    if name in NAMES:
        return NAMES[name]
    if name == folder:
        return "directory"
    if name.startswith(folder + "/snapshots/#"):
        return "unnamed"
    if name.startswith(folder + "/#"):
        return "nameless"
    if name.startswith("anon_inode:"):
        return re.sub(r"^anon_inode:|[\[\]]|:\d+$", "", name)
    return os.path.basename(name)


try:
    assert os.fdopen(out_read, "rb").readline() == b"running\n", open(folder + "/errors").read()
    ORDINARY = {0: "input", 1: "stdout", 2: "stderr", 90: "stream", 91: "status", 92: "events", 93: "lifeline"}
    NAMES = sockets()
    NAMES[os.readlink(proc + "fd/1")] = "output"
    counts, bad = collections.Counter(), []
    for number in sorted(os.listdir(proc + "fd"), key=int):
        what = kind(int(number), os.readlink(proc + "fd/" + number))
        flags = re.search(r"flags:\s*(\d+)", open(proc + "fdinfo/" + number).read()).group(1)
        most, mode, why = REASONS.get(what, (0, None, "NO REASON"))
        counts[what] += 1
        print("%4s %-10s %-2s %s" % (number, what, ("r", "w", "rw")[int(flags, 8) & 3], why))
        if counts[what] > most or int(flags, 8) & 3 != mode:
            bad.append((number, what))
    bad += [(what, "is missing") for what in REASONS if counts[what] != REASONS[what][0]]
    with open(proc + "maps") as lines:
        names = {line.split(None, 5)[5].strip() for line in lines if len(line.split()) > 5}
    bad += [(name, "is mapped") for name in names if kind(-1, name) not in MAPPED]
    assert not bad, bad
finally:
    vmm.terminate()
    vmm.wait()
