#!/bin/bash
# SPDX-License-Identifier: MIT
# 10,000 crashes of the host, and 200 SIGKILLs. `make test T=durable`
exec "$(dirname "$0")/../machines/durable.sh" 20 400 10000 200
