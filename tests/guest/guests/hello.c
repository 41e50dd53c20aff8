/* SPDX-License-Identifier: MIT */
/* Prints a line and resets. */
#include "rt/rt.h"

void guest_main(const uint8_t *zero_page)
{
	(void)zero_page;
	print("hello from the guest\n");
}
