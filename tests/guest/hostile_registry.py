# SPDX-License-Identifier: MIT
"""The cases of hostile_programs.py and hostile_traffic.py, and what both do."""
import array
import socket

CASES = []


def case(target, attack, number):
    """Of this class. The function gets the Peers object."""

    def add(function):
        CASES.append((target, attack, function))
        return function

    return add


def ignore_errors(function, *arguments):
    try:
        return function(*arguments)
    except OSError:
        return None


def pass_descriptors(s, count, data=b"x"):
    fds = array.array("i", [0] * count)
    return ignore_errors(s.sendmsg, [data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
