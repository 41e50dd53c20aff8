/* SPDX-License-Identifier: MIT */
/*
 * Writes AML, the byte code in which ACPI describes devices (ACPI 6.5, 20). The calls read as the tree that they make:
 * a block is opened, filled, and closed by aml_end(), which writes its length in front.
 */
#ifndef BOOT_AML_H
#define BOOT_AML_H

#include <stddef.h>
#include <stdint.h>

/* The most that two bytes of PkgLength can say (20.2.4). */
#define AML_MAX_BYTES 0xfffu
#define AML_MAX_DEPTH 4u

struct aml {
	uint8_t *bytes; /* AML_MAX_BYTES */
	size_t length;
	size_t open[AML_MAX_DEPTH]; /* where each open block's PkgLength stands */
	unsigned depth;
};

/* Blocks: aml_end() closes the last one opened. Every name has four letters. */
void aml_scope(struct aml *aml, const char *name);
void aml_device(struct aml *aml, const char *name);
void aml_method(struct aml *aml, const char *name); /* without arguments */
void aml_name_package(struct aml *aml, const char *name, uint8_t n_elements);
void aml_end(struct aml *aml);

void aml_name_integer(struct aml *aml, const char *name, uint32_t value);
void aml_name_string(struct aml *aml, const char *name, const char *value);
void aml_integer(struct aml *aml, uint32_t value);
void aml_notify(struct aml *aml, const char *name, uint32_t value);

/* A block of what a device needs (6.4): only the three below go into it, and aml_resources_end() closes it. */
void aml_resources(struct aml *aml);
void aml_ports(struct aml *aml, uint16_t first, uint8_t n);
void aml_memory(struct aml *aml, uint32_t gpa, uint32_t bytes);
void aml_interrupt(struct aml *aml, uint32_t gsi); /* an edge, as all are here */
void aml_resources_end(struct aml *aml);

/* The number of a PNP id, "PNP0501" being AML_PNP(0x0501) (6.1.5). */
#define AML_PNP(id) (0xd041u | ((uint32_t)(id) >> 8) << 16 | ((uint32_t)(id)&0xff) << 24)

#endif
