#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel series that lets userspace choose the MSI doorbell, against its userspace interface: on a
# host that panics at any warning, first with Debian's modules, then with the replaced ones.
if [ -z "${BED_HOST:-}" ]; then
	top=$(cd "$(dirname "$0")/../.." && pwd)
	built=$top/build/kernel/6.12
	make -s -C "$top/kernel" VERSION=6.12 modules selftest >&2 ||
		{ echo "Bail out! the modules do not build"; exit 1; }
	for file in vfio vfio_iommu_type1 vfio-pci-core vfio-pci vfio_doorbell_test; do
		set -- "$@" -f "$built/$file.ko"
	done
	set -- "$@" -f "$built/vfio_doorbell" -d edu -d e1000e -d nvme
	set -- -t 120 -a panic_on_warn=1 "$@" "$0" --
	# More doorbells than a container takes: nine cards of eight functions.
	for slot in 10 11 12 13 14 15 16 17 18; do
		for function in 0 1 2 3 4 5 6 7; do
			set -- "$@" -device "edu,addr=$slot.$function,multifunction=on"
		done
	done
	exec "$top/tests/bed/run" "$@"
fi
. ./host-lib.sh

# run_tests NAME ARGUMENT...: run the test program; its results become ours.
run_tests() {
	name=$1
	shift
	./vfio_doorbell "$@" >"$tmp/tests"
	status=$?
	while IFS= read -r line; do
		case $line in
		'ok '*) ok "$name: ${line#ok * - }" ;;
		'not ok '*) not_ok "$name: ${line#not ok * - }" ;;
		'#'*) echo "$line" ;;
		'Bail out!'*) not_ok "$name: $line" ;;
		esac
	done <"$tmp/tests"
	is "$status" 0 "$name: all of it"
	is "$(tail -n 1 "$tmp/tests")" "1..$(grep -Ec '^(not )?ok ' "$tmp/tests")" "$name: to the end"
}

chmod +x vfio_doorbell
is "$(cat /proc/sys/kernel/panic_on_warn)" 1 "the host panics at a warning"
e1000e=$(bdf e1000e)
edu=$(bdf edu)
nvme=$(bdf nvme)

bind "$e1000e"
run_tests "Debian's modules" stock "$e1000e"
unbind "$e1000e"

check "Debian's modules leave" rmmod vfio_pci vfio_pci_core vfio_iommu_type1 vfio
for module in vfio vfio_iommu_type1 vfio-pci-core vfio-pci vfio_doorbell_test; do
	check "insmod $module" insmod "./$module.ko"
done
# All functions of the kind at once; the first is a device of its own.
echo 1234 11e8 >/sys/bus/pci/drivers/vfio-pci/new_id
many=
for function in /sys/bus/pci/drivers/vfio-pci/0000:*; do
	function=${function##*/}
	[ "$function" = "$edu" ] || many="$many $function"
done
bind "$e1000e"
bind "$nvme"
complaints=$(host_complaints)

# shellcheck disable=SC2086 # a list
run_tests "ours" all "$e1000e" "$edu" "$nvme" $many

is "$(grep -c vfio /proc/interrupts)" 0 "no interrupt of a device is left"
is "$(host_complaints)" "$complaints" "the host's kernel has nothing to say"
check "our modules leave" rmmod vfio_doorbell_test vfio_pci vfio_pci_core vfio_iommu_type1 vfio
done_testing
