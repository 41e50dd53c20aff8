#!/bin/bash
# SPDX-License-Identifier: MIT
# bench/report with one short bench: the page, the table, the plot; what it must not tell; a bench that fails.
# shellcheck source=tests/bench/bench_lib.bash
. "$(dirname "$0")/bench_lib.bash"

report() {
	status=0
	TMPDIR=$tmp timeout -s KILL 100 bench/report "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
}

for bad in --nonsense "--only nothing" "--peers $tmp/nowhere" --out; do
	# shellcheck disable=SC2086
	report $bad
	expect_status 2 "$bad"
	[ "$(wc -l <"$tmp/err")" = 1 ] && grep -q '^report: ' "$tmp/err" || { show; die "stderr is not one line: $bad"; }
done
need_kvm
need_namespace
command -v gnuplot >/dev/null || skip "there is no gnuplot"

fake_peer firecracker <<'END_PEER'
[ "$1" != --version ] || { echo "Firecracker stand-in 7"; exit; }
exec ./vmm --kernel build/bench/start.elf
END_PEER
results=$tmp/results page=$tmp/results/README.md
report --quick --only startup --peers "$tmp/peers" --out "$results"
expect_status 0
expect_last 'startup: vmm .*, ratio .*'
for text in "$(./vmm --version)" "Firecracker stand-in 7" "Linux $(uname -r)" "$(tail -n 1 "$tmp/out")" \
	"$(date -u +%Y-)" '`bench/startup.sh --peers DIR --runs 3`' '(startup.svg)'; do
	grep -qF -- "$text" "$page" || die "the page does not tell: $text"
done
[ "$(grep -c '^| vmm | .* | us | 3 |' "$page")" -ge 2 ] || die "the page has no table"
[ "$(wc -l <"$results/startup.tsv")" -ge 7 ] || die "the table has $(wc -l <"$results/startup.tsv") lines"
cat >"$tmp/words.py" <<'END_PYTHON'
import sys, xml.dom.minidom
texts = xml.dom.minidom.parse(sys.argv[1]).getElementsByTagName("text")
words = {"".join(n.data for n in t.getElementsByTagName("tspan")[0].childNodes) for t in texts}
sys.exit(not words >= {"vmm", "floor", "firecracker", "first byte", "exit", "us"})
END_PYTHON
python3 "$tmp/words.py" "$results/startup.svg" || die "the plot does not show who and what"
# What is not run again stays.
printf '## Boot to userspace\n\nsome time\n' >>"$page"
report --quick --only startup --peers "$tmp/peers" --out "$results"
expect_status 0 "a second run"
[ "$(grep '^## ' "$page" | tr '\n' ' ')" = "## Boot to userspace ## Start of the monitor " ] && grep -q '^some time$' "$page" ||
	{ cat "$page"; die "the page does not keep what was not run"; }
# Where the other monitors lie is the user's own affair.
! grep -rF -- "$tmp" "$results" || die "the results name a path of this machine"

fake_peer firecracker <<'END_PEER'
exit 1
END_PEER
report --quick --only startup --peers "$tmp/peers" --out "$results"
expect_status 1 "a bench that fails"
expect_last 'startup: failed with status 1'
grep -q 'It failed with status 1' "$page" || die "the page does not tell that a bench has failed"
[ ! -e "$results/startup.tsv" ] && [ ! -e "$results/startup.svg" ] || die "the results of an earlier report are left"
