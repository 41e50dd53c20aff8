#!/bin/bash
# SPDX-License-Identifier: MIT
# guest/sandbox-hosts under Debian's kernels of the lab: docs/security.md's table of the sandbox's layers is what it says.
# With --print: the table.
. "$(dirname "$0")/machine.bash"
set -o pipefail
# shellcheck disable=SC2034 # for machine.bash
machine_command=tests/guest/sandbox-hosts.sh

layers=$(
	(in_machine) | sed '/^5\.12\* /!s/^/6.1 /' || exit
	(in_machine --host-kernel 6.12 --qemu 10) | sed '/^5\.12\* /d; s/^/6.12 /'
) || {
	status=$?
	echo "$layers"
	exit $status
}
table=$(tr -d '\r' <<<"$layers" | awk '
	$4 != "on" && $4 != "off:" { next }
	!($2 in seen) { seen[$2] = 1; names[++n] = $2 }
	$4 == "on" { cell[$2, $3] = cell[$2, $3] (cell[$2, $3] == "" ? "" : ", ") $1 }
	END {
		split("root user container container-user root-no-userns user-no-userns", who, " ")
		for (i = 1; i <= n; i++) {
			line = "| " names[i]
			for (j = 1; j <= 6; j++)
				line = line " | " (cell[names[i], who[j]] == "" ? "none" : cell[names[i], who[j]])
			print line " |"
		}
	}')
[ "${1-}" != --print ] || {
	echo "$table"
	exit
}
[ "$(wc -l <<<"$table")" -ge 5 ] || {
	echo "$layers"
	echo "FAILED: not all layers were told"
	exit 1
}
while IFS= read -r row; do
	grep -qxF -- "$row" docs/security.md || {
		echo "$table"
		echo "FAILED: docs/security.md has no row: $row"
		exit 1
	}
done <<<"$table"
echo "$(wc -l <<<"$table") layers on two kernels, and as on a third"
