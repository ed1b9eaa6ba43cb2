#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The series for Linux 6.1, on a host with that kernel.
SERIES=6.1 exec "$(dirname "$0")/doorbell-uapi.t"
