#!/bin/bash
# SPDX-License-Identifier: MIT
# bench/restore.sh in a short run: every line is there; the floor restores the snapshot; and a program that stands for Firecracker, with
# its API, shows how that is asked. Without Linux guests.
# shellcheck source=tests/bench/bench_lib.bash
. "$(dirname "$0")/bench_lib.bash"
number='[0-9]+(\.[0-9]+)?' ratio='[0-9]+\.[0-9][0-9]'

expect_refused 'unknown option --nonsense' --nonsense
expect_refused '--vms needs a value' --vms
expect_refused "does not rise" --vms '3 1'
expect_refused "'0' is not a whole number" --linux-runs 0
expect_refused "no folder" --peers "$tmp/nowhere"
need_kvm
need_namespace

# It knows of requests what the bench sends, and refuses what a Firecracker would; its VMs are vmm's.
cat >"$tmp/stand_in.py" <<'END_PYTHON'
import json, os, shutil, socket, subprocess, sys
def option(name): return sys.argv[sys.argv.index(name) + 1]
api = option("--api-sock")
server = socket.socket(socket.AF_UNIX)
server.bind(api)
server.listen()
if "--config-file" in sys.argv:
    with open(option("--config-file")) as file: config = json.load(file)
    assert config["drives"][0]["is_read_only"] and config["vsock"]["uds_path"] and config["network-interfaces"][0]["host_dev_name"]
    source = config["boot-source"]
    if os.path.exists(api + ".snap"): os.unlink(api + ".snap")
    subprocess.run(["./vmm", "--kernel", source["kernel_image_path"], "--cmdline", source["boot_args"], "--snapshot", api + ".snap"], check=True)
state = "Running"
connection, _ = server.accept()
while True:
    text = connection.recv(4096).decode()
    if not text: sys.exit(1)
    head, body = text.split("\r\n\r\n")
    method, path = head.split()[:2]
    assert f"Content-Length: {len(body)}" in head
    body = json.loads(body)
    if (method, path, body) == ("PATCH", "/vm", {"state": "Paused"}):
        state = "Paused"
    elif (method, path, state, body.get("snapshot_type")) == ("PUT", "/snapshot/create", "Paused", "Full"):
        shutil.copy(api + ".snap", body["mem_file_path"])
        os.chmod(body["mem_file_path"], 0o600)
        with open(body["snapshot_path"], "w") as file: file.write("state")
    elif (method, path, state, body.get("resume_vm")) == ("PUT", "/snapshot/load", "Running", True):
        assert os.path.exists(body["snapshot_path"]) and body["mem_backend"]["backend_type"] == "File"
        assert body["network_overrides"][0]["iface_id"] == "eth0"
        socket.socket(socket.AF_UNIX).bind(body["vsock_override"]["uds_path"])
        os.execv("./vmm", ["./vmm", "--restore", body["mem_backend"]["backend_path"]])
    else:
        connection.sendall(b"HTTP/1.1 400 \r\n\r\nthat is no request")
        continue
    connection.sendall(b"HTTP/1.1 204 \r\n\r\n")
END_PYTHON
fake_peer firecracker <<END_PEER
exec /usr/bin/python3 $tmp/stand_in.py "\$@"
END_PEER

bench_run --runs 2 --vms '1 3' --no-linux --peers "$tmp/peers" --peer-vms 1
expect_status 0
expect_last "restore: vmm $number us, floor $number us, ratio $ratio"
expect_line "restore: vmm $number us, floor-devices $number us, ratio $ratio"
expect_line "restore: order to first byte $number us, waiting with $number KiB"
expect_line "restore: 3 clones: $number a second, private $number KiB, resident $number KiB"
for who in vmm floor floor-devices boot firecracker; do
	expect_line "$who +fork to first byte +us +2( +$number){3}"
done
for what in snapshot 'fork to first byte' 'order to first byte'; do
	expect_line "restore: $what: vmm $number us, firecracker $number us, ratio $ratio"
done
for what in 'size of the file' 'private, waiting'; do
	expect_line "restore: $what: vmm $number KiB, firecracker $number KiB, ratio $ratio"
done
expect_line "firecracker +private, 1 clones +KiB +1( +$number){3}"
expect_none_left

# One that does not load is named, with what it said.
sed -i 's/"Running", True/"never", True/' "$tmp/stand_in.py"
bench_run --runs 1 --vms 1 --no-linux --peers "$tmp/peers"
expect_status 1 "a peer that loads nothing"
grep -q 'that is no request' "$tmp/err" && grep -q 'restore: firecracker did not start' "$tmp/err" ||
	{ show; die "it does not say what failed"; }
