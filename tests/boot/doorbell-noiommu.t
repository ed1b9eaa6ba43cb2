#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A device without IOMMU, which VFIO can be talked into: it has no doorbell to choose.
if [ -z "${BED_HOST:-}" ]; then
	top=$(cd "$(dirname "$0")/../.." && pwd)
	built=$top/build/kernel/6.12
	{
		make -s -C "$top/kernel" VERSION=6.12 selftest &&
			make -s -C "$top/kernel" VERSION=6.12 NOIOMMU=1
	} >&2 || { echo "Bail out! the modules do not build"; exit 1; }
	for file in vfio vfio_iommu_type1 vfio-pci-core vfio-pci; do
		set -- "$@" -f "$built/noiommu/$file.ko"
	done
	exec "$top/tests/bed/run" -c 1 -a panic_on_warn=1 -M iommu=none "$@" -f "$built/vfio_doorbell" -d edu "$0"
fi
. ./host-lib.sh

chmod +x vfio_doorbell
edu=$(bdf edu)
check "the modules can be loaded in place of the host's" load_doorbell_modules
echo 1 >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode
check "a device can be bound" bind "$edu"
check "which has no IOMMU" test -e /dev/vfio/noiommu-0
./vfio_doorbell noiommu "$edu" >"$tmp/tests"
is "$?" 0 "its doorbell is nothing to choose"
is "$(grep -c '^ok' "$tmp/tests")" 4 "by PROBE, GET and SET"
diag <"$tmp/tests"
done_testing
