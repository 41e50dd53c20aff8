#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Percentiles of what a bench measured: lines of WHO, WHAT, UNIT, VALUE with tabs between.

samples.py p50 FILE WHO WHAT              the median of one series
samples.py table FILE                     every series in a line
samples.py json FILE BENCH CONDITIONS LINE...
                                          one JSON object: the series, and the lines that sum them up
"""
import json
import math
import sys


def read_series(path):
    """{(who, what, unit): [values]} in the order in which they first appear."""
    series = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            who, what, unit, value = line.rstrip("\n").split("\t")
            series.setdefault((who, what, unit), []).append(float(value))
    return series


def percentile(values, percent):
    """The nearest rank: always one of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def number(value):
    """Three digits or more, none that say nothing."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def print_table(series):
    rows = [("who", "what", "unit", "runs", "p50", "p90", "p99")]
    for (who, what, unit), values in series.items():
        points = [number(percentile(values, percent)) for percent in (50, 90, 99)]
        rows.append((who, what, unit, str(len(values)), *points))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[i].ljust(widths[i]) if i < 3 else row[i].rjust(widths[i]) for i in range(len(row))]
        print("  ".join(cells).rstrip())


def as_json(series, bench, conditions, lines):
    return {
        "bench": bench,
        "conditions": conditions,
        "series": [
            {
                "who": who,
                "what": what,
                "unit": unit,
                "p50": percentile(values, 50),
                "p90": percentile(values, 90),
                "p99": percentile(values, 99),
                "values": values,
            }
            for (who, what, unit), values in series.items()
        ],
        "lines": lines,
    }


def main(argv):
    if len(argv) < 3:
        sys.exit(__doc__)
    series = read_series(argv[2])
    if argv[1] == "p50":
        found = [v for (who, what, _), v in series.items() if [who, what] == argv[3:5]]
        if not found:
            sys.exit(f"samples.py: there is no series {argv[3]} {argv[4]}")
        print(number(percentile(found[0], 50)))
    elif argv[1] == "table":
        print_table(series)
    elif argv[1] == "json":
        json.dump(as_json(series, argv[3], argv[4], argv[5:]), sys.stdout, indent=1)
        print()
    else:
        sys.exit(__doc__)


main(sys.argv)
