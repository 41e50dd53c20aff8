#!/bin/bash
# SPDX-License-Identifier: MIT
# --status-fd: one line of JSON with the exit code and its reason for every way in which a VM ends, or does not
# begin; when it is read the disks are free, and the descriptor and stdout end at once.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guest/background.bash
. "$(dirname "$0")/background.bash"
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
    assert set(report) - {"option", "value", "errno"} == {"exit_code", "reason", "message"}, report
else:
    assert set(report) == {"exit_code", "reason"}, report
END
}

report --kernel "$elf/end.elf" --cmdline reset
expect_report 0 guest_ended
expect_no_errors
report --kernel "$elf/end.elf" --cmdline triple
expect_report 123 triple_fault
report --kernel "$elf/end.elf" --cmdline internal
expect_report 125 kvm_error
report --kernel "$tmp/no\"such\\file"$'\t'
expect_report 121 bad_input '^--kernel .*no"such\\file[?]: No such file'
expect_error 'No such file'
report --kernel "$elf/end.elf" --mem 1
expect_report 121 bad_input '^--mem 1: '

# A signal.
./vmm --status-fd 7 --kernel "$elf/end.elf" --cmdline spin 7>"$tmp/report" >"$tmp/out" 2>"$tmp/err" </dev/null &
vmm_pid=$!
wait_for "$tmp/out" running
kill -TERM $vmm_pid
status=0
wait $vmm_pid || status=$?
vmm_pid=
expect_report 143 signal

# Neither open, nor for writing, nor a number.
for redirection in '8</dev/null' '8>&-'; do
	status=0
	eval "./vmm --status-fd 8 --kernel $elf/end.elf $redirection" >"$tmp/out" 2>"$tmp/err" || status=$?
	expect_status 121 "$redirection"
	expect_error '--status-fd 8: '
done
vmm_run --status-fd 2 --kernel "$elf/end.elf"
expect_status 121
expect_error '--status-fd 2: expected a descriptor number from 3'

# Both reports on one descriptor: the line is the status.
for order in "--status-fd 7 --events-fd 7" "--events-fd 7 --status-fd 7"; do
	# shellcheck disable=SC2086
	vmm_run $order --kernel "$elf/end.elf" 7>"$tmp/report"
	expect_report 121 bad_input '^--events-fd 7: descriptor 7 is given twice, also as --status-fd 7$'
	[ "$(wc -l <"$tmp/err")" = 1 ] || die "stderr: $(cat "$tmp/err")"
done

# When the line is there another monitor can have the disk. Stopped then, the first cannot do any more for it.
truncate -s 1M "$tmp/disk"
mkfifo "$tmp/fifo"
for ((i = 0; i < 10; i++)); do
	./vmm --status-fd 7 --kernel "$elf/end.elf" --cmdline reset --disk "$tmp/disk" 7>"$tmp/fifo" 2>"$tmp/err" &
	vmm_pid=$!
	read -r line <"$tmp/fifo"
	kill -STOP $vmm_pid 2>/dev/null || :
	[[ $line == '{"exit_code":0,'* ]] || die "the line is: $line"
	vmm_run --kernel "$elf/end.elf" --cmdline reset --disk "$tmp/disk"
	expect_status 0 "on the disk of a monitor that has reported its end"
	kill -CONT $vmm_pid 2>/dev/null || :
	wait $vmm_pid || die "the first monitor ended with $?"
	vmm_pid=
done

# Whatever is wrong: in front of it, behind it, with itself given twice, or with a value forgotten.
truncate -s 0 "$tmp/report"
for words in '--bogus --status-fd 7' '--status-fd 7 --bogus' 'stray --status-fd=7' '--mem 1 --status-fd 7' \
	'--status-fd 7 --status-fd 7' '--status-fd 7 --status-fd 2' '--status-fd 999 --status-fd 7' '--kernel --status-fd 7' '--status-fd 7'; do
	# shellcheck disable=SC2086 # words
	vmm_run $words 7>"$tmp/report"
	expect_report 121 bad_input .
	expect_error .
done
vmm_run --help --status-fd 7 7>"$tmp/report"
expect_report 0 guest_ended
# Its own descriptor is no longer for anything else.
vmm_run --status-fd 7 --kernel "$elf/end.elf" --net fd=7 7>"$tmp/report"
expect_report 121 bad_input 'given twice'

