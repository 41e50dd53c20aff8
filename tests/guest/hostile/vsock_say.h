/* SPDX-License-Identifier: MIT */
/* Packets of the hostile vsock driver. */
#ifndef TESTS_GUEST_HOSTILE_VSOCK_SAY_H
#define TESTS_GUEST_HOSTILE_VSOCK_SAY_H

#include "hostile/hostile.h"

#define HEADER VSOCK_HEADER_BYTES
#define ECHO   6000u /* a port of the host: what comes goes back */
#define NOBODY 7777u /* one where nobody listens */

extern uint32_t say_port; /* of the guest: that of the last connection */

struct vsock_packet *say_packet(uint16_t op, uint32_t from, uint32_t to, uint32_t length);
void say_put(struct vsock_packet *new, uint32_t bytes);
void say_op(uint16_t op, uint32_t from, uint32_t to);
void say_buffers(void);
bool say_hear(uint32_t guest_port, uint16_t op);
void say_drain(void);
void say_open(void);
void say_expect_reset(void);

#endif
