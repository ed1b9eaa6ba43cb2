#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The functions of a card that have no reset of their own: their bus is reset, once for all of them,
# at the start and when the guest is done with them.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" "$0" -- \
	-device pcie-root-port,id=card,chassis=1,hotplug=off,addr=4.0 \
	-device e1000,netdev=net,bus=card,multifunction=on,addr=0.0 -netdev user,id=net \
	-device edu,bus=card,addr=0.1
. ./host-lib.sh

nic=$(bdf e1000)
edu=$(bdf edu)
check "both functions can be bound to vfio-pci" eval 'bind "$nic" && bind "$edu"'
is "$(cat "$pci/$edu/reset_method" 2>/dev/null)" "" "without a reset of their own"
like "$(lkvm vfio check "$edu")" 'reset  *none of its own' "lkvm vfio check says so"

resets() {
	grep -c 'Debug: .*: hot reset' "$out"
}

for n in 1 2; do
	run_linux "both $n" 60 "mods=e1000 do=ping:3" -c 1 -m 256M --loglevel debug \
		--vfio-pci "$nic" --vfio-pci "$edu"
	is "$status:$(guest_says ping)" 0:3 "run $n: the network card works"
	is "$(resets)" 2 "one hot reset before, one after"
done
run_payload restart 30 reset --vfio-pci "$edu" --loglevel debug
is "$status:$(resets)" 32:2 "one function alone: the other is nobody's"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
