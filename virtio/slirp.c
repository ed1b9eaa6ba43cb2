// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include "slirp.h"

#define LIBRARY "libslirp.so.0"

/* The layout that the library's own header gives these on every 64-bit machine. */
static_assert(offsetof(struct slirp_config, hostname) == 64, "slirp_config");
static_assert(offsetof(struct slirp_config, mtu) == 136, "slirp_config");
static_assert(offsetof(struct slirp_config, disable_dhcp) == 177, "slirp_config");

static void *symbol(struct slirp_library *library, const char *name, const char **missing)
{
	void *found = dlsym(library->handle, name);

	if (!found)
		*missing = name;
	return found;
}

const char *slirp_load(struct slirp_library *library, char *why, size_t size)
{
	const char *missing = NULL;

	memset(library, 0, sizeof(*library));
	library->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library->handle) {
		const char *said = dlerror();

		snprintf(why, size, "%s", said ? said : LIBRARY);
		return why;
	}
	library->new = symbol(library, "slirp_new", &missing);
	library->cleanup = symbol(library, "slirp_cleanup", &missing);
	library->pollfds_fill = symbol(library, "slirp_pollfds_fill", &missing);
	library->pollfds_poll = symbol(library, "slirp_pollfds_poll", &missing);
	library->input = symbol(library, "slirp_input", &missing);
	library->add_hostfwd = symbol(library, "slirp_add_hostfwd", &missing);
	if (!missing)
		return NULL;
	snprintf(why, size, "%s has no %s()", LIBRARY, missing);
	slirp_unload(library);
	return why;
}

void slirp_unload(struct slirp_library *library)
{
	if (library->handle)
		dlclose(library->handle);
	library->handle = NULL;
}
