#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""api.py SOCKET METHOD PATH JSON: one request to a Firecracker's API, as soon as its socket is there; prints how long the answer took (us)."""
import socket
import sys
import time

path, method, resource, body = sys.argv[1:]
connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
for attempt in range(2000):
    if connection.connect_ex(path) == 0:
        break
    time.sleep(0.001)
else:
    sys.exit(f"api.py: nobody listens at {path}")
request = f"{method} {resource} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
start = time.perf_counter_ns()
connection.sendall(f"{request}Content-Length: {len(body)}\r\n\r\n{body}".encode())
answer = connection.recv(4096).decode()
end = time.perf_counter_ns()
if not answer.startswith("HTTP/1.1 2"):
    sys.exit(f"api.py: {method} {resource}: {answer or 'no answer'}")
print(f"{(end - start) / 1000:.1f}")
