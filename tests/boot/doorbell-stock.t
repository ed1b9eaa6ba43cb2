#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The host's own VFIO modules cannot set the MSI doorbell: auto leaves it to the kernel and says so,
# what is given is refused.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -c 1 -a panic_on_warn=1 -d e1000e "$0"
. ./host-lib.sh

nic=$(bdf e1000e)
bind "$nic"
like "$(lkvm vfio check "$nic")" 'MSI doorbell the kernel chooses its IOVA' \
	"lkvm vfio check says that the kernel chooses"
like "$(lkvm vfio check "$nic" --json)" '"msi_doorbell": "kernel"' "in JSON, too"

for way in auto kernel; do
	run_linux "$way" 60 "mods=e1000e do=ping:3" -c 1 -m 256M --loglevel info \
		--msi-doorbell $way --irq-report report.json --vfio-pci "$nic"
	is "$status:$(guest_says ping)" 0:3 "$way works"
	check "the kernel chose" grep -q '"doorbell_by": "kernel"' report.json
	check "where is not known" grep -q '"doorbell_iova": null' report.json
	[ "$way" = kernel ] || like "$(cat "$out")" \
		"Info: $nic: the host's kernel chooses the IOVA .* kernel/README.md" \
		"and it is said which way it took"
done

run_linux given 30 "" -c 1 -m 256M --msi-doorbell 0x10000000 --vfio-pci "$nic"
is "$status" 1 "what is given is refused"
like "$(cat "$out")" \
	"^  Fatal: the MSI doorbell of $nic cannot be at IOVA 0x10000000: .*kernel/README.md" \
	"with what would let it be had"
run_linux "for a device" 30 "" -c 1 -m 256M --vfio-pci "$nic,doorbell=0x10000000"
is "$status" 1 "for one device, too"
is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
