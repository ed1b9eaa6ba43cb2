#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel series that lets userspace choose the MSI doorbell, against its userspace interface: on a
# host that panics at any warning, first with Debian's modules, then with the replaced ones, with which
# a guest is run in the end. SERIES is that of the host's kernel.
if [ -z "${BED_HOST:-}" ]; then
	top=$(cd "$(dirname "$0")/../.." && pwd)
	series=${SERIES:-6.12}
	built=$top/build/kernel/$series
	make -s -C "$top/kernel" VERSION="$series" modules selftest >&2 ||
		{ echo "Bail out! the modules do not build"; exit 1; }
	if [ -n "${SERIES:-}" ]; then
		"$top/tests/bed/build" "$series" >&2
		set -- -n "doorbell-$series" -k "$series"
	fi
	for file in "$built"/*.ko "$built/vfio_doorbell"; do
		set -- "$@" -f "$file"
	done
	set -- -a panic_on_warn=1 -a iomem=relaxed -e SERIES="$series" "$@" -d edu -d e1000e -d nvme "$0" --
	# More doorbells than a container takes: nine cards of eight functions.
	for slot in 10 11 12 13 14 15 16 17 18; do
		for function in 0 1 2 3 4 5 6 7; do
			set -- "$@" -device "edu,addr=$slot.$function,multifunction=on"
		done
	done
	# MSI with several vectors
	exec "$top/tests/bed/run" "$@" -device nec-usb-xhci,msix=off,msi=on,addr=19.0
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
like "$(uname -r)" "^$SERIES\." "the host's kernel"
e1000e=$(bdf e1000e)
edu=$(bdf edu)
nvme=$(bdf nvme)

bind "$e1000e"
run_tests "Debian's modules" stock "$e1000e"
unbind "$e1000e"

check "the modules can be loaded in place of the host's" load_doorbell_modules
check "insmod vfio_doorbell_test" insmod ./vfio_doorbell_test.ko
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

xhci=$(find_pci 1033:0194)
bind "$xhci"
run_tests "several MSIs" msi "$xhci"

# The same modules, as lkvm uses them.
guest_script <<'SCRIPT'
do_ping 3
do_nvme_read 16
do_wait
SCRIPT
start_held guest run -k "$guest/Image" -i "$initrd" -c 1 -m 256M --loglevel info \
	-p "console=ttyS0 $quick mods=nvme,e1000e" --vfio-pci "$nvme" --vfio-pci "$e1000e,doorbell=0x1200000000"
check "a guest with a disk and a network card" wait_for_output 60 'guest: waits'
like "$(cat "$out")" "$nvme: its MSI doorbell is at IOVA 0x[0-9a-f]+, the guest's own" "by the guest's own doorbell"
entry=$(sed -n '4s/ .*//p' "$pci/$e1000e/resource")
is "$(devmem $((entry + 4)) 32) $(devmem "$entry" 32)" "0x00000012 0x00000040" "and one that was given"
let_go
wait_lkvm 20
is "$status:$(guest_says ping):$(guest_says nvme-read)" "0:3:$NVME_SUM" "works"

is "$(grep -c vfio /proc/interrupts)" 0 "no interrupt of a device is left"
is "$(host_complaints)" "$complaints" "the host's kernel has nothing to say"
rmmod vfio_doorbell_test
check "our modules leave" rmmod vfio_pci vfio_pci_core vfio_iommu_type1 vfio
done_testing
