#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The named cases of hostile guests and hosts, as their sources have them.

    hostile_cases.py list           each case: its name, its class, its test
    hostile_cases.py table          the table of docs/security.md
    hostile_cases.py update         writes it there
    hostile_cases.py check          fails if the one there is another
"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DOC = os.path.join(HERE, "../../docs/security.md")
# What other tests assert.
ELSEWHERE = (
    ("uart", "100-mb-typed-to-a-guest-that-does-not-read", 7, "guest/memory"),
    ("uart", "output-that-nobody-takes", 7, "guest/memory"),
    ("block", "requests-without-end", 8, "guest/memory"),
    ("block", "hung-flushes", 24, "guest/blk-hung"),
    ("block", "hung-writes", 24, "guest/blk-hung"),
    ("block", "hung-reads", 24, "guest/blk-hung"),
    ("block", "hung-reads-of-a-device", 24, "guest/blk-hung"),
    ("block", "ring-that-refills-itself-at-the-end", 25, "guest/blk-selfread"),
    ("block", "impatient-driver", 17, "guest/blk-reset"),
    ("net", "flood-and-pings", 6, "guest/net-flood"),
    ("net", "starved-and-idle", 9, "guest/net-flood"),
    ("net", "storm-of-kicks", 9, "guest/net-flood"),
    ("net", "interface-removed", 27, "guest/net-flood"),
    ("net", "restarts-while-links-change", 26, "guest/net-reset"),
    ("vsock", "readers-that-do-not-read", 21, "guest/vsock-io"),
    ("vsock", "1200-connections", 28, "guest/vsock-io"),
    ("kernel", "damaged-files", 23, "guest/kernel-damaged"),
    ("host", "pids-max", 29, "guest/task-limit"),
    ("host", "no-workers", 29, "guest/blk-no-workers"),
    ("host", "locked-memory", 29, "guest/memlock"),
)
BEGIN = "<!-- tests/guest/hostile_cases.py update -->\n"
END = "<!-- end -->\n"
# A table in C: "/* cases: TARGET... */" and rows that begin with a name and a class; in Python a decorator.
TABLE = re.compile(r"/\* cases: ([a-z -]+) \*/\n[^\n]*\n(.*?)\n};", re.S)
ROW = re.compile(r'^\t\{\s*"([a-z0-9-]+)",\s*(\d+),', re.M)
DECORATOR = re.compile(r'^@case\("([a-z]+)", "([a-z0-9-]+)", (\d+)', re.M)


def read(path):
    with open(os.path.join(HERE, path)) as file:
        return file.read()


def cases():
    """(suite, target, attack, class) of all, in the order of the sources."""
    found = [(test, target, attack, number) for target, attack, number, test in ELSEWHERE]
    for name in sorted(os.listdir(os.path.join(HERE, "hostile"))):
        if not name.endswith(".c"):
            continue
        for targets, rows in TABLE.findall(read("hostile/" + name)):
            for target in targets.split():
                for attack, number in ROW.findall(rows):
                    found.append((re.split("[_.]", name)[0], target, attack, int(number)))
    for name in ("hostile_programs.py", "hostile_traffic.py"):
        for target, attack, number in DECORATOR.findall(read(name)):
            found.append(("peers", target, attack, int(number)))
    return found


def names(suite):
    """Of a suite, which is the files whose names begin with it: the names of its cases."""
    return ["%s-%s" % (target, attack) for file, target, attack, _ in cases() if file == suite]


def table():
    """A line for each attack: its class, and where it is made."""
    rows = {}
    for _, target, attack, number in cases():
        rows.setdefault((attack, number), []).append(target)
    lines = ["| attack | class | on |\n", "|---|---|---|\n"]
    for (attack, number), targets in sorted(rows.items(), key=lambda row: (row[0][1] or 99, row[0][0])):
        lines.append("| %s | %s | %s |\n" % (attack, number or "", ", ".join(targets)))
    total = "%d cases of %d attacks.\n\n" % (sum(map(len, rows.values())), len(rows))
    return total + "".join(lines)


def in_document():
    text = read(DOC)
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:begin], text[begin:end], text[end:]


def main(word):
    if word == "list":
        for suite, target, attack, number in cases():
            print("hostile/%s-%s" % (target, attack), number, suite)
    elif word == "table":
        print(table(), end="")
    elif word == "update":
        before, _, after = in_document()
        with open(DOC, "w") as file:
            file.write(before + table() + after)
    elif word == "check":
        found = ["%s-%s" % one[1:3] for one in cases()]
        twice = sorted({name for name in found if found.count(name) > 1})
        if twice:
            sys.exit("two cases have one name: " + " ".join(twice))
        if in_document()[1] != table():
            sys.exit("docs/security.md: the table of hostile cases is not that of the sources (hostile_cases.py update)")
        print(table().splitlines()[0])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) == 2 else "")
