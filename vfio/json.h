/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes one JSON value (RFC 8259), indented; what is put into it is escaped. */
#ifndef VFIO_JSON_H
#define VFIO_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	unsigned depth;
	bool filled; /* the innermost object or array has a member */
};

/* key: NULL in arrays and at the top. open: '{' or '['. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
/* Bytes that are no ASCII come out as the Latin-1 characters of that number: always valid. NULL: null. */
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);
/* An address, as a string: JSON's readers round large numbers. */
void json_hex(struct json *json, const char *key, uint64_t value);

#endif
