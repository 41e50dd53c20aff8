#!/bin/bash
# SPDX-License-Identifier: MIT
# examples/launcher.c and launcher.py: a hundred VMs at once, whose ends are told apart; nothing is left, even of a
# launcher that is killed.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/../guest/lib.sh"
need_kvm
seconds=30 # enough for 100 on a busy machine
truncate -s 1M "$tmp/image"
gcc -O2 -std=gnu11 -Wall -Wextra -Werror -pthread -o "$tmp/launcher" examples/launcher.c
for launcher in examples/launcher.c examples/launcher.py; do
	limit=$([ $launcher = examples/launcher.c ] && echo 150 || echo 80)
	[ "$(wc -l <$launcher)" -lt "$limit" ] || die "$launcher has $limit lines or more"
done

# Its own status, whatever a monitor would mean by it; a panic; time that is over.
for ((i = 0; i < 96; i += 4)); do
	printf '%s\n' "echo hello $i" "exit $((i + 100))" 'exit 126' 'echo c >/proc/sysrq-trigger'
done >"$tmp/scripts"
printf 'sleep 1000\n%.0s' 1 2 3 4 >>"$tmp/scripts"
for ((i = 0; i < 96; i += 4)); do
	printf '%s\n' "$i exited 0: hello $i" "$((i + 1)) exited $((i + 100)): " "$((i + 2)) exited 126: " "$((i + 3)) panicked: "
done >"$tmp/expected"
printf '%s timed out: \n' 96 97 98 99 >>"$tmp/expected"

launch() { # NAME LAUNCHER: with build/tests/reaper, which names what is left
	local status=0
	build/tests/reaper 200 "$2" ./vmm "$elf/script.elf" "$tmp/image" $seconds <"$tmp/scripts" >"$tmp/$1.out" 2>"$tmp/$1.err" || status=$?
	echo $status >"$tmp/$1.status"
}
[ -x build/tests/reaper ] || make -s build/tests/reaper
launch c "$tmp/launcher" &
c=$!
launch py examples/launcher.py &
wait $c $!
for name in c py; do
	diff "$tmp/expected" "$tmp/$name.out" || die "the launcher in $name: $(tail -n 3 "$tmp/$name.err")"
	[ "$(cat "$tmp/$name.status")" = 1 ] || die "the launcher in $name: exit status $(cat "$tmp/$name.status")"
	[ ! -s "$tmp/$name.err" ] || die "the launcher in $name: $(cat "$tmp/$name.err")"
done

# All well; a monitor that refuses.
for launcher in "$tmp/launcher" examples/launcher.py; do
	[ "$(echo 'echo hello' | $launcher ./vmm "$elf/script.elf" "$tmp/image" 60)" = "0 exited 0: hello" ] || die "$launcher: one VM"
	status=0
	echo 'exit 0' | $launcher ./vmm "$tmp/image" "$tmp/image" 60 >"$tmp/out" 2>"$tmp/err" || status=$?
	[ $status = 1 ] || die "$launcher without a kernel: exit status $status"
	grep -qE '^0 failed .*--kernel fd=[0-9]+: expected a bzImage.*, not ready: $' "$tmp/out" || { show; die "$launcher without a kernel"; }

	# Its VMs end with it.
	mkfifo "$tmp/fifo"
	$launcher ./vmm "$elf/script.elf" "$tmp/image" 1000 <"$tmp/fifo" >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	yes 'sleep 1000' | head -n 10 >"$tmp/fifo"
	for ((i = 0; i < 500; i++)); do
		read -ra vms <<<"$(cat /proc/$pid/task/*/children | tr '\n' ' ')"
		[ ${#vms[@]} -lt 10 ] || break
		sleep 0.02
	done
	[ ${#vms[@]} = 10 ] || die "$launcher has ${#vms[@]} VMs, expected 10"
	kill -KILL $pid
	wait $pid 2>/dev/null || :
	for ((i = 0; i < 500; i++)); do
		left=$(for vm in "${vms[@]}"; do grep -l '^Name:.vmm' "/proc/$vm/status" 2>/dev/null || :; done)
		[ -n "$left" ] || break
		sleep 0.02
	done
	[ -z "$left" ] || die "$launcher was killed; these VMs run on: $left"
	rm "$tmp/fifo"
done
