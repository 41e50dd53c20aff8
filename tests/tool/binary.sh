#!/bin/bash
# SPDX-License-Identifier: MIT
# The result of `make`: one static position-independent file without a library, small, whose --help fits a
# terminal of 24 lines of 80 columns.
set -eu
cd "$(dirname "$0")/../.."

die() {
	echo "FAILED: $*"
	exit 1
}

[ -x ./vmm ] || die "there is no ./vmm (make)"
headers=$(readelf -hlW ./vmm)
grep -q 'Type: *DYN' <<<"$headers" || die "not position-independent"
! grep -q 'INTERP' <<<"$headers" || die "it asks for a dynamic loader"
grep -q 'GNU_RELRO' <<<"$headers" || die "no RELRO"
! grep 'GNU_STACK' <<<"$headers" | grep -q 'RWE' || die "its stack is executable"
! grep ' LOAD ' <<<"$headers" | grep -q 'RWE' || die "a segment is writable and executable"
! readelf -dW ./vmm | grep -q '(NEEDED)\|(TEXTREL)' || die "it needs libraries or text relocations"
! readelf -SW ./vmm | grep -q '\.symtab\|\.debug' || die "not stripped"
bytes=$(stat -c %s ./vmm)
[ "$bytes" -le $((230 * 1024)) ] || die "$bytes bytes, expected at most 230 KiB"
# host/text.h does that, in a tenth of the bytes.
[ ! -e build/vmm.debug ] || ! nm build/vmm.debug | grep -w "printf_core\|__intscan" || die "the C library formats text or numbers"

help=$(./vmm --help)
[ "$(wc -l <<<"$help")" -le 24 ] || die "--help has $(wc -l <<<"$help") lines, a screen has 24"
[ "$(wc -L <<<"$help")" -le 80 ] || die "--help has lines of $(wc -L <<<"$help") columns"
for option in kernel rootfs disk initrd cmdline mem cpus serial boot-timer help version; do
	grep -q -- "--$option" <<<"$help" || die "--help does not tell of --$option"
done
./vmm --version | grep -qE '^vmm [0-9]+\.[0-9]+' || die "--version says '$(./vmm --version)'"
[ "$(./vmm --version | wc -l)" = 1 ] || die "--version prints more than one line"
[ "$(./vmm -h)" = "$help" ] || die "-h differs from --help"
