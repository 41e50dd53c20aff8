#!/bin/bash
# --status-fd: one line of JSON with the exit code and its reason for every way in which a VM ends, or does not
# begin; when it is read the disks are free, and the descriptor and stdout end at once.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# report ARGUMENT...: runs vmm; the report is in $tmp/report.
report() {
	vmm_run --status-fd 7 "$@" 7>"$tmp/report"
}

# expect_report CODE REASON [MESSAGE-REGEX]
expect_report() {
	expect_status "$1"
	python3 - "$tmp/report" "$@" <<'END' || { cat "$tmp/report"; die "the report is not as expected: $*"; }
import json, re, sys
path, code, reason, *message = sys.argv[1:]
lines = open(path).readlines()
assert len(lines) == 1 and lines[0].endswith("\n"), lines
report = json.loads(lines[0])
assert report["exit_code"] == int(code) and report["reason"] == reason, report
if message:
    assert re.search(message[0], report["message"]), report
    assert set(report) == {"exit_code", "reason", "message"}, report
else:
    assert set(report) == {"exit_code", "reason"}, report
END
}

report --kernel "$elf/end.elf" --cmdline reset
expect_report 0 guest_ended
expect_no_errors
report --kernel "$elf/end.elf" --cmdline triple
expect_report 4 triple_fault
report --kernel "$elf/end.elf" --cmdline internal
expect_report 5 kvm_error
report --kernel "$tmp/no\"such\\file"$'\t'
expect_report 2 bad_input '^--kernel .*no"such\\file\t: No such file'
expect_error 'No such file'
report --kernel "$elf/end.elf" --mem 1
expect_report 2 bad_input '^--mem 1: '

# A signal.
./vmm --status-fd 7 --kernel "$elf/end.elf" --cmdline spin 7>"$tmp/report" >"$tmp/out" 2>"$tmp/err" </dev/null &
pid=$!
wait_for "$tmp/out" running
kill -TERM $pid
status=0
wait $pid || status=$?
expect_report 143 signal

# Neither open, nor for writing, nor a number.
for redirection in '8</dev/null' '8>&-'; do
	status=0
	eval "./vmm --status-fd 8 --kernel $elf/end.elf $redirection" >"$tmp/out" 2>"$tmp/err" || status=$?
	expect_status 2 "$redirection"
	expect_error '--status-fd 8: '
done
vmm_run --status-fd 2 --kernel "$elf/end.elf"
expect_status 2
expect_error '--status-fd 2: expected a descriptor number from 3'

# When the line is there another monitor can have the disk. Stopped then, the first cannot do any more for it.
truncate -s 1M "$tmp/disk"
mkfifo "$tmp/fifo"
for ((i = 0; i < 10; i++)); do
	./vmm --status-fd 7 --kernel "$elf/end.elf" --cmdline reset --disk "$tmp/disk" 7>"$tmp/fifo" 2>"$tmp/err" &
	pid=$!
	read -r line <"$tmp/fifo"
	kill -STOP $pid 2>/dev/null || :
	[[ $line == '{"exit_code":0,'* ]] || die "the line is: $line"
	vmm_run --kernel "$elf/end.elf" --cmdline reset --disk "$tmp/disk"
	expect_status 0 "on the disk of a monitor that has reported its end"
	kill -CONT $pid 2>/dev/null || :
	wait $pid || die "the first monitor ended with $?"
done

# A reader that stands still holds nothing up.
python3 - ./vmm "$elf/end.elf" <<'END' || die "a full pipe holds the end up"
import fcntl, os, subprocess, sys, time
r, w = os.pipe()
os.set_blocking(w, False)
try:
    while True:
        os.write(w, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(w, True)
start = time.monotonic()
code = subprocess.call([sys.argv[1], "--kernel", sys.argv[2], "--cmdline", "reset", "--status-fd", str(w)], pass_fds=[w])
assert code == 0 and time.monotonic() - start < 5, (code, time.monotonic() - start)
END
