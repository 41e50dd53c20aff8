# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For tests, after lib.sh: a monitor that runs in the background, in $vmm_pid, and ends with the test.
vmm_pid=

# vmm_start ARGUMENT...: the monitor in the background, in $vmm_pid, and waits for the guest's "ready".
# `launcher` may be set to a command that starts it.
launcher=()
vmm_start() {
	: >"$tmp/out"
	"${launcher[@]}" "${monitor[@]}" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null &
	vmm_pid=$!
	(wait_for "$tmp/out" ready) || { show; exit 1; }
}

# Waits for the monitor's end; 10 s at most.
vmm_wait() {
	local i
	for ((i = 0; i < 500; i++)); do
		kill -0 "$vmm_pid" 2>/dev/null || break
		sleep 0.02
	done
	status=0
	[ $i -lt 500 ] || kill -KILL "$vmm_pid"
	wait "$vmm_pid" || status=$?
	vmm_pid=
}

# The thread with the event loop.
loop_task() {
	grep -lx vmm-events "/proc/$vmm_pid"/task/*/comm | sed 's|/comm$||'
}

# cpu_ticks: what the monitor's event loop has used of the CPU, in clock ticks (1/100 s).
cpu_ticks() {
	sed 's/.*) //' "$(loop_task)/stat" | awk '{ print $12 + $13 }'
}

# wake_ups: how often it has gone to sleep, and so has been woken.
wake_ups() {
	sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "$(loop_task)/status"
}
