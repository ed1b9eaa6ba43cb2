#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A host with a GICv4: a passed-through device's MSIs go straight to the guest. Its counts rise, the
# host's do not.
[ -n "${BED_HOST:-}" ] ||
	exec "$(dirname "$0")/../bed/run" -g 4 -a kvm-arm.vgic_v4_enable=1 -d e1000e "$0"
. ./host-lib.sh

nic=$(bdf e1000e)
bind "$nic"
like "$(dmesg)" 'GICv4 support enabled' "the host delivers MSIs directly"

guest_script <<'SCRIPT'
do_ping 20
do_irq_count
do_wait
SCRIPT
start_held gicv4 run -k "$guest/Image" -i "$initrd" -c 1 -m 512M \
	-p "console=ttyS0 $quick mods=e1000e" --vfio-pci "$nic"
check "a guest with a network card comes up" wait_for_output 90 'guest: waits'
is "$(host_irqs "$nic")" 0 "the host has taken none of its interrupts"
check "the host has vectors for it" grep -q "vfio-msix.*$nic" /proc/interrupts
let_go
wait_lkvm 20
is "$status" 0 "the guest powers off"
is "$(guest_says ping)" 20 "twenty pings are answered"
check "the guest has taken interrupts ($(guest_says irq-count))" test "$(guest_says irq-count)" -ge 20
done_testing
