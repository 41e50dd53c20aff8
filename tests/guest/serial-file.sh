#!/bin/bash
# SPDX-License-Identifier: MIT
# The console in files: one that is emptied while it is written, one that is something else of this VM's, or no
# file at all; and a log that stdout, stderr and others share, whose description stays as the launcher made it.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guest/background.bash
. "$(dirname "$0")/background.bash"
need_kvm

# wait_for_size FILE BYTES: until it is larger; at most 20 s.
wait_for_size() {
	local i
	for ((i = 0; i < 1000; i++)); do
		[ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -le "$2" ] || return 0
		sleep 0.02
	done
	die "$1 has $(stat -c %s "$1") bytes, expected more than $2"
}

# Rotation by copy and truncate: no hole in front.
./vmm --kernel "$elf/end.elf" --cmdline flood --serial "file:$tmp/log" >"$tmp/out" 2>"$tmp/err" </dev/null &
vmm_pid=$!
for ((i = 0; i < 3; i++)); do
	wait_for_size "$tmp/log" 2000
	: >"$tmp/log"
done
wait_for_size "$tmp/log" 2000
kill -TERM $vmm_pid
vmm_wait
expect_status 143
expect_no_errors
[ "$(tr -d '\0' <"$tmp/log" | wc -c)" = "$(wc -c <"$tmp/log")" ] || die "the log has zeros after it was truncated"

# refused REGEX ARGUMENT...
refused() {
	TIME_LIMIT=10 vmm_run "${@:2}"
	expect_status 121 "${*:2}"
	expect_error "$1"
}

# It would be emptied: by whatever name it is the kernel, the initrd or an image.
cp "$elf/hello.elf" "$tmp/kernel"
echo initrd >"$tmp/initrd"
truncate -s 1M "$tmp/disk"
for file in kernel initrd disk; do
	ln "$tmp/$file" "$tmp/$file.hard"
	ln -s "$tmp/$file" "$tmp/$file.soft"
	sum=$(sha256sum <"$tmp/$file")
	for serial in "$file" "$file.hard" "$file.soft" "../$(basename "$tmp")/$file"; do
		for disk in "$tmp/disk" "$tmp/disk,ro"; do
			refused "^vmm: --serial file:$tmp/$serial: it is also --$file $tmp/$file" --kernel "$tmp/kernel" \
				--initrd "$tmp/initrd" --disk "$disk" --serial "file:$tmp/$serial"
		done
	done
	[ "$sum" = "$(sha256sum <"$tmp/$file")" ] || die "$file has changed"
done
refused "it is also --rootfs $tmp/disk" --kernel "$tmp/kernel" --rootfs "$tmp/disk" --serial "file:$tmp/disk.soft"

# Another VM's image or log is in use.
./vmm --kernel "$elf/end.elf" --cmdline halt --disk "$tmp/disk" --serial "file:$tmp/log" >"$tmp/out" 2>&1 </dev/null &
vmm_pid=$!
wait_for "$tmp/log" running
for file in disk log; do
	vmm_run --kernel "$elf/hello.elf" --serial "file:$tmp/$file"
	expect_status 122 "$file of another VM"
	expect_error "--serial file:$tmp/$file: it is in use"
done
[ "$(cat "$tmp/log")" = running ] || die "the log of another VM was emptied"
kill -TERM $vmm_pid
vmm_wait

# Other things than files: nobody waits for them, and nothing is written where it does harm.
mkfifo "$tmp/fifo"
mkdir "$tmp/dir"
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$tmp/socket"
kernel=(--kernel "$elf/hello.elf")
refused "--serial file:$tmp/fifo: nobody reads this FIFO" "${kernel[@]}" --serial "file:$tmp/fifo"
refused "--serial file:$tmp/dir: Is a directory" "${kernel[@]}" --serial "file:$tmp/dir"
refused "--serial file:$tmp/socket: No such device" "${kernel[@]}" --serial "file:$tmp/socket"
if mknod "$tmp/block" b 240 255 2>/dev/null; then
	status=0
	vmm_run "${kernel[@]}" --serial "file:$tmp/block"
	[ "$status" = 121 ] || [ "$status" = 122 ] || die "a block device: status $status"
	expect_error "--serial file:$tmp/block: "
fi
exec 8<>"$tmp/fifo"
vmm_run "${kernel[@]}" --serial "file:$tmp/fifo"
expect_status 0 "a FIFO with a reader"
IFS= read -r -t 10 line <&8
[ "$line" = "hello from the guest" ] || die "the FIFO's reader got: $line"
exec 8>&-
vmm_run "${kernel[@]}" --serial file:/dev/full
expect_status 0 "a full disk"
grep -q '^vmm: console: cannot write: .*[Nn]o space' "$tmp/err" || { show; die "a full disk, in silence"; }
status=0
setsid -w ./vmm "${kernel[@]}" --serial file:/dev/tty >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
expect_status 121 "no terminal"
expect_error '--serial file:/dev/tty: No such device'

# `vmm >log 2>&1`, twice at once and with a launcher that writes there, too.
python3 - ./vmm "$elf" "$tmp/shared" <<'END' || die "a shared log"
import fcntl, os, subprocess, sys
vmm, elf, path = sys.argv[1:]
fds = [os.open(path, os.O_WRONLY | os.O_CREAT) for _ in range(2)]
flags = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds]
os.write(fds[0], b"first\n")
size = 64 * 100
vms = [subprocess.Popen([vmm, "--kernel", elf + "/serial_flood.elf", "--cmdline", "bytes=%d" % size], stdout=fd, stderr=fd,
                        stdin=subprocess.DEVNULL) for fd in fds]
for vm in vms:
    assert vm.wait(60) == 0
for fd in fds:
    assert subprocess.call([vmm, "--kernel", elf + "/end.elf", "--cmdline", "triple"], stdout=fd, stderr=fd) == 123
assert [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds] == flags
os.write(fds[1], b"last\n")
data = open(path, "rb").read()
lines = data.decode().splitlines()
assert lines[0] == "first" and lines[-1] == "last", lines
assert data.count(b"\0") == 0 and len(data) - sum(len(line) + 1 for line in lines if "vmm:" in line) - 11 == 2 * size, lines
assert sum(line.startswith("vmm: guest triple fault") for line in lines) == 2, lines
# Alone, the position is the launcher's.
fd = os.open(path, os.O_RDWR | os.O_TRUNC)
os.write(fd, b"x" * 100)
os.lseek(fd, 10, os.SEEK_SET)
assert subprocess.call([vmm, "--kernel", elf + "/hello.elf"], stdout=fd, stdin=subprocess.DEVNULL) == 0
text = b"hello from the guest\n"
assert os.lseek(fd, 0, os.SEEK_CUR) == 10 + len(text)
assert os.pread(fd, 200, 0) == b"x" * 10 + text + b"x" * (90 - len(text))
END
