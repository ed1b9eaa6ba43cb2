#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Each interrupt controller that a host with a GICv3 offers; what it does not offer is refused by
# name.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -d e1000e "$0"
. ./host-lib.sh

nic=$(bdf e1000e)
bind "$nic"

run_linux auto 60 "do=irqs:arch_timer,dmesg" -c 1 -m 256M
is "$status" 0 "without --irqchip Linux boots"
like "$(cat "$out")" 'GICv3|ITS' "with a GICv3"

run_linux gicv3-its 60 "mods=e1000e do=ping:5,irqs:eth" -c 2 -m 512M --irqchip gicv3-its --vfio-pci "$nic"
is "$status:$(guest_says ping)" 0:5 "gicv3-its: a network card works"
like "$(guest_says irq)" 'ITS-.*MSI' "by MSIs through the ITS"

run_linux gicv3 60 "do=irqs:arch_timer,cpus" -c 2 -m 256M --irqchip gicv3
is "$status:$(guest_says cpus)" 0:2 "gicv3: Linux boots"
like "$(guest_says irq)" 'GICv3.*arch_timer' "on a GICv3"

for chip in gicv2 gicv2m; do
	run_payload "$chip" 20 poweroff --irqchip $chip
	is "$status" 1 "$chip is refused"
	like "$(cat "$out")" "Fatal: .*(GICv2|gicv2)" "and the message says so"
	is "$(wc -l <"$out")" 1 "once"
done
run_payload nonesuch 20 poweroff --irqchip gicv9
is "$status" 2 "an irqchip that there is not is a usage error"
done_testing
