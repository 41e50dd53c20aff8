# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# For restore.sh: snapshots of a Firecracker, by its API. Its guest writes bytes meanwhile, so that its clones' first byte comes at once.
# $fc_sees is the folder that it knows as $fc_at: both are the same unless it runs in a root directory of its own.
fc_at=$tmp fc_sees=$tmp fc_runs=()

# fc_config KERNEL WORDS IMAGE TAP ID: its VM.
fc_config() {
	cat <<END_JSON
{"boot-source": {"kernel_image_path": "$1", "boot_args": "$2"},
 "drives": [{"drive_id": "rootfs", "path_on_host": "$3", "is_root_device": true, "is_read_only": true}],
 "network-interfaces": [{"iface_id": "eth0", "host_dev_name": "$4"}],
 "vsock": {"guest_cid": 3, "uds_path": "$fc_at/fc-vsock$5"},
 "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}}
END_JSON
}

# fc_load TAP ID: the request that makes a clone.
fc_load() {
	cat <<END_JSON
{"snapshot_path": "$fc_at/fc-state", "mem_backend": {"backend_type": "File", "backend_path": "$fc_at/fc-memory"}, "resume_vm": true,
 "network_overrides": [{"iface_id": "eth0", "host_dev_name": "$1"}], "vsock_override": {"uds_path": "$fc_at/fc-vsock$2"}}
END_JSON
}

# fc_command ID: a Firecracker that waits for requests, in $command.
fc_command() {
	command=("$firecracker" --api-sock "$fc_at/fc-api$1" --no-seccomp --level Off --id "bench-$1")
}

# fc_snapshot CONFIG: boots the VM, and takes a snapshot when its guest has written a byte; prints the microseconds that it took.
fc_snapshot() {
	local pid us='' command
	sleep 0.5 # the kernel lets go of the last one's TAP
	rm -f "$fc_sees"/fc-{api,vsock}snapshot "$fc_sees"/fc-{state,memory}
	cp "$1" "$fc_sees/fc-config"
	fc_command snapshot
	: >"$tmp/fc-out"
	"${fc_runs[@]}" "${command[@]}" --config-file "$fc_at/fc-config" </dev/null >"$tmp/fc-out" 2>"$tmp/fc-err" &
	pid=$!
	us=$(bench/firecracker_snapshot.py "$fc_sees/fc-apisnapshot" "$tmp/fc-out" "$fc_at/fc-state" "$fc_at/fc-memory") || :
	kill -KILL $pid 2>/dev/null || :
	wait $pid 2>/dev/null || :
	[ -n "$us" ] || { cat "$tmp/fc-err" >&2; die "no snapshot of a Firecracker"; }
	echo "$us"
}
