/* SPDX-License-Identifier: GPL-2.0-only */
/* Why a run of the guest ended. lkvm(1), EXIT STATUS, gives each its number. */
#ifndef LKVM_RUN_END_H
#define LKVM_RUN_END_H

enum run_end {
	RUN_GOES_ON,
	RUN_POWEROFF,   /* PSCI SYSTEM_OFF */
	RUN_RESET,      /* PSCI SYSTEM_RESET, SYSTEM_RESET2 */
	RUN_PANIC,      /* the guest's kernel said so through pvpanic */
	RUN_CRASH,      /* KVM cannot go on with this guest */
	RUN_HOST_ERROR, /* ours or the host's; already reported */
	RUN_TIMEOUT,
	RUN_QUIT,   /* Ctrl-a x */
	RUN_SIGNAL, /* RUN_SIGNAL + n: signal n; keep last */
};

#endif
