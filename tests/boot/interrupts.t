#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Interrupts and DMA, counted one by one by a guest without an operating system: edu's MSI, INTx and
# DMA engine, 10,000 MSI-X interrupts of an e1000e, masked and pending vectors. Then hostile use of
# MSI-X tables.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -d edu -d e1000e -d nvme "$0"
. ./host-lib.sh

edu=$(bdf edu)
nic=$(bdf e1000e)
nvme=$(bdf nvme)
bind "$edu" && bind "$nic" && bind "$nvme"

run_payload "irq edu" 60 irq --vfio-pci "$edu"
payload_passes "edu: MSI, INTx, DMA"
run_payload "irq e1000e" 90 irq --vfio-pci "$nic"
payload_passes "e1000e: MSI-X"
run_payload "irq both" 120 irq --vfio-pci "$edu" --vfio-pci "$nic"
payload_passes "both in one guest"

run_payload "msix e1000e" 60 msix --vfio-pci "$nic"
payload_passes "hostile use of the e1000e's MSI-X table"
run_payload "msix nvme" 60 msix --vfio-pci "$nvme"
payload_passes "hostile use of the NVMe's, which is in the same BAR as its registers"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
