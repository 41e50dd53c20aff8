# SPDX-License-Identifier: MIT
"""An image that another process has: a monitor waits for it in its set-up."""
import contextlib
import fcntl
import os
import struct


@contextlib.contextmanager
def locked_image(path):
    with open(path, "wb") as file:
        file.truncate(1 << 20)
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        yield
