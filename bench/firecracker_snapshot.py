#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""firecracker_snapshot.py SOCKET OUTPUT STATE MEMORY: waits until a Firecracker's guest has written a byte to the file OUTPUT, pauses the VM by
the API at SOCKET and takes a snapshot into the files STATE and MEMORY; prints how long the answers to both requests took (us)."""
import json
import os
import socket
import sys
import time

POLL_S, PATIENCE_S = 0.001, 30


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"firecracker_snapshot.py: {what}")
        time.sleep(POLL_S)


def request(connection, method, path, body):
    text = json.dumps(body)
    connection.sendall(
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
    )
    answer = connection.recv(4096).decode()
    if not answer.startswith("HTTP/1.1 2"):
        sys.exit(f"firecracker_snapshot.py: {method} {path}: {answer or 'no answer'}")


def main(api, output, state, memory):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        wait_for(lambda: connection.connect_ex(api) == 0, f"nobody listens at {api}")
        wait_for(lambda: os.path.getsize(output) > 0, "the guest writes nothing")
        start = time.perf_counter_ns()
        request(connection, "PATCH", "/vm", {"state": "Paused"})
        request(connection, "PUT", "/snapshot/create", {"snapshot_type": "Full", "snapshot_path": state, "mem_file_path": memory})
        print(f"{(time.perf_counter_ns() - start) / 1000:.1f}")


main(*sys.argv[1:])
