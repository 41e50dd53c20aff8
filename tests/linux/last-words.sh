#!/bin/bash
# SPDX-License-Identifier: MIT
# A program's last output is printed, with more than one CPU, too: when the program ends, on the
# second CPU, the first, which gets the interrupt (from the next one on), still has most of its output to send.
. "$(dirname "$0")/lib.sh"

kernel=$(guest_file vmlinux-smp)
root=$(image_copy root)
{ echo first; head -c 2000 /dev/zero | tr '\0' x; echo; echo LAST WORDS; } >"$work/wanted"

for end in "exit 0" poweroff; do
	guest_script "$root" <<-END
		echo 1 >/proc/irq/4/smp_affinity
		echo first
		sleep 0.2
		taskset -p 2 \$\$ >/dev/null
		head -c 2000 /dev/zero | tr -c x x
		echo
		echo LAST WORDS
		$end
		sleep 100
	END
	vm_run end --kernel "$kernel" --cpus 2 --rootfs "$root" --cmdline "$run_script"
	expect_status 0 "$end"
	# The kernel's own line at the end is not the guest's.
	tr -d '\r' <"$work/end.out" | sed 's/\[ .*Restarting system$//' | grep -av '^$' >"$work/text" || :
	cmp "$work/wanted" "$work/text" || fail "$end: $(wc -c <"$work/text") of 2018 bytes have been printed"
done
passed "2018 bytes twice, the last after $elapsed_ms ms"
