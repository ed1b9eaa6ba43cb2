#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# IOMMU groups of more than one device, several groups in a container, and a host that wants its
# device back.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -d nvme "$0" -- \
	-device e1000,netdev=net0,addr=8.0,multifunction=on -netdev user,id=net0 \
	-device rtl8139,netdev=net1,addr=8.1 -netdev user,id=net1
. ./host-lib.sh

nvme=$(bdf nvme)
e1000=$(bdf e1000)
rtl8139=$(bdf rtl8139)
bind "$nvme"
bind "$e1000"
modprobe 8139cp
bind "$rtl8139" 8139cp
is "$(readlink "$pci/$e1000/iommu_group")" "$(readlink "$pci/$rtl8139/iommu_group")" \
	"two network cards in one slot that does not isolate them are one IOMMU group"
like "$(lkvm vfio check "$e1000")" "$rtl8139" "lkvm vfio check names the other"
run_lkvm "not viable" 20 run --vfio-pci "$e1000" "$guest/poweroff.bin"
is "$status" 1 "the group is not viable while the host drives one of them"
like "$(cat "$out")" "Fatal: .*$rtl8139.*8139cp" "which is said, with the driver"

bind "$rtl8139"
run_linux "two in a group" 60 "mods=nvme,e1000,8139cp do=nvme-read:16,ping:3,pci" -c 1 -m 512M \
	--vfio-pci "$nvme" --vfio-pci "$e1000" --vfio-pci "$rtl8139"
is "$status:$(guest_says ping)" 0:3 "both in one guest, and a third of another group"
is "$(guest_says pci | grep -c -e ' nvme' -e ' e1000' -e ' 8139cp')" 3 "the guest sees the three"
is "$(guest_says nvme-read)" "$NVME_SUM" "the disk is read"

run_linux "one of a group" 60 "mods=e1000 do=ping:3" -c 1 -m 512M --vfio-pci "$e1000"
is "$status:$(guest_says ping)" 0:3 "one of the group alone works too"

start_lkvm "wanted back" run -c 1 -m 64M --vfio-pci "$nvme" "$guest/hang.bin"
wait_for_output 10 '^hang'
echo "$nvme" >/sys/bus/pci/drivers/vfio-pci/unbind
wait_lkvm 5
is "$status" 1 "the host takes its device back: the run ends"
like "$(cat "$out")" "Fatal: .*host wants .*$nvme|Fatal: .*$nvme.*(back|wanted)" "and says why"
is "$(grep -c Fatal "$out")" 1 "once"
is "$(driver_of "$nvme")" "" "the host has it"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
