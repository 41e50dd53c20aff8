#!/bin/bash
# SPDX-License-Identifier: MIT
# Every source file names its license in its first lines.
set -eu
cd "$(dirname "$0")/../.."

git rev-parse --verify -q HEAD >/dev/null 2>&1 || {
	echo "no git here: the sources are not listed"
	exit 77
}
git ls-files -z -- . ':!*.md' ':!*.tsv' ':!*.svg' ':!*.config' ':!LICENSE' ':!.gitignore' ':!.clang-*' |
	while IFS= read -r -d '' file; do
		[ ! -e "$file" ] || head -n 6 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file"
	done >build/unlicensed
[ ! -s build/unlicensed ] || {
	echo "FAILED: no SPDX-License-Identifier in:"
	cat build/unlicensed
	exit 1
}
