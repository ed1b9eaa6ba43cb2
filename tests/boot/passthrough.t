#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An NVMe disk and an e1000e network card passed through to Linux: data both ways, interrupts by
# MSI-X, each device alone and both at once. What the guest wrote is compared in the disk's file.
if [ -z "${BED_HOST:-}" ]; then
	disk=$(mktemp)
	trap 'rm -f "$disk" "$disk.tap"' EXIT
	head -c 16777216 /dev/urandom >"$disk"
	before=$(head -c 1048576 "$disk" | sha256sum)
	"$(dirname "$0")/../bed/run" -c 1 -d "nvme=$disk" -d e1000e -e TAP_MORE=2 "$0" >"$disk.tap"
	status=$?
	grep -v -e '^# written ' -e '^1\.\.' "$disk.tap"
	written=$(sed -n 's/^# written //p' "$disk.tap")
	got=$(dd if="$disk" bs=1M skip=1 count=4 2>/dev/null | sha256sum | cut -d ' ' -f 1)
	[ -n "$written" ] && [ "$got" = "$written" ] || printf 'not '
	echo "ok - what the guest wrote is in the disk's file"
	[ "$(head -c 1048576 "$disk" | sha256sum)" = "$before" ] || printf 'not '
	echo "ok - and nothing else was written there"
	grep '^1\.\.' "$disk.tap"
	exit "$status"
fi
. ./host-lib.sh

nvme=$(bdf nvme)
nic=$(bdf e1000e)
check "the disk can be bound to vfio-pci" bind "$nvme"
check "the network card can be bound to vfio-pci" bind "$nic"

run_linux nvme 60 "mods=nvme do=pci,nvme-read:16,nvme-write:4,irqs" -c 1 -m 512M --vfio-pci "$nvme"
is "$status" 0 "a guest with the disk powers off"
like "$(guest_says pci)" '0000:00:00.0 0x1b36:0x0010 0x010802 nvme' "its driver drives the disk"
is "$(guest_says nvme-read)" "$NVME_SUM" "it reads what is there"
like "$(guest_says irq)" 'MSIX?-0000:00:00.0' "its interrupts are MSIs"
diag "written $(guest_says nvme-write)"

run_linux e1000e 60 "mods=e1000e do=pci,ping:10,irq-count" -c 1 -m 512M --vfio-pci "$nic"
is "$status" 0 "a guest with the network card powers off"
is "$(guest_says ping)" 10 "ten pings are answered"
check "interrupts arrived" test "$(guest_says irq-count)" -ge 10

guest_script <<'SCRIPT'
do_nvme_read 1
do_ping 10
do_pci
do_irqs
do_wait
SCRIPT
start_held both run -k "$guest/Image" -i "$initrd" -c 2 -m 512M \
	-p "console=ttyS0 $quick mods=nvme,e1000e" --vfio-pci "$nvme" --vfio-pci "$nic"
check "a guest with both comes up" wait_for_output 60 'guest: waits'
check "the disk's interrupts go through the host ($(host_irqs "$nvme"))" \
	test "$(host_irqs "$nvme")" -gt 5
check "the network card's interrupts go through the host ($(host_irqs "$nic"))" \
	test "$(host_irqs "$nic")" -gt 10
let_go
wait_lkvm 20
is "$status" 0 "and powers off"
is "$(guest_says ping)" 10 "with both, ten pings are answered"
like "$(guest_says pci)" '0000:00:01.0 0x8086:0x10d3 0x020000 e1000e' "the second device is 00:01.0"

run_linux "own slots" 60 "mods=nvme,e1000e do=pci,nvme-read:1,ping:3" -c 1 -m 512M \
	--vfio-pci "$nvme,guest=5" --vfio-pci "$nic,guest=3"
like "$(guest_says pci)" '0000:00:03.0 0x8086:0x10d3 0x020000 e1000e' "a device in the slot asked for"
is "$(guest_says ping)" 3 "works there"

# A Linux that writes into its disk, reboots in the same process, and finds that again.
guest_script <<'SCRIPT'
wait_for 10 test -b /dev/nvme0n1
do_ping 3
if [ "$(dd if=/dev/nvme0n1 bs=1M skip=8 count=1 2>/dev/null | head -c 5)" = again ]; then
	say boot second
else
	say boot first
	echo again | dd of=/dev/nvme0n1 bs=1M seek=8 conv=fsync 2>/dev/null
	end=reboot
fi
SCRIPT
run_lkvm "reboot" 120 run -k "$guest/Image" -i "$initrd" -c 2 -m 512M --on-reset restart \
	-p "console=ttyS0 $quick mods=nvme,e1000e" --vfio-pci "$nvme" --vfio-pci "$nic"
is "$status" 0 "Linux reboots, and powers off the second time"
is "$(guest_says boot | tr '\n' ' ')" "first second " "it has booted twice, and kept its disk"
is "$(guest_says ping | tr '\n' ' ')" "3 3 " "its network card works both times"
run_linux "exit" 60 "end=reboot" -c 1 -m 256M
is "$status" 32 "without --on-reset a reboot ends the run"

rebind "$nvme"
modprobe nvme
check "the host has the disk back" wait_for 10 test -b /dev/nvme0n1
check "the host reads it" dd if=/dev/nvme0n1 of=/dev/null bs=1M count=16
done_testing
