#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's own MSI doorbell and GICv4 together: devices hold what the guest wrote, the hardware
# delivers it, and the report on interrupts shows that the host takes none.
if [ -z "${BED_HOST:-}" ]; then
	top=$(cd "$(dirname "$0")/../.." && pwd)
	make -s -C "$top/kernel" VERSION=6.12 modules >&2 ||
		{ echo "Bail out! the modules do not build"; exit 1; }
	for file in vfio vfio_iommu_type1 vfio-pci-core vfio-pci; do
		set -- "$@" -f "$top/build/kernel/6.12/$file.ko"
	done
	exec "$top/tests/bed/run" -c 1 -g 4 -a "kvm-arm.vgic_v4_enable=1 panic_on_warn=1" -d nvme -d e1000e \
		-d edu "$@" "$0"
fi
. ./host-lib.sh

nvme=$(bdf nvme)
nic=$(bdf e1000e)
edu=$(bdf edu)
check "the modules can be loaded in place of the host's" load_doorbell_modules
for dev in "$nvme" "$nic" "$edu"; do bind "$dev"; done

guest_script <<'SCRIPT'
do_ping 10
do_nvme_read 16
do_irq_count
do_wait
SCRIPT
start_held linux run -k "$guest/Image" -i "$initrd" -c 1 -m 512M --irq-report report.json \
	-p "console=ttyS0 $quick mods=nvme,e1000e" --vfio-pci "$nvme" \
	--vfio-pci "$nic,doorbell=0x1200000000"
check "a guest with a disk and a network card comes up" wait_for_output 90 'guest: waits'
is "$(host_irqs "$nvme") $(host_irqs "$nic")" "0 0" "the host has taken none of their interrupts"
check "for which it has vectors" grep -q "vfio-msix.*$nic" /proc/interrupts
kill -USR1 "$pid"
wait_for 5 grep -q '^}' report.json
lkvm vfio irqs report.json >table
like "$(cat table)" 'direct delivery possible: yes' "the report says that hardware can deliver"
own=$(sed -n 's/^ *"address": "\(0x[^"]*\)".*/\1/p' report.json | head -n 1)
like "$(cat table)" "^$nvme +msix +[0-9]+ +$own .* $own +guest +0x8090040 +[0-9]+ +0 +yes +direct" \
	"and that it does, by the guest's own doorbell"
like "$(cat table)" "^$nic +msix +[0-9]+ +$own .* 0x1200000040 +given +0x8090040 +[0-9]+ +0 +yes +direct" \
	"or another"
is "$(grep msix table | grep -vc direct)" 0 "for all vectors"
let_go
wait_lkvm 30
is "$status:$(guest_says ping)" 0:10 "pings are answered"
is "$(guest_says nvme-read)" "$NVME_SUM" "the disk is read"
check "the guest has taken interrupts ($(guest_says irq-count))" test "$(guest_says irq-count)" -ge 20
like "$(lkvm vfio irqs report.json)" "^$nic +msix .* 0 +no +direct" \
	"what the guest has taken away stays told"

# Each cycle undoes the direct way and makes it again.
start_held cycles run -k "$guest/doorbell.bin" -c 1 -m 256M --vfio-pci "$edu" --vfio-pci "$nic"
check "MSI and MSI-X are ready" wait_for_output 20 '^armed 2'
printf c >&4
check "a thousand cycles of mask and unmask" wait_for_output 60 '^cycled 1000'
is "$(host_irqs "$edu") $(host_irqs "$nic")" "0 0" "the host has taken none of their interrupts"
printf q >&4
exec 4>&-
wait_lkvm 10
payload_passes "which have all arrived"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
