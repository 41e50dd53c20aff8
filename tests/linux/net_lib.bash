# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by the network tests after lib.sh: a network namespace with TAPs for one VM.
#
#   net_begin <<<COMMANDS           makes the namespace $ns and runs these `ip` commands in it; from here on
#                                   vm_run and vm_start run the monitor there
#   in_ns COMMAND...                runs a command there
#   peer ARGUMENT...                net_peer (see its head) there; the guest has it, too
#   net_root                        a root file system with the script on stdin
#   net_start NAME OPTION...        vm_start with a console that takes lines from guest_go_on
#
# The namespace, its TAPs and what runs in it are removed at the end of the test.
#
# A process costs a quarter of a second in the emulated machine: where the shell can do it, it does.

# For net_begin: passt takes its addresses from an interface with a default route; nothing answers there.
net_uplink='link set lo up
tuntap add up0 mode tap
addr add 192.0.2.2/24 dev up0
link set up0 up
route add default via 192.0.2.1'

ns=vmm-test-$$
programs=$repo/build/tests/linux
emulated=${VMM_IN_LAB:-}

# NUMBER on real hardware, SMALL in the emulated machine, which is about 100 times slower.
scaled() { # NUMBER SMALL
	if [ -n "$emulated" ]; then echo "$2"; else echo "$1"; fi
}

net_begin() { # [WRAPPER WORD...]: the monitor is run by this command
	[ "$EUID" -eq 0 ] || skip "network namespaces need root"
	[ -c /dev/net/tun ] || modprobe -q tun || skip "this kernel has no TUN"
	command -v ip >/dev/null || fail "ip is missing (package iproute2)"
	[ -x "$programs/net_peer" ] && [ -x "$programs/net_tap" ] ||
		fail "the tests' programs are not built (make test-programs)"
	ip netns add "$ns" || fail "ip netns add"
	at_exit ip netns del "$ns" # lib.sh has ended by then what ran in it
	ip -n "$ns" -batch - || fail "the namespace's interfaces"
	printf '#!/bin/sh\nexec nsenter --net=/run/netns/%s -- %s "%s" "$@"\n' "$ns" "$*" "$vmm" >"$work/vmm"
	chmod +x "$work/vmm"
	vmm=$work/vmm
	mkfifo "$work/keys" "$work/hold"
}


in_ns() {
	nsenter --net="/run/netns/$ns" -- "$@"
}

peer() {
	in_ns "$programs/net_peer" "$@"
}

# Starts a program there in the background: output in $work/NAME.log, process background[NAME].
declare -A background=()
start_in_ns() { # NAME COMMAND...
	local name=$1
	shift
	# Not by in_ns: its shell would stay in between and take the signals.
	nsenter --net="/run/netns/$ns" -- "$@" >"$work/$name.log" 2>&1 </dev/null &
	background[$name]=$!
	child_pids+=("$!")
}

# Waits for its end, after SIGNAL if one is given; it must have succeeded.
finish_in_ns() { # NAME [SIGNAL]
	[ -z "${2-}" ] || kill "-$2" "${background[$1]}"
	wait "${background[$1]}" || fail "$1: exit status $?: $(tail -n 1 "$work/$1.log")"
}

# Whether FILE holds TEXT.
holds() { # FILE TEXT
	local text=
	{ IFS= read -rd '' text <"$1" || :; } 2>/dev/null
	[[ $text == *"$2"* ]]
}

# As wait_for_text, without a process for every look.
await_text() { # FILE TEXT [SECONDS]
	local end=$((SECONDS + ${3:-100}))
	until holds "$1" "$2"; do
		[ $SECONDS -lt $end ] || fail "'$2' did not appear in ${1##*/}"
		kill -0 "$vm_pid" 2>/dev/null || fail "the VM ended before '$2' appeared in ${1##*/}"
		nap 0.05
	done
}

# The number behind NAME in FILE.
value_in() { # FILE NAME
	local text
	IFS= read -rd '' text <"$1" || :
	[[ " ${text//$'\n'/ } " =~ \ $2\ ([0-9]+)\  ]] || fail "${1##*/} tells no $2: $text"
	echo "${BASH_REMATCH[1]}"
}

