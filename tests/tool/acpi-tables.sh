#!/bin/bash
# SPDX-License-Identifier: MIT
# The ACPI tables as Intel's compiler reads them: it understands them, compiles what it has understood without a warning,
# and gets the same bytes again.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

die() {
	echo "FAILED: $*"
	exit 1
}

command -v iasl >/dev/null || { echo "there is no iasl (make deps-test)"; exit 77; }

# The bytes of a table but for the compiler's name and version, and the checksum over them.
content() { # FILE
	od -An -v -t x1 -w1 "$1" | sed '10d; 29,36d'
}

check() { # CPUS DEVICES
	local table folder=$tmp/$1-$2
	mkdir "$folder"
	build/tests/unit/acpi "$folder" "$1" "$2"
	for table in FACP APIC DSDT; do
		iasl -d "$folder/$table" >"$tmp/log" 2>&1 || { cat "$tmp/log"; die "$table, $1 CPUs, $2 devices: iasl -d"; }
		iasl -we -p "$folder/again" "$folder/$table.dsl" >"$tmp/log" 2>&1 ||
			{ cat "$tmp/log"; die "$table, $1 CPUs, $2 devices: it does not compile"; }
		! grep -E '^(Error|Warning)' "$tmp/log" || die "$table, $1 CPUs, $2 devices: complaints"
		cmp <(content "$folder/$table") <(content "$folder/again.aml") ||
			die "$table, $1 CPUs, $2 devices: other bytes when compiled again"
	done
}

check 1 0
check 1 1
check 1 19
check 254 19
