#!/bin/bash
# SPDX-License-Identifier: MIT
# The documents name what is there: their links lead to files and headings, docs/design.md's names are in the sources,
# README.md is short.
set -eu
cd "$(dirname "$0")/../.."

fail=0
wrong() {
	echo "FAILED: $*"
	fail=1
}

anchors() { # FILE: the anchors of its headings
	sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9 \n_-' | tr ' ' '-'
}

for file in *.md docs/*.md bench/README.md; do
	while IFS= read -r link; do
		case $link in http* | mailto:*) continue ;; esac
		path=$(dirname "$file")/${link%%#*}
		[ "$link" != "#${link#\#}" ] || path=$file
		[ -e "$path" ] || wrong "$file: $link is not there"
		case $link in
		*#*) anchors "$path" | grep -qxF -- "${link#*#}" || wrong "$file: $link has no such heading" ;;
		esac
	done < <(grep -oE '\]\([^)]+\)' "$file" | sed 's/^](//; s/)$//')
done

# Words in backquotes with an underscore, and files.
while IFS= read -r name; do
	case $name in
	x.[ch]) ;; # any file
	*.[ch]) [ -n "$(find . -path ./build -prune -o -path "*/$name" -print)" ] || wrong "docs/design.md: no file $name" ;;
	*_*) grep -rqw --include='*.[ch]' --exclude-dir=build -- "$name" . || wrong "docs/design.md: nothing is called $name" ;;
	esac
done < <(sed '/^## Style/,$d' docs/design.md | grep -oE '`[a-z][a-z0-9_./-]*`' | tr -d '`' | grep -E '_|\.[ch]$' | grep -v '^_' | sort -u)

lines=$(wc -l <README.md)
[ "$lines" -le 150 ] || wrong "README.md has $lines lines, expected 150 at most"
exit $fail
