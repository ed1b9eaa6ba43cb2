/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For clang-tidy's analyzer only, which looks at one file at a time: the error given to report() or
 * refuse() is negative and comes back.
 */
#include <lkvm/report.h>

#ifndef LKVM_VERSION
#define LKVM_VERSION "0"
#endif

#define model_of(function, err, ...)                                                               \
	({                                                                                         \
		int model_err_ = (err);                                                            \
                                                                                                   \
		__builtin_assume(model_err_ < 0);                                                  \
		(function)(model_err_, __VA_ARGS__);                                               \
		model_err_;                                                                        \
	})
#define report(err, ...) model_of(report, err, __VA_ARGS__)
#define refuse(err, ...) model_of(refuse, err, __VA_ARGS__)
