. "$(dirname "$0")/tests/linux/lib.sh"
set +e
root=$(image_copy root)
image_put "$root" "$repo/build/tests/linux/snapshot_mark" /snapshot_mark
guest_script "$root" <<<'/snapshot_mark'
folder=$(mktemp -d -p /run)
cp $vmm $repo/build/bench/launcher /run/
ip tuntap add tap0 mode tap && ip link set tap0 up
O=(--rootfs "$root,ro" --net tap=tap0 --vsock cid=3,uds=/run/v)
K=$(guest_file vmlinux)
date +%s%N; 
/run/launcher -- /run/vmm --kernel $K "${O[@]}" --cmdline "$run_script" --snapshot $folder/a; du -k $folder/a
L() { echo "== $1"; shift; for i in 1 2 3 4 5; do timeout 20 /run/launcher -- "$@" 2>&1 | grep first; done; }
L restore /run/vmm --restore $folder/a "${O[@]}"
mount -o remount,favordynmods /sys/fs/cgroup 2>&1
L restore-favordynmods /run/vmm --restore $folder/a "${O[@]}"
/run/vmm --restore $folder/a "${O[@]}" --boot-timer
