#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A guest that resets 100 times in one process, with devices whose BARs it moves and whose vectors it
# arms each time: nothing is left over of any of its lives.
# The disk has few vectors, or arming them all would be most of the time.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -c 1 -d e1000e -d edu "$0" -- \
	-drive if=none,id=disk,driver=null-co,size=16M -device nvme,serial=disk,drive=disk,addr=8.0,msix_qsize=9
. ./host-lib.sh

mkfifo "$tmp/keys"
# The kernel would make huge pages of some mappings, whenever it gets to that.
echo never >/sys/kernel/mm/transparent_hugepage/enabled

# look FILE: what lkvm holds on to: descriptors and what they are, mappings, threads, memory locked for
# DMA, and what the host has of its interrupts and VMs; and KiB of memory that is not guest RAM.
look() {
	{
		# shellcheck disable=SC2012 # names of no consequence
		ls -l "/proc/$pid/fd" | sed 's/.* -> //' | sed 's/\[[0-9]*\]//' | sort | uniq -c
		echo "mappings $(wc -l <"/proc/$pid/maps")"
		grep -E '^(Threads|VmLck|VmPin):' "/proc/$pid/status"
		echo "host's interrupts $(grep -c vfio /proc/interrupts)"
		echo "VMs $(ls -d /sys/kernel/debug/kvm/[0-9]* | wc -l)"
	} >"$1"
	awk -v ram=$((256 << 10)) '/^Size:/ { counts = $2 < ram } /^Anonymous:/ && counts { n += $2 }
		END { print n }' "/proc/$pid/smaps" >"$1.memory"
	awk '/^(Slab|KernelStack|PageTables):/ { n += $2 } END { print n }' /proc/meminfo >"$1.kernel"
}

# hundred_resets NAME ARGUMENT...
hundred_resets() {
	name=$1
	shift
	run_name=$name
	out=$tmp/resets.out
	lkvm run -k "$guest/reset_counter.bin" -c 1 -m 256M --on-reset restart "$@" \
		<"$tmp/keys" >"$out" 2>&1 &
	pid=$!
	exec 3>"$tmp/keys"
	check "$name: ten resets" wait_for_output 60 '^waiting at 10'
	look "$tmp/first"
	echo >&3
	check "$name: a hundred less one" wait_for_output 200 '^waiting at 99'
	look "$tmp/second"
	echo >&3
	wait_lkvm 20
	exec 3>&-
	is "$status" 0 "$name: then the guest powers off"
	is "$(sed -n 's/^resets //p' "$out" | tail -n 1)" 100 "$name: after a hundred"
	is "$(grep -c '^not ok' "$out")" 0 "$name: and was content each time ($(grep -c '^ok' "$out") checks)"
	is "$(diff "$tmp/first" "$tmp/second")" "" \
		"$name: no descriptor, mapping, thread, interrupt or VM too many"
	grown=$(($(cat "$tmp/second.memory") - $(cat "$tmp/first.memory")))
	check "$name: no memory, $grown KiB in 89 resets, after $(cat "$tmp/first.memory")" \
		test "$grown" -le 64
	diag "host: $(($(cat "$tmp/second.kernel") - $(cat "$tmp/first.kernel"))) KiB of kernel memory"
}

hundred_resets "no device" -n none
for device in nvme e1000e edu; do
	bind "$(bdf $device)"
done
hundred_resets "NVMe, e1000e and edu" -n none --vfio-pci "$(bdf nvme)" --vfio-pci "$(bdf e1000e)" \
	--vfio-pci "$(bdf edu)"
is "$(grep -c vfio /proc/interrupts)" 0 "no interrupt of a device is left in the host"

# Other ends of a guest that may restart are ends.
run_payload "panic" 20 panic --on-reset restart
is "$status" 34 "a panic is no reset"
run_payload "poweroff" 20 poweroff --on-reset restart
is "$status" 0 "nor is poweroff"
# The time is the run's, not that of each life.
run_payload "timeout" 20 reset --on-reset restart --timeout 3
is "$status" 124 "--timeout ends a guest that resets for ever"
start_lkvm "signal" run -k "$guest/reset.bin" -c 1 -m 256M --on-reset restart --vfio-pci "$(bdf edu)"
wait_for_output 20 '^reset'
sleep 1
kill "$pid"
wait_lkvm 5
is "$status" 143 "so does a signal"

# Four vCPUs, of which a life brings up all and the next starts with one.
start_lkvm "vcpus" run -k "$guest/reset.bin" -c 4 -m 256M --on-reset restart
check "a guest with four vCPUs resets again and again" \
	wait_for 60 eval '[ "$(grep -c "^reset" "$out")" -ge 20 ]'
kill "$pid"
wait_lkvm 10
is "$status" 143 "until it is ended"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
