#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What needs no Linux: PSCI, every emulated frame and the holes between, accesses that KVM cannot
# decode, the clock, the console; and hostile use of a device's configuration space and BARs.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -d nvme -d e1000e -d edu "$0"
. ./host-lib.sh

run_payload psci 30 psci -c 4
payload_passes "PSCI with four vCPUs"
run_payload mmio 30 mmio
payload_passes "every emulated frame, and the holes"
run_payload nisv 30 nisv
payload_passes "accesses that KVM cannot decode"

run_payload rtc 20 rtc
is "$status" 0 "the clock can be read"
# Within a minute of the host's.
guest_time=$(date -u -d "$(tr -d '\r' <"$out" | sed -n 's/^rtc //p')" +%s)
host_time=$(date -u +%s)
check "and shows the host's time ($guest_time, $host_time)" \
	test $((host_time - guest_time)) -ge -2 -a $((host_time - guest_time)) -le 60

printf 'hello, Echo 42q' | timeout 20 lkvm run -k "$guest/echo.bin" -c 1 -m 256M >"$tmp/echo" 2>&1
is "$?" 0 "a guest reads the console up to its end"
like "$(tr -d '\r' <"$tmp/echo")" '^HELLO, ECHO 42$' "input out of a pipe arrives whole"

for device in nvme e1000e edu; do
	bind "$(bdf $device)"
	run_payload "pci $device" 60 pci --vfio-pci "$(bdf $device)"
	payload_passes "hostile use of $device"
done
run_payload "pci all" 60 pci --vfio-pci "$(bdf nvme)" --vfio-pci "$(bdf e1000e)" --vfio-pci "$(bdf edu)"
payload_passes "hostile use of all three at once"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
