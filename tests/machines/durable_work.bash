#!/bin/bash
# SPDX-License-Identifier: MIT
# durable_work.bash record|kill RUN...: the guest's part of the durability tests, where KVM runs Linux. RUN is a folder; its file
# `run` has SEED, STEPS, OPTIONS, KIND (plain, overlay) and for kill PAUSE, seconds of work before SIGKILL.
set -eu
cd "$(dirname "$0")/../.."
programs=build/tests/linux
vmm=${VMM:-$PWD/vmm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/root"
cp "$programs/durable_guest" "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet) >"$work/initrd"
cp build/guest/bzImage "$work/kernel"

# The monitor's command line, for disks in a folder.
set_command() { # FOLDER
	local overlay=
	[ "$KIND" = plain ] || overlay=,overlay=$1/overlay_
	command=("$vmm" --kernel "$work/kernel" --initrd "$work/initrd" --mem 96M
		--disk "$1/files${overlay:+${overlay}files}" --disk "$1/log" --disk "$1/raw${overlay:+${overlay}raw}"
		--cmdline "quiet seed=$SEED steps=$STEPS options=$OPTIONS")
}

record() { # RUN
	local files=("$1"/initial/{files,log,raw}) status=0
	[ "$KIND" = plain ] || files+=("$1"/initial/overlay_{files,raw})
	mkdir "$work/disks"
	set_command "$work/disks"
	$programs/durable_disk "$work/disks" "$work/events" "${files[@]}" -- "${command[@]}" >"$work/out" 2>&1 || status=$?
	tr -d '\r' <"$work/out" >"$1/out"
	cp "$work/events" "$1/events"
	rmdir "$work/disks"
	if [ $status != 0 ] || ! grep -q '^durable: .*: well$' "$1/out"; then
		echo "$1: status $status: $(tail -n 3 "$1/out")"
		[ $status != 77 ] || exit 77
		return 1
	fi
}

# The guest works until its monitor is killed.
kill_one() { # RUN
	local status=0 i file pid
	cp --sparse=always -r "$1/initial" "$work/disks"
	set_command "$work/disks"
	"${command[@]}" >"$work/out" 2>&1 &
	pid=$!
	for ((i = 0; i < 600; i++)); do
		! cmp -s -n 8 "$work/disks/log" <(echo -n durable1) || break
		sleep 0.1
	done
	sleep "$PAUSE"
	kill -KILL $pid || :
	wait $pid 2>/dev/null || status=$?
	tr -d '\r' <"$work/out" >"$1/out"
	for file in "$work/disks"/*; do
		cp --sparse=always "$file" "$1/"
	done
	rm -r "$work/disks"
	[ $status = 137 ] || {
		echo "$1: status $status: $(tail -n 3 "$1/out")"
		return 1
	}
}

what=$1
shift
for run; do
	# shellcheck source=/dev/null
	. "$run/run"
	case $what in
	record) record "$run" ;;
	kill) kill_one "$run" ;;
	esac
done
