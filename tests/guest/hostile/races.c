/* SPDX-License-Identifier: MIT */
#include "hostile/hostile.h"
const struct hostile_table race_table = { 0, 0, "" };
