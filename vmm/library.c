// SPDX-License-Identifier: GPL-2.0-only
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <lkvm/library.h>

void *library_load(const char *name, const struct library_function *functions, size_t count,
		   void *into, char *why, size_t size)
{
	void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		const char *said = dlerror();

		snprintf(why, size, "%s", said ? said : name);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		void *found = dlsym(handle, functions[i].name);

		if (!found) {
			snprintf(why, size, "%s has no %s()", name, functions[i].name);
			dlclose(handle);
			return NULL;
		}
		memcpy((char *)into + functions[i].offset, &found, sizeof(found));
	}
	return handle;
}

void library_unload(void *handle)
{
	if (handle)
		dlclose(handle);
}
