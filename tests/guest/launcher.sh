#!/bin/bash
# SPDX-License-Identifier: MIT
# The ends of a VM, and what is none: signals of every kind, ignored ones, the launcher's death, the end of stdin, a
# reader of stdout that is gone.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guest/background.bash
. "$(dirname "$0")/background.bash"
need_kvm
guest=(--kernel "$elf/keys.elf")

# still_runs WHAT: after a moment in which it would have ended.
still_runs() {
	sleep 0.2
	kill -0 "$vmm_pid" 2>/dev/null || { show; die "$1 has ended the VM"; }
}

# ends_with SIGNAL STATUS
ends_with() {
	kill -"$1" "$vmm_pid"
	vmm_wait
	expect_status "$2" "SIG$1"
	expect_no_errors
}

wait_state() {
	local i
	for ((i = 0; i < 250; i++)); do
		[[ $(sed 's/.*) //' "/proc/$vmm_pid/stat") == $1* ]] && return
		sleep 0.02
	done
	die "it is not in state $1 after $2"
}

# Job control gives the monitor its default signals.
set -m
for signal in TERM HUP INT QUIT USR2 ALRM VTALRM PROF IO PWR XCPU STKFLT; do
	code=$((128 + $(kill -l $signal)))
	vmm_start --status-fd 7 "${guest[@]}" 7>"$tmp/report"
	ends_with $signal $code
	[ "$(cat "$tmp/report")" = "{\"exit_code\":$code,\"reason\":\"signal\"}" ] || die "SIG$signal: $(cat "$tmp/report")"
done

vmm_start "${guest[@]}"
set +m # a stopped job ends a loop of bash
for signal in USR1 PIPE CHLD WINCH URG XFSZ TTOU CONT; do
	kill -$signal "$vmm_pid"
	still_runs "SIG$signal"
done
for signal in STOP TSTP TTIN; do
	kill -$signal "$vmm_pid"
	wait_state T "SIG$signal"
	kill -CONT "$vmm_pid"
	wait_state '[^T]' SIGCONT
	still_runs "SIG$signal, SIGCONT"
done
ends_with TERM 143
set -m

# Signals that the launcher ignores.
launcher=(env --ignore-signal="HUP,TERM,USR2,TSTP" --)
vmm_start "${guest[@]}"
for signal in HUP TERM USR2 TSTP; do
	kill -$signal "$vmm_pid"
	still_runs "an ignored SIG$signal"
	[[ $(sed 's/.*) //' "/proc/$vmm_pid/stat") != T* ]] || die "an ignored SIG$signal has stopped it"
done
ends_with INT 130
launcher=()
set +m
vmm_start "${guest[@]}" # a shell's &: SIGINT and SIGQUIT are ignored
for signal in INT QUIT; do
	kill -$signal "$vmm_pid"
	still_runs "an ignored SIG$signal"
done
ends_with TERM 143
set -m

# launch COMMAND...: from a launcher of its own, whose process is $launcher_pid; the monitor is $vmm_pid, and its report
# is in $tmp/report.
launch() {
	: >"$tmp/report"
	: >"$tmp/out"
	rm -f "$tmp/pid"
	(
		"$@" ./vmm --status-fd 7 "${guest[@]}" 7>"$tmp/report" >"$tmp/out" 2>"$tmp/err" </dev/null &
		echo $! >"$tmp/pid.new"
		mv "$tmp/pid.new" "$tmp/pid"
		wait
	) &
	launcher_pid=$!
	until [ -e "$tmp/pid" ]; do sleep 0.01; done
	vmm_pid=$(cat "$tmp/pid")
	wait_for "$tmp/out" ready
	kill -KILL $launcher_pid
	wait $launcher_pid 2>/dev/null || :
}
launch env
still_runs "the launcher's death"
[ ! -s "$tmp/report" ] || die "a VM that runs has reported $(cat "$tmp/report")"
kill -TERM "$vmm_pid"
wait_for "$tmp/report" '{"exit_code":143,"reason":"signal"}'
launch setpriv --pdeathsig TERM --
wait_for "$tmp/report" '{"exit_code":143,"reason":"signal"}'
vmm_pid=

# The end of stdin, after which a guest gets nothing more.
mkfifo "$tmp/keys"
: >"$tmp/out"
./vmm "${guest[@]}" <"$tmp/keys" >"$tmp/out" 2>"$tmp/err" &
vmm_pid=$!
printf a >"$tmp/keys"
wait_for "$tmp/out" '<61>'
still_runs "the end of stdin"
ends_with TERM 143

# The reader of stdout goes away: the guest prints on, into nothing.
mkfifo "$tmp/screen"
./vmm --kernel "$elf/end.elf" --cmdline flood >"$tmp/screen" 2>"$tmp/err" </dev/null &
vmm_pid=$!
head -c 100 "$tmp/screen" >/dev/null
still_runs "a reader that has left"
ends_with TERM 143
