#!/bin/bash
# SPDX-License-Identifier: MIT
# The short list under KVM's Intel side: in Bochs, which emulates VMX.
. "$(dirname "$0")/machine.bash"
in_machine --cpu intel
