#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A device goes back and forth between the host's driver and guests, 20 times; two guests run at
# once with a device each.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -d e1000e -d nvme "$0"
. ./host-lib.sh

nic=$(bdf e1000e)
nvme=$(bdf nvme)
modprobe e1000e

round=0
failed=
while [ "$round" -lt 20 ]; do
	round=$((round + 1))
	bind "$nic" || failed="$failed $round(to vfio-pci)"
	run_payload "round $round" 20 poweroff --vfio-pci "$nic"
	[ "$status" = 0 ] || failed="$failed $round(lkvm: $status)"
	rebind "$nic"
	wait_for 5 test -e /sys/class/net/eth0 || failed="$failed $round(to the host)"
done
is "$failed" "" "a device goes to a guest and back to the host 20 times"
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
wait_for 10 grep -q 1 /sys/class/net/eth0/carrier
check "the host's driver works with it afterwards" ping -c 3 -W 20 10.0.2.2
ip link set eth0 down

bind "$nic"
bind "$nvme"
guest_script <<'SCRIPT'
do_ping 20
do_wait
SCRIPT
start_held one run -k "$guest/Image" -i "$initrd" -c 1 -m 512M -p "console=ttyS0 $quick mods=e1000e" \
	--vfio-pci "$nic"
one=$pid
one_out=$out
guest_script <<'SCRIPT'
do_nvme_read 16
SCRIPT
start_lkvm two run -k "$guest/Image" -i "$initrd" -c 1 -m 512M -p "console=ttyS0 $quick mods=nvme" \
	--vfio-pci "$nvme"
check "the second of two guests is up" wait_for_output 90 'guest: nvme-read'
check "while the first one is, too" grep -q '^State:.[RSD]' "/proc/$one/status"
wait_lkvm 60
is "$status:$(guest_says nvme-read)" "0:$NVME_SUM" "the one with the disk has read it"
pid=$one
out=$one_out
check "so it is when that has ended" wait_for_output 60 'guest: waits'
let_go
wait_lkvm 60
is "$status:$(guest_says ping)" 0:20 "the one with the network card has its pings"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
