#!/bin/bash
# SPDX-License-Identifier: MIT
# The README's one command, and its container image, as they are typed: a stand-in for podman exports a tree without an init.
. "$(dirname "$0")/lib.sh"

for tool in busybox musl-gcc mke2fs; do command -v $tool >/dev/null || fail "$tool is missing (make deps-guest)"; done
sed -n '/^### A container image/,/^## /s/^    //p' "$repo/README.md" >"$work/commands"
expect_range "lines of commands in the README" "$(wc -l <"$work/commands")" 3 8
mkdir -p "$work/here/build/guest" "$work/container/bin" "$work/container/etc" "$work/bin"
cp "$(command -v busybox)" "$work/container/bin/busybox"
ln -s busybox "$work/container/bin/cat"
echo 'NAME="a container"' >"$work/container/etc/os-release"
cat >"$work/bin/podman" <<END
#!/bin/sh
case "\$1 \$2" in
'create debian:12') echo 0123456789ab ;;
'export 0123456789ab') tar -c -C "$work/container" . ;;
*) exit 1 ;;
esac
END
chmod 755 "$work/bin/podman"
ln -s "$repo/lab" "$repo/guest" "$work/here"
ln -s "$vmm" "$work/here/vmm"
ln -s "$(guest_file vmlinux)" "$work/here/build/guest/vmlinux"
cd "$work/here" || fail "cd"
PATH=$work/bin:$PATH VMM_LAB=direct timeout -s TERM 100 bash -e "$work/commands" >"$work/readme.out" 2>"$work/readme.err" \
	</dev/null || status=$?
expect_status 0 "the README's commands"
expect_text "$work/readme.out" 'NAME="a container"'
expect_clean image.ext4

sed -n '/^### One command/,/^### /s/^    //p' "$repo/README.md" >"$work/command"
mv "$(image_copy root)" build/guest/rootfs.ext4
timeout -s TERM 100 bash -e "$work/command" >"$work/command.out" 2>"$work/command.err" </dev/null || status=$?
expect_status 0 "the README's one command"
expect_text output.txt "Linux guest 6."
expect_equal "the result" '{"exit_code":0,"reason":"guest_ended"}' "$(cat result.json)"
passed "$(wc -l <"$work/commands") lines typed"
