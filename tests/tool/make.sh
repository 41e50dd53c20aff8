#!/bin/bash
# SPDX-License-Identifier: MIT
# The Makefile takes what a packager gives: a compiler, flags, folders. The binary does not depend on where it is built.
set -eu
cd "$(dirname "$0")/../.."
unset MAKEFLAGS MFLAGS MAKELEVEL CC CFLAGS CPPFLAGS LDFLAGS WERROR V DESTDIR PREFIX
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

die() {
	echo "FAILED: $*"
	tail -n 20 "$work/said" | cut -c 1-400
	exit 1
}

build() { # TREE, what make gets
	make -j"$(nproc)" -C "$work/$1" "${@:2}" >"$work/said" 2>&1
}

says() {
	grep -qE -- "$1" "$work/said" || die "${2-make does not say '$1'}"
}

for tree in one "two trees/deeper"; do
	mkdir -p "$work/$tree"
	tar -c --exclude=./build --exclude=./vmm --exclude=./.git . | tar -x -C "$work/$tree"
done

# Another directory, another folder of results: the same bytes. A compiler cache would give what it once compiled elsewhere.
export CCACHE_DISABLE=1
find "$work/one" | sort >"$work/before"
build one O="$work/out" || die "make O=DIR"
find "$work/one" | sort | diff "$work/before" - || die "make O=DIR changes the source tree"
build "two trees/deeper" || die "make"
cmp "$work/out/vmm" "$work/two trees/deeper/vmm" || die "the binary depends on where it is built"
cmp "$work/out/vmm.debug" "$work/two trees/deeper/build/vmm.debug" || die "what a debugger reads depends on where it is built"
unset CCACHE_DISABLE
! grep -q musl-gcc "$work/said" || die "commands are shown without V=1"
build one O="$work/out" PREFIX=/usr DESTDIR="$work/root" install || die "make install"
cmp "$work/out/vmm" "$work/root/usr/bin/vmm" || die "make install PREFIX DESTDIR"
touch "$work/out/mine"
build one O="$work/out" clean || die "make clean"
[ "$(ls "$work/out")" = mine ] || die "make O=DIR clean leaves: $(ls "$work/out")"
! build one O="$work/out" test || die "make O=DIR test runs another folder's vmm"
says 'O=.* is for building'

# Flags.
build one -n V=1 CPPFLAGS=-DFIRST CFLAGS='-O3 -march=x86-64-v2' LDFLAGS=-Wl,--build-id=sha1 || die "make -n"
says '^musl-gcc -DFIRST -O3 -march=x86-64-v2 .*-Werror .*-fPIE .*-c -o build/obj/vmm.o vmm.c$'
says '^musl-gcc -O3 -march=x86-64-v2 .*--build-id=none .*-Wl,-pie .*--build-id=sha1 -o build/vmm.debug'
CFLAGS=-Os build one -n V=1 || die "make -n"
says '^musl-gcc +-Os ' "CFLAGS of the environment is ignored"
echo 'static int test_unused(void) { return 0; }' >>"$work/one/vmm.c"
! build one build/obj/vmm.o || die "a warning is no error"
build one WERROR=0 build/obj/vmm.o || die "WERROR=0"
says 'warning: .*test_unused'

# Other compilers: one with musl's files named, and one that says it is made for musl.
if command -v clang >/dev/null; then
	build "two trees/deeper" CC=clang O="$work/clang" || die "CC=clang"
	readelf -hlW "$work/clang/vmm" >"$work/said"
	says 'Type: *DYN' "CC=clang: not position-independent"
	! grep -q INTERP "$work/said" || die "CC=clang: not static"
	"$work/clang/vmm" --version >"$work/said" || die "CC=clang: it does not run"
	says '^vmm [0-9]'
fi
mkdir "$work/bin"
tool() { # NAME, its script on stdin
	{ echo '#!/bin/sh' && cat; } >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}
tool any-musl-gcc <<<'[ "$1" != -dumpmachine ] || echo x86_64-any-linux-musl'
build one -n V=1 CC="$work/bin/any-musl-gcc" || die "make -n"
says '^[^ ]*any-musl-gcc .* -static-pie '
! grep -E -- 'any-musl-gcc .*(rcrt1|libc\.a|-isystem)' "$work/said" || die "a musl compiler is told where its files are"

# Packages: without root make names what is missing, and needs nothing when it is there. With root it installs.
tool id <<<'echo "$TEST_USER"'
tool apt-get <<<'echo "$@" >>"$TEST_DIR/apt"'
tool dpkg-query <<<'[ -n "$TEST_LACKS" ] && [ "$4" = "$TEST_LACKS" ] || echo installed'
deps() { # USER PACKAGE
	rm -f "$work/apt"
	TEST_DIR=$work TEST_USER=$1 TEST_LACKS=$2 PATH=$work/bin:$PATH build one deps
}
deps 1000 "" || die "packages that are there need root"
! deps 1000 liburing-dev || die "a missing package is not missed"
says '^make: run this as root first: apt-get install liburing-dev$'
[ ! -e "$work/apt" ] || die "apt-get runs without root"
deps 0 liburing-dev || die "make deps"
says '^installing: liburing-dev$'
grep -q 'install -y .*liburing-dev' "$work/apt" || die "apt-get gets: $(cat "$work/apt")"
