#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Network cards that have INTx only, and I/O BARs: e1000 and rtl8139, alone and both at once.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -c 1 -d e1000 -d rtl8139 "$0"
. ./host-lib.sh

e1000=$(bdf e1000)
rtl=$(bdf rtl8139)
bind "$e1000" && bind "$rtl"

run_linux e1000 60 "mods=e1000 do=ping:10,irqs:eth0" -c 1 -m 512M --vfio-pci "$e1000"
is "$status:$(guest_says ping)" 0:10 "e1000: ten pings are answered"
like "$(guest_says irq)" 'Level' "its interrupt is a line"

run_linux rtl8139 60 "mods=8139cp do=ping:10,irqs:eth0" -c 1 -m 512M --vfio-pci "$rtl"
is "$status:$(guest_says ping)" 0:10 "rtl8139: ten pings are answered"
like "$(guest_says irq)" 'Level' "its interrupt is a line"

guest_script <<'SCRIPT'
do_net eth0
say first "$(ping -c 5 -i 0.1 -W 20 10.0.2.2 | grep -c 'bytes from')"
ip addr flush dev eth0
ip link set eth0 down
do_net eth1
say second "$(ping -c 5 -i 0.1 -W 20 10.0.2.2 | grep -c 'bytes from')"
SCRIPT
run_lkvm both 90 run -k "$guest/Image" -i "$initrd" -c 2 -m 512M \
	-p "console=ttyS0 $quick mods=e1000,8139cp" --vfio-pci "$e1000" --vfio-pci "$rtl"
is "$status:$(guest_says first):$(guest_says second)" 0:5:5 "both in one guest, one after the other"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
