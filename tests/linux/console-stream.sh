#!/bin/bash
# SPDX-License-Identifier: MIT
# The console through pipes: no byte is lost or reordered, printed or typed, and a reader that takes
# nothing and somebody who types to a deaf guest cost the monitor no memory.
. "$(dirname "$0")/lib.sh"

command -v python3 >/dev/null || skip "python3 is not installed"
typed=$(console_size 200000 6000)
printed=$(console_size 5000000 6000)
root=$(image_copy root)
guest_script "$root" <<END
stty raw -echo
printf 'GO\r\n'
head -c $typed | sha256sum | sed 's/\$/\r/'
awk 'BEGIN { for (i = 0; i < $printed / 10; i++) printf "%09d\n", i }'
printf DONE
exec yes
END
timeout 200 python3 "$(dirname "$0")/console-stream.py" "$typed" "$printed" "$vmm" \
	--kernel "$(guest_file bzImage)" --mem 64M --rootfs "$root" --cmdline "$run_script"
