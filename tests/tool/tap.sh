#!/bin/bash
# SPDX-License-Identifier: MIT
# tests/run prints TAP, also when tests are run again and when the lab loses a machine. The tests that it runs
# here, and the lab, are small scripts in a tree of their own.
set -eu
cd "$(dirname "$0")/../.."
repo=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() {
	echo "FAILED: $*"
	cat "$work/said"
	exit 1
}

mkdir -p "$work"/tests/{tool,linux,machines} "$work/lab" "$work/build/tests"
cp tests/run "$work/tests/run"
ln -s "$repo/build/tests/reaper" "$work/build/tests/reaper"
script() { # PATH, the text on stdin
	{ echo '#!/bin/bash' && cat; } >"$work/$1"
	chmod +x "$work/$1"
}
script tests/tool/good.sh <<<'echo all is well'
script tests/tool/bad.sh <<<'seq 50; echo not ok 9 - a trap; exit 3'
script tests/tool/other.sh <<<'echo not on a Monday; exit 77'
# Succeeds at the second try.
script tests/tool/busy.sh <<<'[ -e busy ] || { touch busy; echo too busy; exit 1; }'
script tests/machines/good.sh <<<'echo 7 boots'
script tests/linux/good.sh <<<'echo 3 guests; printf "last words\r\n"'
script tests/linux/second.sh <<<'echo >>tries; [ "$(grep -c "" tries)" = 2 ]'
script tests/linux/lost.sh <<<':'
script lab/lab <<'END'
[ "$1" != --check ] || { echo "$WAY: so it is"; exit; }
while [ "$1" != -- ]; do shift; done
shift
echo "lab: a line of its own"
TESTS_REAPED=1 "$@" | grep --line-buffered -v linux/lost
END

run() { # WAY WORD: the output in $work/said, without times
	local status=0
	rm -f "$work/busy" "$work/tries"
	WAY=$1 "$work/tests/run" "$2" >"$work/out" || status=$?
	sed -E 's/[0-9]+ s\b/N s/' "$work/out" >"$work/said"
	return $status
}

has() { # a whole line
	grep -qxF -- "$1" "$work/said" || die "no line '$1'"
}

has_numbers_to() { # N
	[ "$(head -n 1 "$work/said")" = "1..$1" ] || die "the plan is not 1..$1"
	diff <(grep -oE '^(not )?ok [0-9]+' "$work/said" | grep -oE '[0-9]+') <(seq "$1") || die "the numbers are not 1 to $1"
	diff <(sed -nE 's/^(not )?ok [0-9]+ - ([^ ]+).*/\2/p' "$work/said" | sort) <("$work/tests/run" --list | sort) ||
		die "not one result for each test"
}

! run direct "" || die "status 0 with a failed test"
has_numbers_to 8
has "not ok 1 - tool/bad # exit status 3, N s"
has "#   not ok 9 - a trap"
has "#   12"
! grep -qxF '#   11' "$work/said" || die "more than the last 40 lines of a test's output"
has "ok 4 - tool/other # SKIP not on a Monday"
has "ok 3 - tool/good # N s"
has "ok 5 - machines/good # N s, 7 boots"
has "ok 6 - linux/good # N s, last words"
has "# lab: a line of its own"
has "not ok 8 - linux/lost # no result (did the lab stop?)"
[ "$(tail -n 1 "$work/said")" = "3 passed, 4 failed, 1 skipped" ] || die "last line '$(tail -n 1 "$work/said")'"

! run emulated "" || die "status 0 with a failed test"
has_numbers_to 8
has "# to be run again: tool/busy # exit status 1, N s"
has "#   too busy"
[ "$(grep -c '^# to be run again: linux/second' "$work/said")" = 1 ] || die "linux/second has not failed once"
[ "$(tail -n 1 "$work/said")" = "5 passed, 2 failed, 1 skipped" ] || die "last line '$(tail -n 1 "$work/said")'"

run direct good || die "status $? of tests that pass"
has "1..3"
[ "$(tail -n 1 "$work/said")" = "3 passed, 0 failed, 0 skipped" ] || die "last line '$(tail -n 1 "$work/said")'"
! run direct nothing-of-the-kind || die "status 0 without a test"
[ "$(tail -n 1 "$work/said")" = "0 passed, 1 failed, 0 skipped" ] || die "last line '$(tail -n 1 "$work/said")'"

# Without root there is no emulated machine.
mkdir "$work/bin"
script bin/id <<<'echo 1000'
PATH=$work/bin:$PATH run emulated good || die "status $? where no lab can be"
has "ok 1 - linux/good # SKIP the emulated machine needs root"
[ "$(tail -n 1 "$work/said")" = "2 passed, 0 failed, 1 skipped" ] || die "last line '$(tail -n 1 "$work/said")'"

# Another reader of TAP. It belongs to Perl, which is not everywhere.
if command -v prove >/dev/null; then
	prove_says() { # WORD TEXT
		WAY=direct prove -e '' "$work/tests/run" :: "$1" >"$work/said" 2>&1 || :
		grep -qE -- "$2" "$work/said" || die "prove does not say '$2'"
	}
	prove_says "" 'Failed 4/8 subtests'
	prove_says good 'Result: PASS'
	prove_says nothing-of-the-kind 'Bailout called'
fi
