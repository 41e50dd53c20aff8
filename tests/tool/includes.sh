#!/bin/bash
# SPDX-License-Identifier: MIT
# No circle of files. x.c and x.h are one file here; it depends on the files that it includes, and on those whose
# functions and variables it names.
#
#   tests/tool/includes.sh          fails if there is a circle, and names the files in it
#   tests/tool/includes.sh --list   prints the dependencies, two files a line
set -eu
cd "$(dirname "$0")/../.."

folders='machine config mem boot irq cpu virtio-mmio io host'

includes() {
	grep -rHo --include='*.[ch]' '^#include "[^"]*"' vmm.c $folders |
		sed 's/\.[ch]:#include "\(.*\)\.[ch]"/ \1/'
}

# FILE SYMBOL for each symbol of one of these kinds, as nm calls them.
symbols() { # KINDS
	find build/obj -name '*.o' | while read -r object; do
		file=${object#build/obj/} file=${file%.o}
		[ ! -e "$file.c" ] || nm "$object" | sed -n "s|.* [$1] \(.*\)|$file \1|p"
	done | sort -k 2
}

uses() {
	join -1 2 -2 2 -o 1.1,2.1 <(symbols U) <(symbols BDRT)
}

dependencies=$({ includes; uses; } | sort -u | awk '$1 != $2')
if [ "${1-}" = --list ]; then
	echo "$dependencies"
	exit
fi
n=$(wc -l <<<"$dependencies")
[ "$n" -ge 300 ] || { echo "FAILED: only $n dependencies: expected those of a built ./vmm"; exit 1; }
circles=$(tsort <<<"$dependencies" 2>&1 >/dev/null) || true
[ -z "$circles" ] || { printf 'FAILED: expected no circle of files:\n%s\n' "$circles"; exit 1; }
echo "ok $n dependencies without a circle"
