# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# Common to the Linux tests. A test sources it first; it is run by tests/run, where KVM can run Linux.
#
#   . "$(dirname "$0")/lib.sh"
#   root=$(image_copy root)                 a private root file system
#   guest_script "$root" <<<'uname -a'      what the guest runs: root login shell commands, /out is kept
#   vm_run first --kernel "$(kernel vmlinux)" --rootfs "$root" --cmdline "$run_script"
#   expect_status 0                         the monitor's; its output is $work/first.out and .err
#   image_get "$root" /out/report           a file of the guest
#
# The console is the slow way out of an emulated guest (a millisecond a byte): results of any length
# go into files below /out of the root image and are read from the image afterwards.
#
# $work is a directory for this test, removed at its end with every process, mount, loop device and
# device-mapper device that the functions here made. VMM names another monitor to test.
set -euo pipefail
export LC_ALL=C

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
vmm=${VMM:-$repo/vmm}
run_script='-- sh /test.sh'
vm_time_limit=${VM_TIME_LIMIT:-150}
# How long a signalled monitor may take to end. The emulated machine alone needs up to seconds to destroy
# a VM when others use the processors, after SIGKILL too; a monitor that waits for something takes longer.
end_limit_ms=$([ -n "${VMM_IN_LAB:-}" ] && echo 8000 || echo 1000)
status=0 elapsed_ms=0 vm_pid=
declare -a cleanup_commands=() child_pids=() watchdogs=()

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

at_exit() { # COMMAND...: run at the end, the last one given first
	cleanup_commands+=("$(printf '%q ' "$@")")
}

