# SPDX-License-Identifier: MIT
# sandbox_hosts.py MONITOR KERNEL [5.12]: which layers of the sandbox there are for whom on this host, as --check tells and as
# a guest's start confirms. Prints lines "LAYER WHO on|off why". For root. With 5.12: on this host's kernel, which answers as Linux 5.12
# does to whatever of the monitor's is newer.
import ctypes, os, platform, re, shutil, struct, subprocess, sys, tempfile

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000
BIND, RECURSIVE, PRIVATE, DETACH = 0x1000, 0x4000, 0x40000, 2
NOBODY = 65534
CONTAINER_CAPABILITIES = 0x00000000A80425FB  # what container engines leave to root
libc = ctypes.CDLL(None, use_errno=True)


def call(function, *arguments):
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(arguments))


def set_capabilities(kept):
    """Of all five sets."""
    for capability in range(41):
        if not kept >> capability & 1:
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    call(libc.capset, header, (ctypes.c_uint32 * 6)(low, low, low, high, high, high))


def ordinary(uid=NOBODY):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def as_root():
    pass


def as_user():
    ordinary()


def in_container():
    """Root of a new tree, with the few capabilities that a container has."""
    root = folder.encode()
    call(libc.unshare, NEWNS | NEWUTS | NEWIPC)
    call(libc.mount, b"none", b"/", None, RECURSIVE | PRIVATE, None)
    call(libc.mount, root, root, None, BIND, None)
    os.chdir(folder)
    call(libc.syscall, 155, b".", b".")  # pivot_root
    call(libc.umount2, b".", DETACH)
    os.chdir("/")
    set_capabilities(CONTAINER_CAPABILITIES)
    call(libc.prctl, 38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS


def in_bare_container():
    """The same for an ordinary user."""
    in_container()
    ordinary()


def without_namespaces(uid):
    """Where user.max_user_namespaces is 0: that of a namespace around it, so that the host keeps its own."""
    ids = b"0 0 1\n" if uid == 0 else b"0 0 1\n%d %d 1\n" % (uid, uid)
    ready, go = os.pipe(), os.pipe()
    helper = os.fork()
    if helper == 0:  # it may map both
        os.read(ready[0], 1)
        for name in ("uid_map", "gid_map"):
            with open("/proc/%d/%s" % (os.getppid(), name), "wb", 0) as file:
                file.write(ids)
        os.write(go[1], b"x")
        os._exit(0)
    call(libc.unshare, NEWUSER)
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    os.waitpid(helper, 0)
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")
    if uid == 0:
        set_capabilities(CONTAINER_CAPABILITIES)
    else:
        ordinary(uid)


def answer_as_5_12():
    """A seccomp filter. It does not see what is behind pointers: flags of rings, of their operations and of KVM_ENABLE_CAP."""
    number, arguments, equal, at_least = 0, range(16, 64, 8), 0x15, 0x35
    newer = (
        (38, (number, at_least, 443)),  # ENOSYS: quotactl_fd, Landlock and all later calls
        (22, (number, equal, 28), (arguments[2], at_least, 22)),  # madvise: MADV_POPULATE_READ and later
        (22, (number, equal, 427), (arguments[1], at_least, 13)),  # io_uring_register: limits of workers
        (92, (number, equal, 54), (arguments[2], equal, 83)),  # setsockopt: SO_PASSRIGHTS
        (0, (number, equal, 16), (arguments[1], equal, 0xAE03), (arguments[2], at_least, 195)),  # KVM_CHECK_EXTENSION: no
        (22, (number, equal, 16), (arguments[1], equal, 0x9000AECF)),  # KVM_GET_XSAVE2
        (22, (number, equal, 16), (arguments[1], equal, 0x4018AEE1)),  # KVM_SET_DEVICE_ATTR of a vCPU
        (22, (number, equal, 16), (arguments[1], equal, 0x4018AEE2)),
    )
    code = b""
    for error, *conditions in newer:
        for i, (offset, jump, value) in enumerate(conditions):
            code += struct.pack("HBBI", 0x20, 0, 0, offset)
            code += struct.pack("HBBI", jump, 0, 2 * (len(conditions) - i) - 1, value)
        code += struct.pack("HBBI", 6, 0, 0, 0x50000 | error)
    code += struct.pack("HBBI", 6, 0, 0, 0x7FFF0000)
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.cast(code, ctypes.c_void_p).value)
    call(libc.prctl, 38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    call(libc.prctl, 22, 2, program, 0, 0)  # PR_SET_SECCOMP


PEOPLE = {
    "root": as_root,
    "user": as_user,
    "container": in_container,
    "container-user": in_bare_container,
    "root-no-userns": lambda: without_namespaces(0),
    "user-no-userns": lambda: without_namespaces(NOBODY),
}


def run(who, *words):
    """The monitor with /dev/kvm as descriptor 9, in the folder, whatever /dev and paths there are."""

    def prepare():
        PEOPLE[who]()
        if pretended:
            answer_as_5_12()

    inside = "/" if "container" in who else folder + "/"
    own = "sockets-" + who
    os.makedirs(folder + "/" + own, exist_ok=True)
    os.chmod(folder + "/" + own, 0o777)
    return subprocess.run([inside + "vmm", "--kvm-fd", "9", "--kernel", inside + "hello.elf",
                           "--vsock", "cid=3,uds=" + inside + own + "/v", *words], pass_fds=(9,),
                          preexec_fn=prepare, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          cwd=folder)


# The layers that depend on the host's kernel alone: since when.
SINCE = {"capabilities": (0, 0), "landlock": (5, 13), "landlock-tcp": (6, 7), "landlock-scope": (6, 12), "seccomp": (0, 0)}


def check(who):
    tried = run(who, "--check")
    assert tried.returncode == 0, (who, tried)
    layers = re.findall(r"^sandbox +(\S+) (on|off: .+)$", tried.stdout, re.M)
    assert len(layers) >= len(SINCE), (who, tried)
    for layer, state in layers:
        print("%-16s %-14s %s" % (layer, who, state))
        if layer in SINCE:
            assert (state == "on") == (SINCE[layer] <= version), (who, layer, state, version)
    missing = [layer for layer, state in layers if state != "on"]
    for mode in ("on", "warn", "strict"):
        guest = run(who, "--sandbox", mode)
        refused = mode == "strict" and missing
        assert guest.returncode == (122 if refused else 0), (who, mode, guest)
        assert guest.stdout == ("" if refused else "hello from the guest\n"), (who, mode, guest)
        assert len(guest.stderr.splitlines()) == (mode != "on" and bool(missing)), (who, mode, guest)


monitor, kernel, *pretended = sys.argv[1:]
version = tuple(int(number) for number in re.findall(r"\d+", (pretended or [platform.release()])[0])[:2])
folder = tempfile.mkdtemp()
try:
    os.dup2(os.open("/dev/kvm", os.O_RDWR), 9)
    for source, name in ((monitor, "vmm"), (kernel, "hello.elf")):
        with open(source, "rb") as file, open(folder + "/" + name, "wb") as copy:
            copy.write(file.read())
    os.chmod(folder, 0o755)
    os.chmod(folder + "/vmm", 0o755)
    for who in PEOPLE:
        check(who)
finally:
    shutil.rmtree(folder)
