#!/bin/bash
# SPDX-License-Identifier: MIT
# durable.sh [RECORDINGS STEPS CRASHES KILLS]: what a guest's flush has acknowledged is on the disk after a crash of the host at
# any moment, and all that was acknowledged after SIGKILL of the monitor (docs/testing.md). SEED=N repeats a guest's work, though
# not its timing. Runs in which something was lost stay in build/tests/durable. VMM names another monitor.
set -eu
cd "$(dirname "$0")/../.."
recordings=${1:-2} steps=${2:-120} crashes=${3:-200} kills=${4:-2}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$((seed % 32768))
each=$((recordings ? (crashes + recordings - 1) / recordings : 0)) # crashes of a recording
runs=$PWD/build/tests/durable
kinds=(plain overlay)
# Mount options and the file system's block. Not data=journal: ext4 revokes nothing there, zeroes blocks beside its journal all
# the same, and replays what the block's last owner has left in the journal.
systems=("dioread_lock 4096" "discard 1024" "discard,nodelalloc 4096" "nodelalloc 1024" "commit=1 4096")
batch=10 # runs whose disks are kept at once

[[ $(lab/lab --check) == direct* || $(id -u) = 0 ]] || {
	echo "the emulated machine needs root"
	exit 77
}

make_run() { # NAME NUMBER STEPS
	local run=$runs/$1 kind=${kinds[$2 % 2]} system=${systems[$2 % ${#systems[@]}]}
	rm -rf "$run"
	mkdir -p "$run/initial"
	truncate -s 16M "$run/initial/files"
	mke2fs -q -t ext4 -b "${system#* }" -J size=4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$run/initial/files"
	truncate -s 8M "$run/initial/log"
	tests/machines/durable_check.py initial "$run/initial/raw"
	[ "$kind" = plain ] || touch "$run"/initial/overlay_{files,raw}
	printf '%s\n' "SEED=$((seed + $2))" "STEPS=$3" "OPTIONS=${system% *}" "KIND=$kind" \
		"PAUSE=$((RANDOM % 3)).$((RANDOM % 10))" >"$run/run"
}

work() { # record|kill NAME...
	local what=$1
	shift
	lab/lab --quiet --cpus 1 --time-limit 900 -- tests/machines/durable_work.bash "$what" "${@/#/$runs/}" </dev/null
}

# The disks of runs in which nothing was lost are not kept.
check() { # crashes|killed NAME...
	local what=$1 name status=0
	shift
	for name; do
		if tests/machines/durable_check.py "$what" "$runs/$name" $each "$seed"; then
			rm -r "${runs:?}/$name"
		else
			status=1
		fi
	done
	return $status
}

echo "seed $seed"
rm -rf "$runs"
failed=0
pids=()
for ((i = 0; i < recordings; i += batch)); do
	names=()
	for ((n = i; n < i + batch && n < recordings; n++)); do
		make_run "crash-$n" $n "$steps"
		names+=("crash-$n")
	done
	status=0
	work record "${names[@]}" || status=$?
	[ $status != 77 ] || exit 77
	[ $status = 0 ] || exit 1
	# The next guests work meanwhile.
	check crashes "${names[@]}" &
	pids+=($!)
done
for ((i = 0; i < kills; i += batch)); do
	names=()
	for ((n = i; n < i + batch && n < kills; n++)); do
		make_run "kill-$n" $n 1000000
		names+=("kill-$n")
	done
	work kill "${names[@]}" || failed=1
	check killed "${names[@]}" || failed=1
done
for pid in "${pids[@]}"; do
	wait "$pid" || failed=1
done
[ $failed = 0 ] || exit 1
echo "seed $seed: $crashes crashes of $recordings recorded guests, $kills SIGKILLs: nothing is lost"
