#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# More kinds of devices: xHCI with a disk behind it (its MSI-X table shares a BAR with its
# registers), virtio-pci behind an IOMMU (which lives by vendor-specific capabilities), several
# devices in one guest.
[ -n "${BED_HOST:-}" ] ||
	exec "$(dirname "$0")/../bed/run" -c 1 -d xhci -d virtio-blk -d virtio-net -d nvme "$0"
. ./host-lib.sh

for device in xhci virtio-blk virtio-net nvme; do
	check "$device can be bound to vfio-pci" bind "$(bdf $device)"
done

guest_script <<'SCRIPT'
wait_for 10 test -b /dev/sda
say usb "$(dd if=/dev/sda bs=1M 2>/dev/null | sha256sum | cut -d ' ' -f 1)"
do_irqs xhci
SCRIPT
run_lkvm xhci 90 run -k "$guest/Image" -i "$initrd" -c 1 -m 512M \
	-p "console=ttyS0 $quick mods=xhci-pci,usb-storage,sd_mod" --vfio-pci "$(bdf xhci)"
is "$status:$(guest_says usb)" "0:$USB_SUM" "xHCI: a disk on the USB is read"
like "$(guest_says irq)" 'MSI.*xhci' "its interrupts are MSIs"

guest_script <<'SCRIPT'
wait_for 10 test -b /dev/vda
say virtio "$(dd if=/dev/vda bs=1M 2>/dev/null | sha256sum | cut -d ' ' -f 1)"
do_ping 5
do_irqs virtio
SCRIPT
run_lkvm virtio 90 run -k "$guest/Image" -i "$initrd" -c 2 -m 512M \
	-p "console=ttyS0 $quick mods=virtio_blk,virtio_net" \
	--vfio-pci "$(bdf virtio-blk)" --vfio-pci "$(bdf virtio-net)"
is "$status:$(guest_says virtio)" "0:$VIRTIO_SUM" "virtio-blk behind an IOMMU: the disk is read"
is "$(guest_says ping)" 5 "virtio-net behind an IOMMU: five pings are answered"
like "$(guest_says irq)" 'MSI.*virtio' "their interrupts are MSIs"

run_linux "all four" 90 "mods=xhci-pci,usb-storage,sd_mod,virtio_blk,virtio_net,nvme do=nvme-read:16,ping:3,pci" \
	-c 2 -m 1G --vfio-pci "$(bdf xhci)" --vfio-pci "$(bdf virtio-blk)" \
	--vfio-pci "$(bdf virtio-net)" --vfio-pci "$(bdf nvme)"
is "$status:$(guest_says ping):$(guest_says nvme-read)" "0:3:$NVME_SUM" "all four in one guest"
is "$(guest_says pci | grep -c -e " xhci" -e '00:0[12].0 .* virtio-pci' -e " nvme")" 4 "each with its driver"

run_linux "functions of one slot" 90 "mods=virtio_net,nvme do=nvme-read:16,ping:3,pci" -c 1 -m 512M \
	--vfio-pci "$(bdf nvme),guest=4.0" --vfio-pci "$(bdf virtio-net),guest=4.1"
like "$(guest_says pci)" '0000:00:04.1 0x1af4:0x1041' "two devices as functions of one slot"
is "$status:$(guest_says ping):$(guest_says nvme-read)" "0:3:$NVME_SUM" "both work"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
