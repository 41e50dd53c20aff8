/* SPDX-License-Identifier: MIT */
/* vsock.c with a second vCPU (race.h). */
#define RACE

#include "tests/fuzz/vsock.c"
