#!/bin/sh
# SPDX-License-Identifier: MIT
# vsock_test_build.bash DIRECTORY: Linux's tools/testing/vsock/vsock_test, from Debian's linux-source-6.1, into
# DIRECTORY as vsock_test-host and vsock_test-guest. Nothing of it is kept in the tree: the source is taken out
# of the package's tarball once and kept in the user's cache, named by what it was taken from.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
tarball=/usr/src/linux-source-6.1.tar.xz
cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/vmm/guest
version=$(dpkg-query -W -f '${Version}' linux-source-6.1)
source=$cache/vsock_test-$(echo "$version" | sha256sum | cut -c1-16)

if [ ! -d "$source" ]; then
	mkdir -p "$cache"
	work=$(mktemp -d "$source.new.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	tar -xJf "$tarball" -C "$work" --strip-components=4 linux-source-6.1/tools/testing/vsock
	chmod 755 "$work"
	mv -T "$work" "$source" 2>/dev/null || [ -d "$source" ]
fi
mkdir -p "$out"
for side in host guest; do
	define=
	[ $side = host ] || define=-DGUEST
	# The kernel's tools have an ARRAY_SIZE of their own; musl takes a numeric address without a resolver.
	# shellcheck disable=SC2086
	musl-gcc -O2 -w -static -s -D_GNU_SOURCE '-DARRAY_SIZE(x)=(sizeof(x)/sizeof((x)[0]))' $define \
		-include stdbool.h -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu \
		-I "$source" -o "$out/vsock_test-$side" "$source"/vsock_test.c "$source"/util.c \
		"$source"/control.c "$source"/timeout.c "$here/vsock_bridge.c" \
		-Wl,--wrap=socket,--wrap=bind,--wrap=connect,--wrap=accept
done
