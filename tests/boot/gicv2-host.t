#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A host with a GICv2: auto takes gicv2m, MSIs arrive as SPIs; gicv2 has none.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -g 2 -d e1000e "$0"
. ./host-lib.sh

nic=$(bdf e1000e)
# MSIs are not isolated from each other on such a host; type1 wants to be told that this is known.
echo 1 >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
bind "$nic"

run_linux auto 60 "do=irqs:arch_timer,cpus" -c 2 -m 256M
is "$status:$(guest_says cpus)" 0:2 "auto: Linux boots"
like "$(guest_says irq)" 'GIC-0 .*arch_timer' "on a GICv2"

run_linux gicv2 60 "do=irqs:arch_timer,cpus" -c 1 -m 256M --irqchip gicv2
is "$status:$(guest_says cpus)" 0:1 "gicv2: Linux boots"

run_linux gicv2m 60 "mods=e1000e do=ping:5,irqs:eth" -c 1 -m 512M --irqchip gicv2m --vfio-pci "$nic"
is "$status:$(guest_says ping)" 0:5 "gicv2m: a network card works"
like "$(guest_says irq)" 'MSI' "by MSIs"

for chip in gicv3 gicv3-its; do
	run_payload "$chip" 20 poweroff --irqchip $chip
	is "$status" 1 "$chip is refused"
	like "$(cat "$out")" "Fatal: .*(GICv3|gicv3)" "and the message says so"
done
done_testing
