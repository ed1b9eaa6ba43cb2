// SPDX-License-Identifier: GPL-2.0-only
/* Shared libraries loaded when they are needed, and what is said of those that cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <lkvm/library.h>

struct text_library {
	size_t (*length)(const char *text);
	char *(*find)(const char *text, int byte);
};

static const struct library_function functions[] = {
	{ "strlen", offsetof(struct text_library, length) },
	{ "strchr", offsetof(struct text_library, find) },
};

static char why[100];

static void a_library_is_loaded_with_its_functions(void **state)
{
	struct text_library library = { 0 };
	void *handle = library_load("libc.so.6", functions, 2, &library, why, sizeof(why));

	(void)state;
	assert_non_null(handle);
	assert_int_equal(library.length("four"), 4);
	assert_string_equal(library.find("four", 'u'), "ur");
	library_unload(handle);
}

static void a_library_that_is_not_there_is_named(void **state)
{
	struct text_library library = { 0 };

	(void)state;
	assert_null(library_load("libnonesuch.so.9", functions, 2, &library, why, sizeof(why)));
	assert_non_null(strstr(why, "libnonesuch.so.9"));
	assert_null(library.length);
	library_unload(NULL);
}

static void a_function_that_it_lacks_is_named(void **state)
{
	static const struct library_function wanted[] = {
		{ "strlen", offsetof(struct text_library, length) },
		{ "no_such_function", offsetof(struct text_library, find) },
	};
	struct text_library library = { 0 };

	(void)state;
	assert_null(library_load("libc.so.6", wanted, 2, &library, why, sizeof(why)));
	assert_string_equal(why, "libc.so.6 has no no_such_function()");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_library_is_loaded_with_its_functions),
		cmocka_unit_test(a_library_that_is_not_there_is_named),
		cmocka_unit_test(a_function_that_it_lacks_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
