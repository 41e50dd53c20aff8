#!/bin/bash
# SPDX-License-Identifier: MIT
# The table of bug classes in docs/testing.md names tests that exist, and in each class's row every unit test with a
# function of that class.
set -eu
cd "$(dirname "$0")/../.."
doc=docs/testing.md

die() {
	echo "FAILED: $*"
	exit 1
}

rows=$(grep -E '^\| [0-9]+ \|' $doc)
[ "$(cut -d '|' -f 2 <<<"$rows" | tr -d ' ')" = "$(seq "$(wc -l <<<"$rows")")" ] || die "$doc: the classes are not numbered from 1"
while read -r name; do
	[ -e "tests/$name.c" ] || [ -e "tests/$name.sh" ] || die "$doc names $name, which does not exist"
done < <(grep -oE '\b(unit|fuzz|tsan|guest|linux|tool|machines)/[a-z0-9_-]+' <<<"$rows" | sort -u)

while read -r file numbers; do
	name=${file#tests/}
	for number in ${numbers//_and_/ }; do
		grep -E "^\| $number \|" <<<"$rows" | grep -q "${name%.c}\b" || die "$doc: class $number does not name ${name%.c}"
	done
done < <(grep -oE '^static void test_class_[0-9]+(_and_[0-9]+)*' tests/unit/*.c | sed 's/:.*class_/ /' | sort -u)
