/* SPDX-License-Identifier: MIT */
/* The CMOS clock's ports. There is no clock: the guest has KVM's. */
#ifndef IO_CMOS_H
#define IO_CMOS_H

#include "io/bus.h"

/* Every register reads 0. All ones, as where nothing is, would be a clock whose "update in progress" never ends: a
 * driver waits for a second. */
void cmos_attach(struct bus *ports);

#endif
