/* SPDX-License-Identifier: GPL-2.0-only */
/* What lkvm tells its user, on stderr. Whoever knows the noun (path, option, BDF) reports, once; callers propagate. */
#ifndef LKVM_REPORT_H
#define LKVM_REPORT_H

#include <stdatomic.h>
#include <syslog.h>

/*
 * Prints "  Fatal: TEXT: CAUSE", CAUSE being strerror(-err), and returns err, a negative errno value:
 *	return report(-errno, "cannot open initrd %s", path);
 */
int report(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same where TEXT says the cause better than strerror() could: prints "  Fatal: TEXT", returns err. */
int refuse(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "  Warning: TEXT", "  Info: TEXT", "  Debug: TEXT", each if the level asks for it. */
void report_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void report_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void report_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A guest's or device's mistake: "  Warning: TEXT" the first time, silence afterwards. `said` belongs to the
 * device complained about and starts out false.
 */
void report_once(atomic_bool *said, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * The least severe level that is printed: LOG_ERR, LOG_WARNING (the default), LOG_INFO or LOG_DEBUG. It lives in
 * libc's log mask (setlogmask(3)), so that it is the process's and not a variable of ours.
 */
void report_set_level(int priority);

#endif
