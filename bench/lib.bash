# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For the benches: `. "$(dirname "$0")/lib.bash"`. Leaves the shell in the tree's root with a scratch directory
# $tmp that is removed at the end. What is measured goes through `sample` into $samples; `report_end` prints it.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# The first signal ends a bench through its EXIT trap.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
samples=$tmp/samples.tsv
: >"$samples"
json=0 runs=
bench=$(basename "$0" .sh)

die() {
	echo "$bench: $*" >&2
	exit 1
}

bad_usage() {
	echo "$bench: $*" >&2
	exit 2
}

# need_value OPTION COUNT: COUNT words are left of the command line, OPTION among them.
need_value() {
	[ "$2" -ge 2 ] || bad_usage "$1 needs a value"
}

need_count() { # OPTION VALUE
	case $2 in '' | *[!0-9]* | 0*) bad_usage "$1: '$2' is not a whole number above 0" ;; esac
}

need_counts() { # OPTION TEXT: rising numbers, which become $counts
	local i
	read -r -a counts <<<"$2"
	[ ${#counts[@]} -gt 0 ] || bad_usage "$1: no number"
	for ((i = 0; i < ${#counts[@]}; i++)); do
		need_count "$1" "${counts[i]}"
		[ "$i" = 0 ] || [ "${counts[i]}" -gt "${counts[i - 1]}" ] || bad_usage "$1: '$2' does not rise"
	done
}

# say TEXT: what is going on, apart from the results.
say() {
	echo "$bench: $*" >&2
}

# sample WHO WHAT UNIT VALUE: one measurement.
sample() {
	printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$samples"
}

# p50 WHO WHAT: the median of these samples.
p50() {
	bench/samples.py p50 "$samples" "$1" "$2"
}

# ratio A B: A/B with two places.
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f\n", a / b; else print "-" }'
}

# report_end CONDITIONS LINE...: the table of all samples, then the lines that count; or all of it as one JSON
# object.
report_end() {
	if [ "$json" = 1 ]; then
		bench/samples.py json "$samples" "$bench" "$@"
	else
		bench/samples.py table "$samples"
		shift
		printf '%s\n' "$@"
	fi
}
