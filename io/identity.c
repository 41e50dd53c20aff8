/* SPDX-License-Identifier: MIT */
/* Derived, of struct identity: random, and text, which is the new launcher's. A clone never gets those of another VM. */
#include "io/identity.h"

#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "host/clock.h"

void identity_read(const struct identity *identity, const struct bus_access *access)
{
	struct {
		uint64_t zero, generation, time_ns;
		uint8_t random[IDENTITY_RANDOM_BYTES];
		uint64_t zero_too;
		char text[IDENTITY_TEXT_BYTES];
	} page = { .generation = identity->generation };
	static_assert(offsetof(__typeof__(page), generation) == IDENTITY_GENERATION_OFFSET &&
			      offsetof(__typeof__(page), time_ns) == IDENTITY_TIME_OFFSET &&
			      offsetof(__typeof__(page), random) == IDENTITY_RANDOM_OFFSET &&
			      offsetof(__typeof__(page), text) == IDENTITY_TEXT_OFFSET,
		      "a contract with guests");

	bus_access_reply(access, 0);
	if (access->offset > sizeof(page) - access->length)
		return;
	page.time_ns = (uint64_t)clock_ns(CLOCK_REALTIME);
	memcpy(page.random, identity->random, sizeof(page.random));
	memcpy(page.text, identity->text, sizeof(page.text));
	memcpy(access->data, (const uint8_t *)&page + access->offset, access->length);
}

void identity_save(const struct identity *identity, struct identity_state *state)
{
	state->generation = identity->generation;
}

bool identity_restore(struct identity *identity, const struct identity_state *state,
		      struct error_text *error)
{
	identity->generation = state->generation + 1;
	return getrandom(identity->random, sizeof(identity->random), 0) ==
		       sizeof(identity->random) ||
	       error_set_errno(error, "getrandom");
}
