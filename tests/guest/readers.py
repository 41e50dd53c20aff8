# SPDX-License-Identifier: MIT
"""Readers that take nothing, each as (its end or None, the end to be written to)."""
import os


def full():
    r, w = os.pipe()
    os.set_blocking(w, False)
    try:
        while True:
            os.write(w, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(w, True)
    return r, w


def dead():
    r, w = os.pipe()
    os.close(r)
    return None, w


def device():
    return None, os.open("/dev/full", os.O_WRONLY)
