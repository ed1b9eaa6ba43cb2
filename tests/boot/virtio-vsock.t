#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Sockets between host and guest: what one sends comes back from the other, both ways round, over PCI and
# MMIO; a context ID has one guest.
if [ -z "${BED_HOST:-}" ]; then
	exec "$(dirname "$0")/../bed/run" -f "$(dirname "$0")/../../build/tool/poke" "$0"
fi
. ./host-lib.sh

modprobe vhost_vsock
cid=4711
bytes=262144
mkdir "$tmp/share"
cp poke "$tmp/share/poke"
chmod 755 poke "$tmp/share/poke"

guest_script <<'SCRIPT'
mkdir /mnt
mount -t 9p -o trans=virtio share /mnt
say to-host "$(/mnt/poke vsock-echo 2 1234 262144 2>&1)"
say here "$(/mnt/poke vsock-serve 5678 2>&1 | tail -n 1)"
SCRIPT

for transport in pci mmio; do
	./poke vsock-serve 1234 >"$tmp/served" 2>&1 &
	server=$!
	start_lkvm "$transport" run -k "$guest/Image" -i "$initrd" -c 1 -m 256M --vsock $cid \
		--virtio-transport "$transport" --9p "$tmp/share" \
		-p "console=ttyS0 $quick mods=virtio_pci,virtio_mmio,9p,9pnet_virtio,vmw_vsock_virtio_transport"
	wait_for_output 60 'guest: to-host'
	is "$(guest_says to-host)" "echoed $bytes" "over $transport the host sends back what the guest sends"
	check "the host's end closes with the guest's" wait "$server"

	# The guest listens soon after it has said so of the other way.
	tries=0
	until said=$(./poke vsock-echo $cid 5678 $bytes 2>&1) || [ "$tries" -ge 600 ]; do
		tries=$((tries + 1))
		usleep 100000
	done
	is "$said" "echoed $bytes" "and the guest sends back what the host sends"
	if [ "$transport" = pci ]; then
		lkvm run -k "$guest/Image" --vsock $cid >"$tmp/second" 2>&1 </dev/null
		like "$?:$(cat "$tmp/second")" "^1:.*--vsock $cid: another guest has this context ID" \
			"a second guest cannot have the same context ID"
	fi
	wait_lkvm 30
	is "$status" 0 "the guest powers off"
done

run_lkvm reserved 10 run -k "$guest/Image" --vsock 2
like "$status:$(cat "$out")" '^2:.*--vsock: 2 is not for guests' "the host's own context ID is refused"
is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