# The message is the line on stderr; bytes that are no UTF-8 are U+FFFD, and it is valid JSON wherever it is cut.
python3 - ./vmm "$elf/end.elf" <<'END' || die "the message"
import json, os, subprocess, sys
def message(*words):
    r, w = os.pipe()
    vmm = subprocess.run([sys.argv[1].encode(), b"--status-fd=%d" % w, *words], pass_fds=[w], capture_output=True)
    os.close(w)
    report = json.loads(os.fdopen(r, "rb").read().decode())
    assert vmm.returncode == 121 and report["exit_code"] == 121, (vmm, report)
    assert vmm.stderr.startswith(b"vmm: ") and vmm.stderr.count(b"\n") == 1 and vmm.stderr.endswith(b"\n"), vmm.stderr
    assert report["message"] == vmm.stderr[5:-1].decode(errors="replace"), (report, vmm.stderr)
    return report["message"]
assert message(b"--kernel", b"/\xff\xfe\xc3(") == "--kernel /\ufffd\ufffd\ufffd(: No such file or directory"
message(b"--kernel", b"/\xe2\x82")
message(b"--mem", b'"\\' * 300)
for unit in ("x", "\u00e4", "\u20ac", "\U0001f600"):
    for n in list(range(90, 700, 7)) + [1024, 4000]:
        name = (unit * n).encode()[: n - n % 4 if n > 4 else n]
        name = name[: len(name) - len(name) % len(unit.encode())]
        path = b"/" + b"/".join(name[i : i + 252] for i in range(0, len(name), 252))
        text = message(b"--kernel", path)
        assert text.startswith("--kernel /" + unit) and "\ufffd" not in text, text
        assert text.endswith("No such file or directory") or text.endswith("Filename too long"), text
for option in (b"--kernel", b"--mem", b"--cpus", b"--serial", b"--disk", b"--net", b"--vsock", b"--initrd", b"--x" * 500, b""):
    text = message(*([option] if option else []), b"/" + b"y" * 5000, *([] if option == b"--kernel" else [b"--kernel", sys.argv[2].encode()]))
    assert text.startswith((option.decode() or "unexpected argument '/y", "unknown option --x")), text
    assert "..." in text and not text.endswith("yy"), text
assert message(b"--kernel", b"a\nvmm: b\r\x1b[2J\x7f") == "--kernel a?vmm: b??[2J?: No such file or directory"
END

# Readers that have left or are stalled, of the status and of stderr, and a disk that is full: nobody is killed, and
# what can still be said is said.
PYTHONPATH=tests/guest python3 -B - ./vmm "$elf/end.elf" "$elf/serial_flood.elf" <<'END' || die "dead readers"
import json, os, subprocess, sys
from readers import dead, device, full
vmm, kernel, flood = sys.argv[1:]
cases = [(["--kernel", kernel, "--cmdline", "reset"], 0), (["--kernel", "/none"], 121), (["--bogus"], 121), (["--help"], 0),
         (["--kernel", kernel, "--cmdline", "triple"], 123)]
for make, reason in ((full, "Operation timed out"), (dead, "Broken pipe"), (device, "No space left on device")):
    for words, code in cases:
        _reader, w = make()
        run = subprocess.run([vmm, "--status-fd", str(w), *words], pass_fds=[w], capture_output=True, timeout=20)
        assert run.returncode == code, (make, words, run)
        lines = run.stderr.decode().splitlines()
        assert lines[-1] == "vmm: --status-fd %d: the status is not written: %s" % (w, reason), lines
        assert len(lines) == (2 if code in (121, 123) else 1), lines
        os.close(w)
        # and stderr
        reader, w = make()
        r, status = os.pipe()
        run = subprocess.run([vmm, "--status-fd", str(status), *words], pass_fds=[status], stderr=w,
                             stdout=subprocess.DEVNULL, timeout=20)
        os.close(status)
        assert run.returncode == code, (make, words, run)
        assert json.loads(os.read(r, 9999))["exit_code"] == code
        # and both
        run = subprocess.run([vmm, "--status-fd", str(w), *words, "--boot-timer"], pass_fds=[w], stderr=w,
                             stdout=subprocess.DEVNULL, timeout=20)
        assert run.returncode == code, (make, words, run)
