#!/bin/bash
# SPDX-License-Identifier: MIT
# Each field of a device's structs is named where the device is saved: because it is kept, or as one that is derived.
set -u
cd "$(dirname "$0")/../.." || exit 1
exec python3 - "$@" <<'END'
import re, sys

structs = """
virtqueue         virtio-mmio/queue.h          virtio-mmio/transport_state.c
virtio_device     virtio-mmio/virtio_device.h  virtio-mmio/transport_state.c
virtio_transport  virtio-mmio/transport.h      virtio-mmio/transport_state.c
identity          io/identity.h                io/identity.c
serial            io/serial.h                  io/console_state.c
keyboard          io/keyboard.h                io/console_state.c
console           io/console.h                 io/console_state.c
block             virtio-mmio/block.h          virtio-mmio/block_state.c
block_store       virtio-mmio/block_request.h  virtio-mmio/block_state.c
net               virtio-mmio/net.h            virtio-mmio/net_state.c
net_link          virtio-mmio/net_link.h       virtio-mmio/net_state.c
net_rx            virtio-mmio/net_rx.h         virtio-mmio/net_state.c
net_tx            virtio-mmio/net_tx.h         virtio-mmio/net_state.c
net_stream        virtio-mmio/net_stream.h     virtio-mmio/net_state.c
vsock             virtio-mmio/vsock/vsock.h    virtio-mmio/vsock/vsock_state.c
vsock_tx          virtio-mmio/vsock/tx.h       virtio-mmio/vsock/vsock_state.c
vsock_rx          virtio-mmio/vsock/rx.h       virtio-mmio/vsock/vsock_state.c
vsock_listener    virtio-mmio/vsock/listen.h   virtio-mmio/vsock/vsock_state.c
vsock_connections virtio-mmio/vsock/connection.h virtio-mmio/vsock/vsock_state.c
"""

def fields(text, struct):
    body = re.search(r"^struct %s \{\n(.*?)^\};" % struct, text, re.M | re.S)
    if not body:
        sys.exit("no struct " + struct)
    body = re.sub(r"/\*.*?\*/|\[[^]]*\]", "", body[1], flags=re.S)
    body = re.sub(r"\)\s*\([^)]*\)", ")", body)
    for declaration in body.split(";")[:-1]:
        for one in declaration.split(","):
            name = re.search(r"\(\*(\w+)\)|(\w+)\s*$", one)
            yield name[1] or name[2]

def unnamed(text, struct, saved):
    return [f for f in fields(text, struct) if not re.search(r"\b%s\b" % f, saved)]

# The check itself notices a new field, whatever its kind.
assert list(fields("struct s {\n\tint a[N /* x */], *b;\n\tvoid (*c)(int, int e);\n\tstruct t d; /* e; */\n};\n", "s")) == ["a", "b", "c", "d"]
failed = False
for line in structs.split("\n")[1:-1]:
    struct, header, state = line.split()
    for field in unnamed(open(header).read(), struct, open(state).read()):
        print(f"{state} says nothing of {field} of struct {struct}: is it saved, or derived?")
        failed = True
sys.exit(failed)
END
