#!/bin/bash
# SPDX-License-Identifier: MIT
# Tests the lab itself: the emulated machine, whatever /dev/kvm here can do. 77 where it cannot be set up.
set -eu

cd "$(dirname "$0")/../.."
lab=$PWD/lab/lab
export VMM_LAB=emulated
mkdir -p build
work=$(mktemp -d "$PWD/build/lab-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
failures=0

check() { # name, condition as a command
	if "${@:2}"; then
		echo "ok: $1"
	else
		echo "FAILED: $1"
		failures=$((failures + 1))
	fi
}

status_of() { # wanted status, command
	local status=0
	"${@:2}" || status=$?
	[ "$status" = "$1" ] || { echo "status $status instead of $1" >&2; false; }
}

[ "$(id -u)" = 0 ] || { echo "skipped: the emulated machine needs root"; exit 77; }
command -v qemu-system-x86_64 >/dev/null || { echo "skipped: no qemu-system-x86_64"; exit 77; }
"$lab" --prepare

# One machine checks what one command can see: streams, files, devices, the probe's nested guest.
head -c 1048576 /dev/urandom >"$work/sent"
gcc -O2 -o "$work/probe" lab/probe.c
cat >"$work/inside" <<'END'
set -u
tee "$1/copy" | sha256sum | cut -d' ' -f1 >"$1/input.sum"
head -c 1048576 /dev/urandom >"$1/out.sent"
head -c 1048576 /dev/urandom >"$1/err.sent"
cat "$1/err.sent" >&2 & cat "$1/out.sent"
wait
"$1/probe" >"$1/probe.said"; echo $? >"$1/probe.status"
for device in /dev/kvm /dev/net/tun /dev/fuse /dev/mapper/control /dev/loop-control; do
	true 3<>"$device" || echo "$device"
done 2>&1 >"$1/devices.missing"
modprobe dm_flakey || echo dm_flakey >>"$1/devices.missing"
echo "$PWD $VMM_IN_LAB $VMM_LAB $LAB_TEST_WORD" >"$1/environment"
echo RAM >/etc/lab-test-$LAB_TEST_WORD
cmp "/run/lab/sent" "$1/sent" && touch "$1/copied"
exit 3
END
LAB_TEST_WORD=$$
export LAB_TEST_WORD
status=0
"$lab" --quiet --time-limit 120 --tmpfs-copy "$work/sent" -- bash "$work/inside" "$work" \
	<"$work/sent" >"$work/out" 2>"$work/err" || status=$?
check "exit status 3" [ "$status" = 3 ]
check "stdin arrives whole" grep -q "$(sha256sum <"$work/sent" | cut -d' ' -f1)" "$work/input.sum"
check "a file written in the work tree is here" cmp "$work/sent" "$work/copy"
check "1 MiB of stdout intact" cmp "$work/out" "$work/out.sent"
check "1 MiB of stderr intact, apart from stdout" cmp "$work/err" "$work/err.sent"
check "nested KVM: $(cat "$work/probe.said")" grep -qx 0 "$work/probe.status"
check "devices and modules" cmp /dev/null "$work/devices.missing"
check "directory and environment" [ "$(cat "$work/environment")" = "$PWD 1 direct $$" ]
check "other files of the host stay as they were" [ ! -e "/etc/lab-test-$$" ]
check "--tmpfs-copy" [ -e "$work/copied" ]

"$lab" --quiet --cpus 1 --kernel-words 'first=1 second' -- sh -c 'cat /proc/cmdline; dmesg' >"$work/words" || :
check "words for the kernel" grep -q ' first=1 second$' "$work/words"
# The frequency that KVM finds must be the final one, or no guest's timer fires.
check "KVM is loaded when the TSC has been measured" \
	sh -c 'grep -o "Refined TSC\|Nested Paging" "$1" | head -n 1 | grep -q TSC' sh "$work/words"

# Its clock must count instructions: a guest's 70000 take 70 us, on any machine and under any load.
"$lab" --quiet --counted --tmpfs-copy "$work/probe" -- sh -c '/run/lab/probe; /run/lab/probe' >"$work/counted" || :
check "counted: $(tail -n 1 "$work/counted")" \
	sh -c 'tail -n 1 "$1" | grep -q "(70000 instructions took 0.07 ms)"' sh "$work/counted"

# Whoever closes the command's stdout ends it, as outside.
closes_stdout() {
	local statuses
	"$lab" --quiet --time-limit 300 -- yes | head -n 1 >/dev/null
	statuses=("${PIPESTATUS[@]}")
	[ "${statuses[0]}" = 141 ]
}
check "SIGPIPE" closes_stdout

# Refusals need no machine.
check "an unknown option is refused" status_of 125 "$lab" --nonsense 2>/dev/null
check "a missing command is refused" status_of 125 "$lab" 2>/dev/null
check "a bad time limit is refused" status_of 125 "$lab" --time-limit soon -- true 2>/dev/null
check "VMM_LAB=direct runs here" status_of 5 env VMM_LAB=direct "$lab" --quiet -- sh -c 'exit 5'
check "direct time limit" status_of 124 env VMM_LAB=direct "$lab" --quiet --time-limit 1 -- sleep 30

# Processes are found by the session's own marker in their environment, so other labs do not count.
left_behind() {
	grep -lzs "^LAB_TEST_MARK=$1\$" /proc/[0-9]*/environ | wc -l
}
gone_soon() {
	for _ in $(seq 30); do
		[ "$(left_behind "$1")" != 0 ] || return 0
		sleep 0.1
	done
	false
}
check "emulated time limit" status_of 124 env LAB_TEST_MARK="$$t" "$lab" --quiet --time-limit 1 -- sleep 30 2>/dev/null
check "nothing is left after it" gone_soon "$$t"

end_by() { # signal, wanted status
	local mark=$$$1 pid status=0
	LAB_TEST_MARK=$mark "$lab" --quiet --time-limit 60 -- sh -c 'touch "$1"; sleep 50' sh "$work/$1" </dev/null &
	pid=$!
	while [ ! -e "$work/$1" ] && kill -0 "$pid" 2>/dev/null; do
		sleep 0.1
	done
	[ "$(left_behind "$mark")" = 3 ] || echo "not just the host side, QEMU and virtiofsd"
	kill -s "$1" "$pid"
	wait "$pid" 2>/dev/null || status=$?
	gone_soon "$mark" && [ "$status" = "$2" ]
}
check "SIGTERM ends it, nothing left" end_by TERM 143
check "SIGKILL ends it, nothing left" end_by KILL 137

# The Intel machine, which has other ways in and out.
intel_says() {
	local status=0
	LAB_TEST_MARK=$$i "$lab" --quiet --cpu intel -- sh -c 'echo "$PWD"; grep -o -m 1 vmx /proc/cpuinfo >&2; exit 3' \
		>"$work/intel.out" 2>"$work/intel.err" || status=$?
	[ "$status" = 3 ] && [ "$(cat "$work/intel.out")" = "$PWD" ] && [ "$(cat "$work/intel.err")" = vmx ]
}
check "--cpu intel: directory, streams, status" intel_says
check "--cpu intel: time limit" status_of 124 env LAB_TEST_MARK="$$i" "$lab" --quiet --cpu intel --time-limit 5 -- true \
	2>/dev/null
check "--cpu intel: nothing is left" gone_soon "$$i"
check "--cpu intel with --counted is refused" status_of 125 "$lab" --cpu intel --counted -- true 2>/dev/null
check "another host kernel" grep -q '^6\.12\.' <("$lab" --quiet --qemu 10 --host-kernel 6.12 -- uname -r)

# An emulator that hangs: a minute without a sign of life.
stalls() {
	local pid qemu status=0
	"$lab" --quiet --time-limit 300 -- sh -c 'touch "$1"; sleep 250' sh "$work/still" </dev/null 2>"$work/still.err" &
	pid=$!
	while [ ! -e "$work/still" ] && kill -0 "$pid" 2>/dev/null; do
		sleep 0.1
	done
	qemu=$(pgrep -P "$pid" qemu)
	kill -STOP "$qemu"
	wait "$pid" || status=$?
	[ "$status" = 125 ] && grep -q 'stalled' "$work/still.err"
}
check "a stalled machine is given up" stalls

# A terminal: the command's is raw-fed, sized as ours, and ours is as before afterwards.
cat >"$work/terminal.py" <<'END'
import fcntl, os, pty, struct, sys, termios
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    before = termios.tcgetattr(0)
    status = os.spawnv(os.P_WAIT, sys.argv[1], [sys.argv[1], "--quiet", "--time-limit", "60", "--", "bash", "-c",
        "test -t 2; tty; stty size; echo ready; read -r line; echo got $line; trap 'echo caught; exit 7' INT; echo again; sleep 30 & wait"])
    sys.exit(status if termios.tcgetattr(0) == before else 99)
seen = b""
sent = 0
while True:
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    seen += data
    if b"ready" in seen and sent == 0:
        os.write(master, b"hello\r"); sent = 1
    if b"again" in seen and sent == 1:
        os.write(master, b"\x03"); sent = 2
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
for word in (b"/dev/pts/", b"33 77", b"got hello", b"caught"):
    if word not in seen:
        sys.exit("no %r in %r" % (word, seen))
if status != 7:
    sys.exit("status %d instead of 7; seen %r" % (status, seen))
END
check "terminal: size, keys, Ctrl-c, restored" python3 "$work/terminal.py" "$lab"

[ "$failures" = 0 ]
