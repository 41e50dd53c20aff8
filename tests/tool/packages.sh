#!/bin/bash
# SPDX-License-Identifier: MIT
# One version everywhere; `make install`; a .deb that dpkg installs into a root without anything else, where the program
# runs, and removes again; a tarball that builds without git, to the same bytes as here.
set -eu
cd "$(dirname "$0")/../.."
export LC_ALL=C
unset MAKEFLAGS MFLAGS MAKELEVEL

die() {
	echo "FAILED: $*"
	exit 1
}

[ -x ./vmm ] || die "there is no ./vmm (make)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

version=$(sed -n 's/^#define VMM_VERSION "\(.*\)"/\1/p' config/options.h)
[ "$(./vmm --version)" = "vmm $version, contract 1" ] || die "'$(./vmm --version)', config/options.h says $version"
grep -qxF "This page describes version $version." vmm.1 || die "vmm.1 does not describe version $version"
newest=$(sed -n 's/^## \[\([0-9].*\)\] - [0-9]*-[0-9]*-[0-9]*$/\1/p' CHANGELOG.md | head -n 1)
[ "$newest" = "$version" ] || die "the changelog's newest version is $newest, not $version"

make -s install DESTDIR="$work/install" PREFIX=/opt/vmm
(cd "$work/install" && find . -type f | sort) >"$work/installed"
for file in bin/vmm bin/vmm-extract-kernel share/man/man1/vmm.1 share/man/man1/vmm-extract-kernel.1 share/bash-completion/completions/vmm \
	share/zsh/site-functions/_vmm share/doc/vmm/README.md share/doc/vmm/examples/launcher.py share/doc/vmm/examples/oci/bundle; do
	grep -qxF "./opt/vmm/$file" "$work/installed" || die "make install leaves no $file"
done
for file in "$work"/install/opt/vmm/share/doc/vmm/{,docs/}*.md; do
	for link in $(grep -oE '\]\([^)#]+' "$file" | cut -c 3- | grep -v '^http'); do
		[ -e "$(dirname "$file")/$link" ] || die "installed: $file leads to $link, which is not"
	done
done
! grep -v '^\./opt/vmm/' "$work/installed" || die "make install writes outside PREFIX"

make -s deb >"$work/deb.out" || die "make deb: $(cat "$work/deb.out")"
deb=build/vmm_${version}_amd64.deb
field() {
	dpkg-deb -f "$deb" "$1"
}
[ "$(field Package) $(field Version) $(field Architecture)" = "vmm $version amd64" ] || die "$deb: its control file"
[ -z "$(field Depends)" ] || die "$deb depends on $(field Depends); the program is static"
! dpkg-deb -c "$deb" | grep -v ' root/root ' || die "$deb: not all files are root's"
if command -v lintian >/dev/null; then
	lintian "$deb" >"$work/lintian" 2>/dev/null || :
	[ ! -s "$work/lintian" ] || die "lintian: $(cat "$work/lintian")"
fi
sum=$(sha256sum "$deb")
make -s deb >/dev/null
[ "$(sha256sum "$deb")" = "$sum" ] || die "make deb gives other bytes each time"

# A root directory in which nothing else is.
root=$work/root
mkdir -p "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/info"
touch "$root/var/lib/dpkg/status"
as_root=(unshare -r)
[ "$(id -u)" != 0 ] || as_root=()
in_root() {
	"${as_root[@]}" dpkg --root="$root" --log=/dev/null --force-not-root --force-script-chrootless "$@" >"$work/dpkg.out" 2>&1 ||
		die "dpkg $*: $(cat "$work/dpkg.out")"
}
in_root -i "$deb"
grep -q '^Status: install ok installed' "$root/var/lib/dpkg/status" || die "dpkg has not installed $deb"
[ "$(unshare -r chroot "$root" /usr/bin/vmm --version)" = "vmm $version, contract 1" ] || die "the installed program does not run"
(cd "$root" && md5sum -c --quiet var/lib/dpkg/info/vmm.md5sums) || die "$deb: wrong md5sums"
in_root -r vmm
left=$(find "$root" -path "$root/var" -prune -o -type f -print)
[ -z "$left" ] || die "dpkg -r leaves $left"

if ! git rev-parse --verify -q HEAD >/dev/null 2>&1; then
	echo "no git here: make dist is not tested"
	exit 0
fi
make -s dist >/dev/null
mkdir "$work/a longer path"
tar -xz -C "$work/a longer path" -f "build/vmm-$version.tar.gz"
cd "$work/a longer path/vmm-$version"
GIT_DIR=/none make -s vmm >"$work/build.out" 2>&1 || die "the tarball does not build: $(tail -n 5 "$work/build.out")"
[ "$(./vmm --version)" = "vmm $version, contract 1" ] || die "the tarball's version"
if git -C "$OLDPWD" diff --quiet HEAD; then
	cmp vmm "$OLDPWD/vmm" || die "two directories, two binaries"
	echo "$(stat -c %s vmm) bytes, the same in two directories"
else
	echo "uncommitted changes: the binaries are not compared"
fi