# The value that the guest has reported as NAME.
reported() { # NAME
	local name value
	while read -r name value; do
		if [ "$name" = "$1" ]; then
			echo "$value"
			return
		fi
	done <"$work/out/report"
	fail "the guest has reported no $1"
}

# The thread of the monitor that has this name (comm).
task_of() {
	local task
	for task in /proc/"$vm_pid"/task/*; do
		[ "$(<"$task/comm")" != "$1" ] || echo "$task"
	done
}

# How often the monitor's event loop has gone to sleep.
times_woken() {
	local name value
	while read -r name value; do
		[ "$name" != voluntary_ctxt_switches: ] || echo "$value"
	done <"$(task_of vmm-events)/status"
}

# How many clock ticks it has run for.
ticks_run() {
	local stat
	read -r stat <"$(task_of vmm-events)/stat"
	# shellcheck disable=SC2086
	set -- ${stat##*) }
	echo $((${12} + ${13}))
}

nap() { # SECONDS, without a process
	read -rt "$1" <>"$work/never" || :
}

# A root file system, root, with the tests' programs and the guest's script (stdin).
net_root() {
	root=$(image_copy root)
	{
		cat <<-'END'
			export PATH=/sbin:/bin:/usr/sbin:/usr/bin
			mkdir /out
			report() { echo "$*" >>/out/report; }
			failed() { report "failed: $*"; echo "FAILED: $*"; has_failed=1; }
			ms() { read -r up rest </proc/uptime; echo $((${up%.*} * 1000 + 1${up#*.}0 - 1000)); }
			# The next line from the console must be WORD.
			await() { echo "READY $1"; read -r word; [ "$word" = "$1" ] || failed "'$word' instead of $1"; }
			up() { ip addr add $2 dev $1; ip link set $1 up || failed "up $1"; }
			# A failed command is reported with its last line; its output is /out/NAME.
			run() { name=$1; shift; "$@" >/out/$name 2>&1 || failed "$name: $(tail -n 1 /out/$name)"; }
			report begun $(ms)
			dmesg -n 1
		END
		cat
		cat <<-'END'
			dmesg | grep -E 'WARNING|BUG:|Call Trace|NETDEV WATCHDOG|virtio_net.*(error|fail)|rcu.*stall' >/out/complaints
			exit ${has_failed-0}
		END
	} >"$work/script"
	debugfs -w -f - "$root" >"$work/debugfs.log" 2>&1 <<-END
		write $work/script /test.sh
		write $programs/net_peer /bin/net_peer
		write $programs/net_tap /bin/net_tap
		set_inode_field /bin/net_peer mode 0100755
		set_inode_field /bin/net_tap mode 0100755
	END
	if holds "$work/debugfs.log" rror; then fail "writing the programs into the image"; fi
}

net_start() { # NAME OPTION...
	local name=$1
	shift
	exec 9<>"$work/keys"
	vm_start "$name" --kernel "$(guest_file "${kernel:-bzImage}")" --rootfs "$root" \
		--cmdline "$run_script" "$@" <&9
	console=$work/$name.out
}

# Waits until the guest's script is at `await WORD`.
guest_is_at() { # WORD [SECONDS]
	await_text "$console" "READY $1" "${2:-100}"
}

# Lets it go on.
guest_go_on() { # WORD
	echo "$1" >&9
}

# The VM must end by itself with as many lines on stderr, nothing may have failed in it, and its kernel
# may not complain. What it left in /out is in $work/out.
net_finish() { # NAME [LINES ON STDERR]
	local lines
	vm_wait
	expect_status 0
	mapfile -t lines <"$work/$1.err"
	[ ${#lines[@]} -eq "${2:-0}" ] || fail "on stderr: ${lines[*]}"
	debugfs -R "rdump /out $work" "$root" >"$work/debugfs.log" 2>&1
	[ -s "$work/out/report" ] || fail "the guest has left no report"
	if holds "$work/out/report" "failed:"; then fail "in the guest: $(grep -am 1 '^failed:' "$work/out/report")"; fi
	expect_empty "$work/out/complaints"
}
