/* SPDX-License-Identifier: MIT */
#include "boot/aml.h"

#include <string.h>

#include "host/fail.h"

#define OP_ZERO            0x00u
#define OP_ONE             0x01u
#define OP_NAME            0x08u
#define PREFIX_BYTE        0x0au
#define PREFIX_WORD        0x0bu
#define PREFIX_DWORD       0x0cu
#define PREFIX_STRING      0x0du
#define OP_SCOPE           0x10u
#define OP_BUFFER          0x11u
#define OP_PACKAGE         0x12u
#define OP_METHOD          0x14u
#define OP_EXTENDED        0x5bu
#define OP_EXTENDED_DEVICE 0x82u
#define OP_NOTIFY          0x86u

#define PORTS_DESCRIPTOR        0x47u
#define PORTS_DECODE_16         0x01u
#define MEMORY_DESCRIPTOR       0x86u
#define MEMORY_WRITABLE         0x01u
#define INTERRUPT_DESCRIPTOR    0x89u
#define INTERRUPT_CONSUMER_EDGE 0x03u
#define END_TAG                 0x79u

#define ONE_BYTE_MAX_LENGTH 63u

static void put(struct aml *aml, const void *data, size_t bytes)
{
	if (bytes > AML_MAX_BYTES - aml->length)
		fail(EXIT_MONITOR_FAILED, "ACPI: more than %u bytes of AML", AML_MAX_BYTES);
	memcpy(aml->bytes + aml->length, data, bytes);
	aml->length += bytes;
}

static void put_number(struct aml *aml, uint32_t value, unsigned bytes)
{
	put(aml, &value, bytes);
}

static void put_name(struct aml *aml, const char *name)
{
	put(aml, name, strlen(name));
}

static void open_block(struct aml *aml)
{
	aml->open[aml->depth++] = aml->length;
	put_number(aml, 0, 1);
}

void aml_end(struct aml *aml)
{
	size_t at = aml->open[--aml->depth];
	uint32_t length = (uint32_t)(aml->length - at); /* its own bytes are counted */

	if (length <= ONE_BYTE_MAX_LENGTH) {
		aml->bytes[at] = (uint8_t)length;
		return;
	}
	put_number(aml, 0, 1);
	memmove(&aml->bytes[at + 2], &aml->bytes[at + 1], length - 1);
	length++;
	aml->bytes[at] = (uint8_t)(1u << 6 | (length & 0xf));
	aml->bytes[at + 1] = (uint8_t)(length >> 4);
}

void aml_scope(struct aml *aml, const char *name)
{
	put_number(aml, OP_SCOPE, 1);
	open_block(aml);
	put_name(aml, name);
}

void aml_device(struct aml *aml, const char *name)
{
	put_number(aml, OP_EXTENDED | OP_EXTENDED_DEVICE << 8, 2);
	open_block(aml);
	put_name(aml, name);
}

void aml_method(struct aml *aml, const char *name)
{
	put_number(aml, OP_METHOD, 1);
	open_block(aml);
	put_name(aml, name);
	put_number(aml, 0, 1);
}

void aml_name_package(struct aml *aml, const char *name, uint8_t n_elements)
{
	put_number(aml, OP_NAME, 1);
	put_name(aml, name);
	put_number(aml, OP_PACKAGE, 1);
	open_block(aml);
	put_number(aml, n_elements, 1);
}

void aml_integer(struct aml *aml, uint32_t value)
{
	if (value <= 1) {
		put_number(aml, value == 0 ? OP_ZERO : OP_ONE, 1);
	} else if (value <= UINT8_MAX) {
		put_number(aml, PREFIX_BYTE, 1);
		put_number(aml, value, 1);
	} else if (value <= UINT16_MAX) {
		put_number(aml, PREFIX_WORD, 1);
		put_number(aml, value, 2);
	} else {
		put_number(aml, PREFIX_DWORD, 1);
		put_number(aml, value, 4);
	}
}

void aml_name_integer(struct aml *aml, const char *name, uint32_t value)
{
	put_number(aml, OP_NAME, 1);
	put_name(aml, name);
	aml_integer(aml, value);
}

void aml_name_string(struct aml *aml, const char *name, const char *value)
{
	put_number(aml, OP_NAME, 1);
	put_name(aml, name);
	put_number(aml, PREFIX_STRING, 1);
	put(aml, value, strlen(value) + 1);
}

void aml_notify(struct aml *aml, const char *name, uint32_t value)
{
	put_number(aml, OP_NOTIFY, 1);
	put_name(aml, name);
	aml_integer(aml, value);
}

/* A buffer: its length as an integer of one byte, then the descriptors. */
void aml_resources(struct aml *aml)
{
	put_number(aml, OP_NAME, 1);
	put_name(aml, "_CRS");
	put_number(aml, OP_BUFFER, 1);
	open_block(aml);
	put_number(aml, PREFIX_BYTE, 2);
}

void aml_resources_end(struct aml *aml)
{
	size_t at = aml->open[aml->depth - 1] + 2; /* behind a PkgLength of one byte */

	put_number(aml, END_TAG, 2); /* and no checksum */
	aml->bytes[at] = (uint8_t)(aml->length - at - 1);
	aml_end(aml);
}

void aml_ports(struct aml *aml, uint16_t first, uint8_t n)
{
	put_number(aml, PORTS_DESCRIPTOR | PORTS_DECODE_16 << 8, 2);
	put_number(aml, first, 2);
	put_number(aml, first, 2);
	put_number(aml, 1, 1); /* alignment */
	put_number(aml, n, 1);
}

void aml_memory(struct aml *aml, uint32_t gpa, uint32_t bytes)
{
	put_number(aml, MEMORY_DESCRIPTOR, 1);
	put_number(aml, 9, 2);
	put_number(aml, MEMORY_WRITABLE, 1);
	put_number(aml, gpa, 4);
	put_number(aml, bytes, 4);
}

void aml_interrupt(struct aml *aml, uint32_t gsi)
{
	put_number(aml, INTERRUPT_DESCRIPTOR, 1);
	put_number(aml, 6, 2);
	put_number(aml, INTERRUPT_CONSUMER_EDGE, 1);
	put_number(aml, 1, 1);
	put_number(aml, gsi, 4);
}