clean_up() {
	local code=$? i
	trap - EXIT
	set +e
	for ((i = ${#child_pids[@]} - 1; i >= 0; i--)); do
		kill -KILL "${child_pids[i]}" 2>/dev/null
	done
	wait 2>/dev/null
	if [ $code -ne 0 ] && [ $code -ne 77 ]; then
		show_logs
	fi
	for ((i = ${#cleanup_commands[@]} - 1; i >= 0; i--)); do
		eval "${cleanup_commands[i]}" >/dev/null 2>&1
	done
	rm -rf "$work"
	exit $code
}

# The end of what every VM of this test has printed: said when the test fails.
show_logs() {
	local file
	for file in "$work"/*.out "$work"/*.err; do
		if [ -s "$file" ]; then
			echo "--- ${file##*/}:" >&2
			tail -c 1500 "$file" | tr -d '\r' >&2
			echo >&2
		fi
	done
}

work=$(mktemp -d)
mkfifo "$work/never"
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

[ -c /dev/kvm ] || skip "there is no /dev/kvm"
[ -x "$vmm" ] || fail "$vmm is not built"

# In the emulated machine files of the host are read through a file server: a copy in its RAM, made
# by the first test that needs the file, lasts as long as the machine.
guest_file() { # NAME: prints the path of a file that guest/build.sh made
	local path=$repo/build/guest/$1
	[ -e "$path" ] || fail "build/guest/$1 is missing (make guest)"
	if [ -n "${VMM_IN_LAB:-}" ]; then
		mkdir -p /run/vmm-tests
		if [ ! -e "/run/vmm-tests/$1" ] || [ "$path" -nt "/run/vmm-tests/$1" ]; then
			cp --sparse=always "$path" "/run/vmm-tests/$1.new"
			mv "/run/vmm-tests/$1.new" "/run/vmm-tests/$1"
		fi
		path=/run/vmm-tests/$1
	fi
	echo "$path"
}

image_copy() { # NAME: prints the path of a new private copy of the root file system
	local copy=$work/$1.ext4 original
	original=$(guest_file rootfs.ext4)
	cp --sparse=always "$original" "$copy"
	echo "$copy"
}

image_put() { # IMAGE FILE PATH: writes FILE into the ext4 image as PATH, executable
	debugfs -w -f - "$1" >"$work/debugfs.log" 2>&1 <<-END
		rm $3
		write $2 $3
		set_inode_field $3 mode 0100755
	END
	debugfs -R "stat $3" "$1" 2>/dev/null | grep -q 'Type: regular' ||
		fail "cannot write $3 into $1: $(tail -n 1 "$work/debugfs.log")"
}

image_get() { # IMAGE PATH: prints the file PATH of the ext4 image; fails if there is none
	debugfs -R "cat $2" "$1" 2>"$work/debugfs.log"
	# Its first line is its version.
	[ "$(wc -l <"$work/debugfs.log")" -eq 1 ] ||
		fail "the guest has left no $2: $(tail -n 1 "$work/debugfs.log")"
}

# Writes the script on stdin into IMAGE as /test.sh. `report NAME VALUE` adds a line to /out/report,
# and every command that fails is named there, too.
guest_script() { # IMAGE
	{
		cat <<-'END'
			export PATH=/sbin:/bin:/usr/sbin:/usr/bin
			mkdir -p /out 2>/dev/null
			report() { echo "$*" >>/out/report; }
			failed() { report "failed: $*"; echo "FAILED: $*"; has_failed=1; }
		END
		cat
		echo 'exit ${has_failed-0}' # which is the monitor's status
	} >"$work/script"
	image_put "$1" "$work/script" /test.sh
}

now_ms() {
	date +%s%3N
}

# Says "greeting" to the first who connects, and writes what comes to FILE. The host's end of the stream comes after the guest's: busybox'
# nc leaves at the end of what it hears, even if it has not said all. Half a second after the guest's last byte, socat's
# default, a busy machine may not have started the shell.
greet() { # SOCAT-ADDRESS FILE
	socat -t 60 "$1" SYSTEM:'echo greeting; cat >&2' 2>"$2" &
	child_pids+=("$!")
}

# Runs a VM to its end. Sets status and elapsed_ms; the output is in $work/NAME.out and .err.
vm_run() { # NAME OPTION...
	vm_start "$@" </dev/null
	vm_wait
}

# Starts a VM in the background: vm_pid.
vm_start() { # NAME OPTION...
	local name=$1
	shift
	vm_started_ms=$(now_ms)
	# A shell starts background commands with SIGINT and SIGQUIT ignored.
	env --default-signal=INT,QUIT "$vmm" "$@" >"$work/$name.out" 2>"$work/$name.err" <&0 &
	vm_watch $!
}

# Makes PID the VM vm_pid, which is killed after vm_time_limit seconds.
vm_watch() { # PID
	vm_pid=$1
	# A read with a time limit, because a sleep would outlive the killed subshell.
	(read -rt "$vm_time_limit" <>"$work/never" || kill -KILL "$vm_pid" && touch "$work/late.$vm_pid") \
		>/dev/null 2>&1 &
	watchdogs[vm_pid]=$!
	child_pids+=("$!" "$vm_pid")
}

# Waits for the end of the VM vm_pid (or PID). Sets status, elapsed_ms.
vm_wait() { # [PID]
	local pid=${1:-$vm_pid}
	status=0
	wait "$pid" || status=$?
	elapsed_ms=$(($(now_ms) - vm_started_ms))
	kill "${watchdogs[pid]}" 2>/dev/null || :
	[ ! -e "$work/late.$pid" ] || fail "the VM did not end within $vm_time_limit s"
}

# Sends SIGNAL to the VM and waits; sets status and signal_ms, the time it took.
vm_signal() { # SIGNAL [PID]
	local pid=${2:-$vm_pid} start
	start=$(now_ms)
	kill "-$1" "$pid" || fail "the VM had ended before SIG$1"
	vm_wait "$pid"
	signal_ms=$(($(now_ms) - start))
}

# Waits until FILE holds TEXT; fails after SECONDS (default 60) or when the VM ends.
wait_for_text() { # FILE TEXT [SECONDS]
	local end=$((SECONDS + ${3:-60}))
	until grep -qaF -- "$2" "$1" 2>/dev/null; do
		[ $SECONDS -lt $end ] || fail "'$2' did not appear in ${1##*/}"
		kill -0 "$vm_pid" 2>/dev/null || fail "the VM ended before '$2' appeared in ${1##*/}"
		sleep 0.05
	done
}

expect_status() { # WANTED [WHAT]
	[ "$status" -eq "$1" ] || fail "${2:-the monitor}: exit status $status, expected $1"
}

expect_equal() { # WHAT WANTED GOT
	[ "$2" = "$3" ] || fail "$1: '$3', expected '$2'"
}

expect_text() { # FILE TEXT: the file holds the text
	grep -qaF -- "$2" "$1" || fail "${1##*/} does not hold '$2'"
}

expect_range() { # WHAT NUMBER LOW HIGH
	[[ $2 =~ ^-?[0-9]+$ ]] && [ "$2" -ge "$3" ] && [ "$2" -le "$4" ] || fail "$1: '$2', expected $3 to $4"
}

expect_empty() { # FILE
	[ ! -s "$1" ] || fail "${1##*/} is not empty: $(head -n 1 "$1")"
}

# Reads /out/report of the image into $work/report; no command may have failed.
read_report() { # IMAGE
	image_get "$1" /out/report >"$work/report"
	! grep -qa '^failed:' "$work/report" || fail "in the guest: $(grep -am 1 '^failed:' "$work/report")"
}

report_value() { # NAME: prints the value reported as NAME
	sed -n "s/^$1 //p" "$work/report" | head -n 1
}

# The file system is sound as it is, and nothing waits in its journal.
expect_clean() { # IMAGE
	e2fsck -fn "$1" >"$work/e2fsck.log" 2>&1 ||
		fail "e2fsck -fn ${1##*/}: $(tail -n 3 "$work/e2fsck.log")"
	! grep -q 'journal recovery' "$work/e2fsck.log" || fail "${1##*/}: its journal is not empty"
}

# The file system is sound once its journal has been replayed, as after a power failure.
expect_recovers() { # IMAGE
	local code=0
	e2fsck -p -E journal_only "$1" >"$work/e2fsck.log" 2>&1 || code=$?
	[ $code -le 1 ] || fail "e2fsck -E journal_only ${1##*/}: $(tail -n 3 "$work/e2fsck.log")"
	expect_clean "$1"
}

sha256_of() { # FILE
	sha256sum "$1" | cut -d ' ' -f 1
}

# SIZE for real hardware, or SMALL in the emulated machine, where an exit of the guest costs 1 ms.
console_size() { # SIZE SMALL
	if [ -n "${VMM_IN_LAB:-}" ]; then echo "$2"; else echo "$1"; fi
}

passed() {
	echo "$*"
	exit 0
}
