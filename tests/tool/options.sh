#!/bin/bash
# SPDX-License-Identifier: MIT
# The parser, --help, the manual page, docs/devices.md and both completions know the same options; host/error.h, --help, the
# manual page and docs/launcher.md the same exit statuses; the manual page and docs/guest.md the same default words. The manual page is clean, the completions complete.
set -eu
cd "$(dirname "$0")/../.."
export LC_ALL=C

die() {
	echo "FAILED: $*"
	exit 1
}

vmm=${VMM:-$PWD/vmm}
[ -x "$vmm" ] || die "there is no ./vmm (make)"
for tool in mandoc zsh; do command -v $tool >/dev/null || die "$tool is missing (make deps-test)"; done

# The options on stdin, one a line.
options() {
	grep -oE -- '(^|[^a-z-])--[a-z][a-z-]*' | grep -oE -- '--[a-z-]+' | sort -u
}

same() { # WHAT OPTIONS
	[ "$2" = "$parsed" ] || die "$1 differs from the parser's table:
$(diff <(echo "$parsed") <(echo "$2"))"
}

parsed=$({ sed -n '/option_table\[\] = {/,/^};/s/.*{ "\(--[a-z-]*\)".*/\1/p' config/options.c; printf '%s\n' --help --version; } | sort -u)
[ "$(wc -l <<<"$parsed")" -ge 15 ] || die "config/options.c: cannot read its table"
for option in $parsed; do
	! "$vmm" "$option" </dev/null 2>&1 | grep -q 'unknown option' || die "the program does not know $option"
done
same "--help" "$("$vmm" --help | options)"
same "the manual page's OPTIONS" "$(sed -n '/^\.Sh OPTIONS/,/^\.Sh KERNEL/p' vmm.1 | grep '^\.It Fl' |
	sed 's/Fl -option//; s/Fl -/--/g; s/, Fl h//' | options)"
same "docs/devices.md" "$(sed -n '/^## Options/,/^## Console/s/^| \(.*\) | .*/\1/p' docs/devices.md | options)"
same "completions/_vmm" "$(zsh -fc '_arguments() { print -rl -- "${@%%\[*}" }; . completions/_vmm' | sed 's/.*) *//' | options)"

# The monitor's own exit statuses, by their numbers.
numbers() {
	grep -oE '\b12[0-9]\b' | sort -u | tr '\n' ' '
}
statuses=$(sed -n '/^enum exit_code {/,/^};/s/.*\b\(12[0-7]\),.*/\1/p' host/error.h | numbers)
[ "$(wc -w <<<"$statuses")" -ge 6 ] || die "host/error.h: cannot read its statuses"
for place in "--help=$("$vmm" --help | sed -n '/^Exit status/,$p' | sed 's/128+N//')" \
	"the manual page=$(sed -n '/^\.Sh EXIT STATUS/,/^\.Sh EX/s/^\.It \(12[0-9]\)$/\1/p' vmm.1)" \
	"docs/launcher.md=$(sed -n '/^## Exit status/,/^## /s/^| \(12[0-9]\) .*/\1/p' docs/launcher.md)"; do
	[ "$(numbers <<<"${place#*=}")" = "$statuses" ] || die "${place%%=*} tells the exit statuses $(numbers <<<"${place#*=}"), not $statuses"
done

# mandoc's data base of other pages is no matter of ours.
lint=$(mandoc -T lint vmm.1 vmm-extract-kernel.1 2>&1 | grep -vE 'mandoc\.db|referenced manual not found' || :)
[ -z "$lint" ] || die "mandoc -T lint: $lint"

words=$(sed -n '/default_words\[\] = {/,/^};/s/^\t"\([^"]*\)".*/\1/p' config/machine_plan.c)
[ "$(wc -l <<<"$words")" -ge 8 ] || die "config/machine_plan.c: cannot read its words"
for word in $words; do
	mandoc -T ascii vmm.1 2>/dev/null | col -b | grep -qE -- "(^| )$word( |\$)" || die "the manual page lacks the word $word"
	sed -n '/^## The kernel command line/,$p' docs/guest.md | grep -qE -- "[\` ]$word[\` ]" || die "docs/guest.md lacks the word $word"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/images"
touch "$work/images/root disk.ext4" "$work/vmlinux"

# The candidates that bash offers behind a line.
complete_bash() { # LINE
	(
		cd "$work"
		bash --norc --noprofile -c '
			. "$0/completions/vmm.bash"
			COMP_LINE=$1 COMP_POINT=${#1}
			_vmm 2>/dev/null
			printf "%s\n" "${COMPREPLY[@]}" | sort' "$OLDPWD" "$1"
	)
}

completes() { # LINE CANDIDATE...
	local line=$1 wanted
	shift
	wanted=$(printf '%s\n' "$@")
	[ "$(complete_bash "$line")" = "$wanted" ] || die "bash offers behind '$line':
$(complete_bash "$line")"
}

same "completions/vmm.bash" "$(complete_bash 'vmm --' | options)"
completes 'vmm --ne' --net
completes 'vmm --kernel vm' vmlinux
completes 'vmm --kernel=vm' vmlinux
completes 'vmm --kernel vmlinux --rootfs images/r' 'images/root disk.ext4'
completes 'vmm --serial ' fd= file: none stdio
completes 'vmm --serial file:vm' vmlinux
# bash replaces what stands behind the last "=".
completes 'vmm --vsock cid=3,u' 3,uds-fd= 3,uds=
completes 'vmm --vsock cid=3,uds=v,u' v,uds-fd=
completes 'vmm --mem '
echo "$(wc -l <<<"$parsed") options"
