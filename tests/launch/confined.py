#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""confined.py COMMAND...: under examples/oci/seccomp.json, where a forbidden call kills. Needs python3-seccomp."""
import json
import os
import sys

import seccomp

COMPARE = {"SCMP_CMP_EQ": seccomp.EQ, "SCMP_CMP_NE": seccomp.NE, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ}

with open(f"{os.path.dirname(__file__)}/../../examples/oci/seccomp.json", encoding="utf-8") as file:
    profile = json.load(file)
confinement = seccomp.SyscallFilter(seccomp.KILL_PROCESS)
for rule in profile["syscalls"]:
    assert rule["action"] == "SCMP_ACT_ALLOW", rule
    arguments = [seccomp.Arg(arg["index"], COMPARE[arg["op"]], arg["value"], arg.get("valueTwo", 0))
                 for arg in rule.get("args", [])]
    for name in rule["names"]:
        confinement.add_rule(seccomp.ALLOW, name, *arguments)
confinement.load()
os.execv(sys.argv[1], sys.argv[1:])
