#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Guests that misuse a passed-through device: its configuration space, its BARs, its MSI-X table. The
# host and the guest's RAM stay as they are, and the device works for the next guest. Then proper use,
# by a guest that can tell what it should see: each interrupt once, DMA to where it says.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -c 1 -d nvme -d e1000e -d edu -d xhci "$0"
. ./host-lib.sh

devices='nvme e1000e edu xhci'
for device in $devices; do
	check "$device is bound to vfio-pci" bind "$(bdf "$device")"
done

# host_bars BDF: size and flags of each BAR as the host knows them, in the guest's words.
host_bars() {
	n=0
	while read -r start end flags && [ $n -lt 6 ]; do
		[ "$start" = 0x0000000000000000 ] ||
			printf '%d size 0x%x flags 0x%x\n' $n $((end - start + 1)) \
				$((flags & 1 | flags & 8 | (flags & 0x100000) >> 18))
		n=$((n + 1))
	done <"$pci/$1/resource"
}

for device in $devices; do
	run_payload "pci $device" 120 pci -n none --vfio-pci "$(bdf "$device")"
	payload_passes "configuration space and BARs of $device"
	is "$(sed -n 's/^bar 00:00.0 //p' "$out" | tr '\n' ' ')" "$(host_bars "$(bdf "$device")" | tr '\n' ' ')" \
		"the guest sees $device's BARs as they are"
	check "lkvm is not talkative about it" test "$(grep -c 'Warning' "$out")" -le 2
done

all=
for device in $devices; do
	all="$all --vfio-pci $(bdf "$device")"
done
# shellcheck disable=SC2086 # several arguments
run_payload "pci all" 300 pci -n none $all
payload_passes "all four at once"
is "$(sed -n 's/^functions //p' "$out")" 4 "which the guest sees"

# shellcheck disable=SC2086
run_payload "msix all" 120 msix -n none $all
payload_passes "MSI-X tables"
is "$(sed -n 's/^functions //p' "$out")" 3 "of all that have one"
check "lkvm is not talkative about it" test "$(grep -c 'Warning' "$out")" -le 6

run_payload irq 120 irq --vfio-pci "$(bdf edu)" --vfio-pci "$(bdf e1000e)"
payload_passes "interrupts and DMA of devices that do as they are told"
is "$(sed -n 's/^devices //p' "$out")" 2 "both of them"
run_payload "irq elsewhere" 120 irq --vfio-pci "$(bdf edu),guest=7.3" --vfio-pci "$(bdf e1000e),guest=31" \
	--vfio-pci "$(bdf nvme),guest=7"
payload_passes "in other slots, too"

# A guest that ends in the middle of it leaves a device that works.
for device in nvme e1000e; do
	start_lkvm "pci $device killed" run -k "$guest/pci.bin" -c 1 -m 256M -n none --vfio-pci "$(bdf $device)"
	wait_for_output 20 '^ok BAR 0 moved'
	kill -9 "$pid"
	wait_lkvm 5
	rebind "$(bdf $device)"
done
modprobe nvme
modprobe e1000e
check "the host has its disk back" wait_for 10 test -b /dev/nvme0n1
is "$(head -c 16777216 /dev/nvme0n1 | sha256sum | cut -d ' ' -f 1)" "$NVME_SUM" "with what was on it"
check "the host has its network card back" wait_for 10 test -d "$pci/$(bdf e1000e)/net"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
