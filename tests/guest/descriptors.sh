#!/bin/bash
# SPDX-License-Identifier: MIT
# The descriptors of the monitor while its guest runs: what it uses, and nothing that it has inherited or needed for its
# start only. One number for two purposes is refused before anything is opened.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
truncate -s 1M "$tmp/disk"

# open_files ARGUMENT...: with 20 descriptors of the launcher's, the kernel as 80 and the disk as 81; what is open
# is compared with what may be.
open_files() {
	python3 - "$elf/end.elf" "$tmp/disk" "$@" <<'END' || die "the open files with: $*"
import collections, ctypes, os, re, resource, signal, subprocess, sys
kernel, disk, *words = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
inherited = [3, 4, 5, 6, 8, 9, 10, 11, 50, 100, 255, 256, 257, 900, 1023, 1024, 2000]
pipes = [os.pipe() for _ in inherited]
status_read, status_write = os.pipe()
signal.alarm(30)
def clutter():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: the monitor ends with this program
    for (_, w), number in zip(pipes, inherited):
        os.dup2(w, number)
    for path, number in (("/etc", 60), ("/dev/kvm", 61), (kernel, 80), (disk, 81)):
        os.dup2(os.open(path, os.O_RDONLY if path == "/etc" else os.O_RDWR), number)
    os.dup2(0, 500)
    os.dup2(status_write, 7)
vmm = subprocess.Popen(["./vmm", "--status-fd", "7", "--cmdline", "halt", "--kernel", *words],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=clutter, close_fds=False)
try:
    line = vmm.stdout.readline()
    assert line == b"running\n", line
    folder = "/proc/%d/fd" % vmm.pid
    files = {int(number): os.readlink(folder + "/" + number) for number in os.listdir(folder)}
    kinds = collections.Counter()
    for number, name in files.items():
        if number <= 2 or number == 7:
            continue
        if name == files[1]:
            name = "stdout"
        elif name == os.path.realpath(disk):
            name = "disk"
        kinds[re.sub(r"anon_inode:\[?|:\d+\]?$|\]$", "", name)] += 1
    allowed = {"io_uring": 2, "kvm-vm": 1, "kvm-vcpu": 1, "signalfd": 1, "eventfd": 3, "stdout": 1, "disk": 1}
    assert not kinds - collections.Counter(allowed), (kinds, files)
    assert kinds["kvm-vcpu"] == 1 and kinds["kvm-vm"] == 1, files
    assert files[7].startswith("pipe:"), files
finally:
    vmm.terminate()
    vmm.wait()
END
}

open_files "$elf/end.elf" --disk "$tmp/disk"
open_files fd=80 --disk fd=81 --kvm-fd 61
open_files fd=80 --disk fd=81,ro --initrd /dev/fd/80
open_files /proc/self/fd/80 --disk /dev/fd/81
open_files /dev/fd/80 --initrd /proc/self/fd/80 --disk /proc/self/fd/81,ro

# A file below a folder's descriptor.
vmm_run --kernel /proc/self/fd/9/hello.elf 9<"$elf"
expect_status 0 "a kernel below a folder"

# refused STATUS REGEX ARGUMENT...
refused() {
	vmm_run --kernel "$elf/hello.elf" "${@:3}" 9<>"$tmp/report"
	expect_status "$1" "${*:3}"
	expect_error "$2"
}
refused 121 '--net fd=9: descriptor 9 is given twice, also as --status-fd 9' --net fd=9 --status-fd 9
refused 121 '--net fd=9: descriptor 9 is given twice, also as --net fd=9' --net fd=9 --net fd=9
refused 121 '--vsock uds-fd=9: descriptor 9 is given twice, also as --net fd=9' --net fd=9 --vsock cid=3,uds-fd=9
refused 121 '--net fd=8: Bad file descriptor' --net fd=8
refused 121 '--vsock uds-fd=8: Bad file descriptor' --vsock cid=3,uds-fd=8
refused 121 '--status-fd 8: Bad file descriptor' --status-fd 8
# Not one of the monitor's own, whatever it would open before.
for fd in 3 4 5 6 7 8 {20..40}; do
	refused 121 "--net fd=$fd: Bad file" --disk "$tmp/disk" --vsock "cid=3,uds=$tmp/v" --net fd=$fd
	for option in --initrd --disk --rootfs '--serial=file:'; do
		case $option in *:) words=("$option/dev/fd/$fd") ;; *) words=("$option" "/proc/self/fd/$fd") ;; esac
		refused 121 "$(echo "${option/=/ }" | sed 's/[^:]$/& /')/.*/fd/$fd: Bad file" --disk "$tmp/disk" "${words[@]}"
	done
done
[ ! -e "$tmp/v" ] || die "a refused monitor has made its socket"
