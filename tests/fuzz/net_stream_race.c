/* SPDX-License-Identifier: MIT */
/* net_stream.c with a second vCPU (race.h). */
#define RACE

#include "tests/fuzz/net_stream.c"
