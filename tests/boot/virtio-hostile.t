#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A guest without an operating system breaks the rules of every virtio device, over PCI and MMIO, by the modern and the
# legacy interface. Each device is complained about once, waits to be reset and works again; the others and the guest go
# on.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" "$0"
. ./host-lib.sh

modprobe tun
mkdir "$tmp/share"
head -c 1048576 /dev/urandom >"$tmp/disk"
cp "$tmp/disk" "$tmp/fixed"
sum=$(sha256sum <"$tmp/disk")

# hostile TRANSPORT DEVICES OPTION...
hostile() {
	transport=$1
	devices=$2
	shift 2
	run_lkvm "$transport" 120 run -k "$guest/virtio_hostile.bin" --nodefaults -c 2 -m 256M --virtio-transport "$transport" \
		"$@" -p "devices=$devices"
	payload_passes "over $transport devices outlive their driver"
	is "$(grep -c 'Warning: .*broke the rules' "$out")" "$devices" "each is complained about once"
	is "$(grep -cv -e '^ok ' -e '^done' -e 'broke the rules' -e 'named pages that are not RAM' "$out")" 0 \
		"there is nothing else to say"
}

for transport in pci mmio; do
	hostile "$transport" 6 -d "$tmp/disk" -d "$tmp/fixed,ro" -n mode=tap --9p "$tmp/share" --rng --balloon

	# The console's is the guest's only one then: it ends in a panic if anything is wrong.
	run_lkvm "$transport-console" 120 run -k "$guest/virtio_hostile.bin" --nodefaults -c 2 -m 256M \
		--virtio-transport "$transport" --console "virtio,out=$tmp/console,port=other,out=$tmp/other" --rng \
		-p devices=2
	is "$status" 0 "over $transport a console with two ports outlives its driver, too"

	# The interface is what differs; behind it the devices are the same.
	hostile "$transport-legacy" 2 -d "$tmp/disk" --rng
done
is "$(sha256sum <"$tmp/disk")$(sha256sum <"$tmp/fixed")" "$sum$sum" "the disks are as they were"
is "$(ls "$tmp/share")" "" "and the share"
is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