for words in (["--help"], ["--version"]):
    for make, reason in ((dead, "Broken pipe"), (device, "No space left on device")):
        r, status = os.pipe()
        run = subprocess.run([vmm, "--status-fd", str(status), *words], pass_fds=[status], stdout=make()[1],
                             stderr=subprocess.PIPE, timeout=20)
        os.close(status)
        assert run.returncode == 122 and run.stderr.decode() == "vmm: stdout: %s\n" % reason, run
        assert json.loads(os.read(r, 9999))["exit_code"] == 122
# A reader of stdout that is stalled at the end: after 5 s the rest is given up, and how much that is, is said.
_reader, w = full()
r, status = os.pipe()
run = subprocess.run([vmm, "--status-fd", str(status), "--kernel", flood, "--cmdline", "bytes=2048"], pass_fds=[status],
                     stdin=subprocess.DEVNULL, stdout=w, stderr=subprocess.PIPE, timeout=60)
os.close(status)
assert run.returncode == 0, run
assert run.stderr == b"vmm: console: the guest's last 2048 bytes are lost: the reader is stalled\n", run
assert json.loads(os.read(r, 9999)) == {"exit_code": 0, "reason": "guest_ended", "lost_output_bytes": 2048}
END

# Limits, and standard descriptors that are closed where there is no /dev/null: each is a line.
python3 - ./vmm "$elf/end.elf" "$tmp" <<'END' || die "closed descriptors and limits"
import itertools, json, os, resource, shutil, subprocess, sys
vmm, kernel, tmp = sys.argv[1:]
def run(words, prepare, code):
    r, w = os.pipe()
    def child():
        os.dup2(w, 7)
        prepare()
    run = subprocess.run([vmm, "--status-fd", "7", *words], preexec_fn=child, close_fds=False, capture_output=True,
                         stdin=subprocess.DEVNULL, timeout=20)
    os.close(w)
    text = os.fdopen(r).read()
    assert text.count("\n") == 1, (words, run, text)
    report = json.loads(text)
    assert report["exit_code"] == run.returncode, (report, run)
    assert run.returncode == code, (words, run, report)
    return run, report
good = ["--kernel", kernel, "--cmdline", "reset"]
subsets = [closed for n in (1, 2, 3) for closed in itertools.combinations((0, 1, 2), n)]
for closed in subsets:
    close = lambda: [os.close(number) for number in closed]
    run(good, close, 0)
    run(["--kernel", "/none"], close, 121)
    run(["--help"], close, 0)
disk = tmp + "/whole-sectors"
with open(disk, "wb") as file:
    file.truncate(1 << 20)
for n in itertools.chain((0, 1), range(8, 30)):
    limited = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))
    r, w = os.pipe()
    def child():
        os.dup2(w, 7)
        limited()
    result = subprocess.run([vmm, "--status-fd", "7", *good, "--disk", disk + ",ro"], preexec_fn=child,
                            close_fds=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=20)
    os.close(w)
    report = json.loads(os.fdopen(r).read())
    assert result.returncode in (0, 122) and report["exit_code"] == result.returncode, (n, result, report)
    assert (result.returncode == 0) == (result.stderr == b""), result
assert result.returncode == 0
for limit, size, code in ((resource.RLIMIT_AS, 100 << 20, 122), (resource.RLIMIT_AS, 24 << 20, 122), (resource.RLIMIT_FSIZE, 0, 0),
                          (resource.RLIMIT_CORE, 0, 0)):
    result, report = run(good, lambda: resource.setrlimit(limit, (size, size)), code)
    assert (code == 0) == (result.stderr == b"") and (code == 0 or report["message"]), (result, report)
for kib in range(144000, 146000, 100):
    size = kib << 10
    result = subprocess.run([vmm, *good], preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
                            capture_output=True, timeout=20)
    assert result.returncode in (0, 122) and result.stderr.count(b"\n") == (result.returncode != 0), (kib, result)
if os.geteuid() == 0:
    root = tmp + "/root"
    os.mkdir(root)
    shutil.copy(vmm, root + "/vmm")
    vmm = "/vmm"
    for closed in ((),) + tuple(subsets):
        def enter():
            os.chroot(root)
            for number in closed:
                os.close(number)
        result, report = run(good, enter, 122)
        assert ("/dev/null" if closed else "/dev/kvm") in report["message"] or "No such file" in report["message"], report
END
