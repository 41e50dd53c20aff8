/* SPDX-License-Identifier: MIT */
#ifndef HOST_CONTAINER_OF_H
#define HOST_CONTAINER_OF_H

#include <stddef.h>

/* The structure of type `type` whose member `member` is what `pointer` points to. Another type of pointer than the
 * member's does not compile. */
#define container_of(pointer, type, member)                                                        \
	((type *)((char *)(1 ? (pointer) : &((type *)NULL)->member) - offsetof(type, member)))

#endif
