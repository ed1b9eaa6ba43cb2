/* SPDX-License-Identifier: GPL-2.0-only */
/* A shared library that is loaded only when it is needed: no build needs it, and no run that does not use it. */
#ifndef LKVM_LIBRARY_H
#define LKVM_LIBRARY_H

#include <stddef.h>

/* A function wanted of it, and where its address goes: a pointer at this offset of the caller's struct. */
struct library_function {
	char name[28];
	unsigned offset;
};

/*
 * Loads the library of this name (dlopen(3)) and fills in `into`. Returns a handle for library_unload(), or NULL and,
 * in `why`, what is wrong. Nothing is reported.
 */
void *library_load(const char *name, const struct library_function *functions, size_t count,
		   void *into, char *why, size_t size);
/* Accepts NULL. */
void library_unload(void *handle);

#endif
