/* SPDX-License-Identifier: GPL-2.0-only */
/* Files to open, and what is printed on stderr meanwhile. */
#ifndef FILES_H
#define FILES_H

#include <stddef.h>

/* setup/teardown of a cmocka test: an empty folder of its own; afterwards no descriptor may be left open. */
int files_setup(void **state);
int files_teardown(void **state);

/* The path of `name` in the folder; valid until the next call but three. */
const char *file_path(const char *name);
/* Writes a file into the folder; returns its path. */
const char *file_make(const char *name, const void *bytes, size_t size);

/* From here on stderr is kept; stderr_text() ends that and returns it, valid until the next call. */
void stderr_keep(void);
const char *stderr_text(void);

/* stderr must hold exactly one line, with `part` in it. */
void assert_reported(const char *part);

#endif
