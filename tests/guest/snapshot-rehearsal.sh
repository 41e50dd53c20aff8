#!/bin/bash
# SPDX-License-Identifier: MIT
# Once its snapshot has a name, a VM goes on for a moment, so that the file tells what its clones touch first: the pages are there, and
# nothing of that moment gets out, whatever the guest does in it: output, disk, events, exit status. A clone takes any list.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
guest=$elf/snapshot_then.elf

# taken OPTIONS WORDS...: a snapshot of a guest that does that.
taken() {
	rm -f "$tmp/snap"
	vmm_run --kernel "$guest" --cmdline "$*" --snapshot "$tmp/snap" --status-fd 7 --events-fd 8 "${options[@]}" 7>"$tmp/status" 8>"$tmp/events"
	expect_status 0 "$*"
	expect_output asks
	expect_no_errors
	grep -q '"reason":"guest_ended"' "$tmp/status" || die "$*: $(cat "$tmp/status")"
	[ "$(grep -c '"event":"snapshot"' "$tmp/events")" = 1 ] || die "$*: $(cat "$tmp/events")"
	! grep -q '"event":"ready"' "$tmp/events" || die "$*: it is ready"
	[ "$(stat -c %a "$tmp/snap")" = 600 ] || die "the file's mode is $(stat -c %a "$tmp/snap")"
}

# cloned STATUS OPTION...: a clone does all of it, and no clone changes the file.
cloned() {
	local sum
	sum=$(sha256sum <"$tmp/snap")
	vmm_run --restore "$tmp/snap" "${options[@]}" "${@:2}" 8>"$tmp/events"
	expect_status "$1" "a clone, ${*:2}"
	[ "$sum" = "$(sha256sum <"$tmp/snap")" ] || die "a clone has changed the file"
}

list() { # of $tmp/snap, a line for each page: w or r, and its number
	python3 - "$tmp/snap" <<-'END'
		import struct, sys
		sys.path.insert(0, "tests/guest")
		import snapshot_format
		with open(sys.argv[1], "rb") as file:
		    head = file.read(4096)[512:]
		checksum, n = struct.unpack_from("<QI", head)
		if checksum != snapshot_format.checksum(head[8:]):
		    sys.exit("FAILED: the list's checksum")
		for page in struct.unpack_from(f"<{n}I", head, 16):
		    print("w" if page >> 31 else "r", format(page & 0x7fffffff, "x"))
	END
}

options=()
taken touch
list >"$tmp/list"
for i in 0 1 2 3 4; do
	grep -qx "w $(printf %x $((0x2000 + i * 0x20)))" "$tmp/list" || die "$(cat "$tmp/list"): not all that is written to is there"
	grep -qx "r $(printf %x $((0x2800 + i * 0x20)))" "$tmp/list" || die "$(cat "$tmp/list"): not all that is read is there"
done
[ "$(wc -l <"$tmp/list")" -lt 30 ] || die "$(cat "$tmp/list"): too much is there"
cloned 0
expect_output clone

# A monitor that waits has made them its own.
mkfifo "$tmp/order"
"${monitor[@]}" --restore "$tmp/snap" --start-fd 7 7<>"$tmp/order" >"$tmp/out" 2>"$tmp/err" &
for _ in $(seq 100); do
	kib=$(awk '/^[0-9a-f]+-/ { here = $NF ~ /snap$/ && $2 ~ /w/ } here && /^Anonymous:/ { sum += $2 } END { print sum + 0 }' /proc/$!/smaps)
	[ "$kib" -lt 20 ] || break
	sleep 0.05
done
[ "$kib" -ge 20 ] && [ "$kib" -le 60 ] || die "$kib KiB of the guest's memory are the waiting monitor's own"
kill $!
wait $! || :

taken status=42
cloned 42
taken reset
cloned 0
taken crash
cloned 126
taken jump-nowhere
cloned 125
taken flood
cloned 0
[ "$(wc -l <"$tmp/out")" = 1000 ] || die "the clone has printed $(wc -l <"$tmp/out") lines"
taken again
cloned 0 --events-fd 8
grep -q '"event":"ready"' "$tmp/events" || die "a clone is not ready: $(cat "$tmp/events")"
taken spin

# Stopped in the middle, and continued; or it has ended by then.
for _ in 1 2 3 4 5 6 7 8; do
	rm "$tmp/snap"
	"${monitor[@]}" --kernel "$guest" --cmdline spin --snapshot "$tmp/snap" >"$tmp/out" 2>"$tmp/err" &
	until [ -e "$tmp/snap" ]; do kill -0 $!; done
	kill -STOP $! 2>/dev/null || continue
	sleep 0.05
	kill -CONT $!
	status=0
	wait $! || status=$?
	expect_status 0 "a stop and continue"
done

# A file that could not get its name was the one that can be read: the next one has no list, and the VM ends as well.
rm "$tmp/snap"
touch "$tmp/taken"
timeout -s KILL 20 "${monitor[@]}" --kernel "$elf/idle.elf" --snapshot "$tmp/snap" --control "$tmp/c" >"$tmp/out" 2>"$tmp/err" &
for _ in $(seq 250); do [ ! -S "$tmp/c" ] || break; sleep 0.02; done
! ./vmm ctl "$tmp/c" 'snapshot taken' >"$tmp/refused" || die "$(cat "$tmp/refused"): a file is replaced"
./vmm ctl "$tmp/c" snapshot >/dev/null
wait $! || die "the VM has not ended"
[ -e "$tmp/snap" ] || die "there is no second file"

truncate -s 1M "$tmp/disk"
options=(--disk "$tmp/disk")
for words in write 'write anew'; do
	# shellcheck disable=SC2086
	taken $words
	cmp -s -n $((1 << 20)) "$tmp/disk" /dev/zero || die "$words: the disk is written to"
	cloned 0
	[ "$(od -An -tx1 -j 512 -N 1 "$tmp/disk")" = ' 5a' ] || die "$words: a clone's disk is not written to"
	dd if=/dev/zero of="$tmp/disk" bs=1M count=1 conv=notrunc status=none
done

# Any list: damaged, or of pages that nobody has, with a checksum that fits.
change_list() { # EXPRESSION: its words
	python3 - "$tmp/snap" "$1" <<-'END'
		import random, struct, sys
		sys.path.insert(0, "tests/guest")
		import snapshot_format
		words = eval(sys.argv[2])
		body = struct.pack("<894I", *words, *[0] * (894 - len(words)))
		with open(sys.argv[1], "r+b") as file:
		    file.seek(512)
		    file.write(struct.pack("<Q", snapshot_format.checksum(body)) + body)
	END
}
options=()
taken touch
printf '\1' | dd of="$tmp/snap" bs=1 seek=530 conv=notrunc status=none
cloned 0
expect_output clone
for list in '[892, 0] + [random.getrandbits(32) for _ in range(892)]' '[892, 0] + [1 << 31 | 0x8000 - i for i in range(892)]' \
	'[893, 0]' '[0xffffffff, 0]' '[892, 0] + [0x80000000 | 0x2000] * 892'; do
	change_list "$list"
	cloned 0
	expect_output clone
	vmm_run --restore "$tmp/snap" --start-fd 7 7< <(echo go)
	expect_status 0 "$list"
	expect_output clone
done
