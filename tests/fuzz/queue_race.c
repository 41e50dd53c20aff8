/* SPDX-License-Identifier: MIT */
/* queue.c with a second vCPU (race.h). */
#define RACE

#include "tests/fuzz/queue.c"
