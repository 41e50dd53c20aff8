#!/bin/bash
# SPDX-License-Identifier: MIT
# --sandbox: what each thread of the monitor has given away when the guest runs, as the host's kernel tells it.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# started ARGUMENT...: a guest that says "running" and halts; its monitor is $pid.
started() {
	: >"$tmp/out" # of the one before
	"${monitor[@]}" --kernel "$elf/end.elf" --cmdline halt "$@" >"$tmp/out" 2>"$tmp/err" </dev/null &
	pid=$!
	for ((i = 0; i < 500; i++)); do
		! grep -q running "$tmp/out" || return 0
		kill -0 $pid 2>/dev/null || break
		sleep 0.02
	done
	die "the guest does not run: $(cat "$tmp/err")"
}

ended() {
	kill -TERM $pid
	status=0
	wait $pid || status=$?
	expect_status 143 "$*"
}

# of_threads FIELD: its values, each once
of_threads() {
	sed -n "s/^$1:[[:space:]]*//p" /proc/$pid/task/*/status | sort -u | tr '\n' ' '
}

expect() { # WHAT WANTED GOT
	[ "$2" = "$3" ] || die "$1: $3, expected $2"
}

truncate -s 4M "$tmp/disk"
started --disk "$tmp/disk" --cpus 2
expect "threads" "vmm vmm-events vmm-vcpu1 " "$(grep -hvE "nx-lpage|iou-wrk" /proc/$pid/task/*/comm | sort | tr '\n' ' ')"
for field in CapInh CapPrm CapEff; do
	expect "$field" "0000000000000000 " "$(of_threads $field)"
done
expect NoNewPrivs "1 " "$(of_threads NoNewPrivs)"
expect Seccomp "2 " "$(of_threads Seccomp)"
expect "filters" "1 " "$(of_threads Seccomp_filters)"
expect "core limit" "0 0" "$(awk '/^Max core/ { print $5, $6 }' /proc/$pid/limits)"
expect "open files" "258 258" "$(awk '/^Max open/ { print $4, $5 }' /proc/$pid/limits)"
ended "sandboxed"

# An overlay's file is longer than its disk.
for kind in "" "=$tmp/kept" "-dir=$tmp"; do
	truncate -s 2M "$tmp/base"
	"${monitor[@]}" --kernel "$elf/blk_io.elf" --disk "$tmp/base,overlay$kind" </dev/null 2>&1 | cat >"$tmp/out"
	! grep -qa "File too large\|big FAILED" "$tmp/out" || die "overlay$kind: $(tr -d "\0" <"$tmp/out")"
done

# The only right that is left: root's own way into a directory of another user, to the sockets beside the vsock's.
if [ "$(id -u)" = 0 ]; then
	started --vsock "cid=3,uds=$tmp/v"
	expect "CapEff with a vsock" "0000000000000002 " "$(of_threads CapEff)"
	for thread in /proc/$pid/task/*; do
		# Whoever connects sees nothing but the vsock's directory.
		case $(cat "$thread/comm") in
		vmm-events | iou-wrk*) expect "root of $thread" "$tmp" "$(readlink "$thread/root")" ;;
		*) expect "root of $thread" "$(readlink /proc/self/root)" "$(readlink "$thread/root")" ;;
		esac
	done
	ended "with a vsock"
	[ ! -e "$tmp/v" ] || die "the vsock's path is left behind"
fi

# Another user, without root's groups; nobody but root can be that.
if [ "$(id -u)" = 0 ]; then
	started --uid 1234 --gid 1235 --cpus 2 --disk "$tmp/disk"
	expect Uid "1234	1234	1234	1234 " "$(of_threads Uid)"
	expect Gid "1235	1235	1235	1235 " "$(of_threads Gid)"
	expect Groups " " "$(of_threads Groups | sed 's/^ *$/ /')"
	expect CapPrm "0000000000000000 " "$(of_threads CapPrm)"
	ended "--uid"
	started --sandbox off --uid 1234 --gid 1235
	expect "Uid, off" "1234	1234	1234	1234 " "$(of_threads Uid)"
	ended "--uid, off"
	chmod 711 "$tmp"
	status=0
	setpriv --reuid 1 --regid 1 --clear-groups "${monitor[@]}" --kernel "$elf/hello.elf" --uid 1234 --gid 1235 2>"$tmp/err" ||
		status=$?
	expect_status 121 "--uid, not root"
	expect_error '^vmm: --uid 1234: only root can become another user$'
fi
for option in "--uid 1234" "--gid 1235" "--uid 0 --gid 5" "--uid 5 --gid -1" "--uid root --gid 5"; do
	# shellcheck disable=SC2086
	vmm_run --kernel "$elf/hello.elf" $option
	expect_status 121 "$option"
	expect_error '^vmm: --[ug]id'
done

started --sandbox off
expect "Seccomp, off" "0 " "$(of_threads Seccomp)"
expect "NoNewPrivs, off" "0 " "$(of_threads NoNewPrivs)"
expect_error '^vmm: --sandbox off: '
ended "off"

# --check tries the layers that are in use; strict refuses what it finds missing.
layers="capabilities landlock landlock-tcp landlock-scope seccomp "
vmm_run --check --kernel "$elf/hello.elf"
expect_status 0 "--check"
expect "layers" "$layers" "$(awk '$1 == "sandbox" { print $2 }' "$tmp/out" | tr '\n' ' ')"
expect "their lines" "" "$(sed -n '/^sandbox  /{/^sandbox  [a-z-]* \(on\|off: ..*\)$/!p}' "$tmp/out")"
off=$(grep -c '^sandbox .* off: ' "$tmp/out") || :
vmm_run --check --sandbox strict --kernel "$elf/hello.elf"
expect_status $((off > 0 ? 122 : 0)) "--check --sandbox strict, $off layers missing"
vmm_run --check --sandbox off --kernel "$elf/hello.elf"
expect_status 0 "--check --sandbox off"
expect "layers, off" "$(wc -w <<<"$layers")" "$(grep -c '^sandbox .* off: --sandbox off$' "$tmp/out")"

vmm_run --sandbox strict --kernel "$elf/hello.elf"
expect_status $((off > 0 ? 122 : 0)) "--sandbox strict"
if [ "$status" = 0 ]; then
	expect_no_errors
else
	expect_status 122 "--sandbox strict"
	expect_error '^vmm: --sandbox strict: this host has not all layers: '
fi
vmm_run --sandbox warn --kernel "$elf/hello.elf"
expect_status 0 "--sandbox warn"
vmm_run --sandbox loose --kernel "$elf/hello.elf"
expect_status 121 "--sandbox loose"
