/* SPDX-License-Identifier: MIT */
/* block.c with a second vCPU (race.h). */
#define RACE

#include "tests/fuzz/block.c"
