#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A host without an IOMMU: a guest runs, but no device is passed through.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -M iommu=none -d nvme "$0"
. ./host-lib.sh

nvme=$(bdf nvme)
run_payload "no device" 20 poweroff
is "$status" 0 "a guest without devices runs"
run_payload "no IOMMU" 20 poweroff --vfio-pci "$nvme"
is "$status" 1 "one with a device is refused"
like "$(cat "$out")" "Fatal: no IOMMU translates the DMA of $nvme.*SMMU" "the message says why"
is "$(wc -l <"$out")" 1 "in one line"
lkvm vfio check "$nvme" >"$tmp/check.out" 2>&1
is "$?" 1 "lkvm vfio check says so, too"
like "$(cat "$tmp/check.out")" "no IOMMU" "with the cause"
done_testing
