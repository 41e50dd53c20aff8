/* SPDX-License-Identifier: MIT */
/* net.c with a second vCPU (race.h). */
#define RACE

#include "tests/fuzz/net.c"
