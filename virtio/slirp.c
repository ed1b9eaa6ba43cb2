// SPDX-License-Identifier: GPL-2.0-only
#include <assert.h>
#include <string.h>
#include <lkvm/library.h>
#include "slirp.h"

/* The layout that the library's own header gives these on every 64-bit machine. */
static_assert(offsetof(struct slirp_config, hostname) == 64, "slirp_config");
static_assert(offsetof(struct slirp_config, mtu) == 136, "slirp_config");
static_assert(offsetof(struct slirp_config, disable_dhcp) == 177, "slirp_config");

static const struct library_function functions[] = {
	{ "slirp_new", offsetof(struct slirp_library, new) },
	{ "slirp_cleanup", offsetof(struct slirp_library, cleanup) },
	{ "slirp_pollfds_fill", offsetof(struct slirp_library, pollfds_fill) },
	{ "slirp_pollfds_poll", offsetof(struct slirp_library, pollfds_poll) },
	{ "slirp_input", offsetof(struct slirp_library, input) },
	{ "slirp_add_hostfwd", offsetof(struct slirp_library, add_hostfwd) },
};

const char *slirp_load(struct slirp_library *library, char *why, size_t size)
{
	memset(library, 0, sizeof(*library));
	library->handle =
		library_load("libslirp.so.0", functions, sizeof(functions) / sizeof(functions[0]),
			     library, why, size);
	return library->handle ? NULL : why;
}

void slirp_unload(struct slirp_library *library)
{
	library_unload(library->handle);
	library->handle = NULL;
}
