#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Every reason why a device cannot be passed through gets one message that names the device, the
# cause and the command that cures it; the guest is not started. `lkvm vfio check` says the same.
# Each cure that is a command is tried.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -d nvme -d e1000e "$0" -- \
	-device e1000,addr=8.0,multifunction=on -device edu,addr=8.1,dma_mask=0xffffffffffffffff
. ./host-lib.sh

nvme=$(bdf nvme)
nic=$(bdf e1000e)
modprobe nvme
modprobe e1000
wait_for 10 test -b /dev/nvme0n1

# refused NAME REGEXP BDF...: lkvm run with these devices ends with status 1 and one message.
refused() {
	refused_name=$1
	refused_text=$2
	shift 2
	for device; do
		shift
		set -- "$@" --vfio-pci "$device"
	done
	run_payload "$refused_name" 20 poweroff "$@"
	is "$status" 1 "$refused_name: refused"
	like "$(cat "$out")" "Fatal: .*($refused_text)" "$refused_name: the message says why"
	is "$(wc -l <"$out")" 1 "$refused_name: in one line"
}

# checked NAME BDF REGEXP: lkvm vfio check says so, too.
checked() {
	lkvm vfio check "$2" >"$tmp/check.out" 2>&1
	is "$?" 1 "$1: lkvm vfio check fails"
	like "$(cat "$tmp/check.out")" "$3" "$1: and says why"
}

# cure: run the command that the last message gives.
cure() {
	sed -n 's/.*run `\(.*\)`.*/\1/p' "$out" >"$tmp/cure"
	[ -s "$tmp/cure" ] || echo 'echo the message gives no command; false' >"$tmp/cure"
	check "the cure is a command that works: $(cut -c 1-60 "$tmp/cure")..." sh -e "$tmp/cure"
}

usable() {
	run_payload "usable $1" 20 poweroff --vfio-pci "$1"
	is "$status" 0 "$2"
}

refused "no such function" '0000:00:1f.7.*lkvm vfio list' 0000:00:1f.7
checked "no such function" 0000:00:1f.7 'no PCI function 0000:00:1f.7'
refused "a bridge" '0000:00:00.0 is a bridge' 0000:00:00.0
for text in nonsense 0:0 00:20.0 00:1f.8 '' 0000:00:02.0,guest=32 0000:00:02.0,host=1; do
	run_payload "syntax $text" 20 poweroff --vfio-pci "$text"
	is "$status" 2 "'$text' is a usage error"
	like "$(cat "$out")" 'Fatal: .*vfio-pci' "and the message says of what"
done
refused "twice" "names $nvme twice" "$nvme" "$nvme"

refused "bound to the host's driver" "$nvme is bound to .*driver nvme.*driver_override" "$nvme"
checked "bound to the host's driver" "$nvme" "bound to .*nvme"
cure
usable "$nvme" "bound to vfio-pci it works"
lkvm vfio check "$nvme" >"$tmp/check.out" 2>&1
is "$?" 0 "lkvm vfio check finds nothing wrong"

unbind "$nvme"
refused "bound to no driver" "$nvme is bound to no driver" "$nvme"
checked "bound to no driver" "$nvme" 'no driver'
cure
usable "$nvme" "then it works"

# The second of two is not usable: nothing has been started for the first, either.
refused "one good, one bad" "$nic is bound to no driver" "$nvme" "$nic"
usable "$nvme" "the good one is free afterwards"

start_lkvm holder run -k "$guest/hang.bin" -c 1 -m 256M --vfio-pci "$nvme"
holder=$pid
wait_for_output 10 '^hang'
refused "in use" "$nvme is in use: process $holder \(lkvm\)" "$nvme"
checked "in use" "$nvme" "process $holder"
kill "$holder"
wait "$holder"
usable "$nvme" "free again when that one has ended"

# Two devices in one group: functions of one slot, which nothing keeps apart (no ACS).
e1000=$(bdf e1000)
edu=$(bdf edu)
bind "$edu"
rebind "$e1000"
is "$(readlink "$pci/$edu/iommu_group")" "$(readlink "$pci/$e1000/iommu_group")" "two devices in one group"
is "$(driver_of "$e1000")" e1000 "one of them is the host's"
refused "group not viable" "IOMMU group [0-9]+ of $edu is not viable.*$e1000 \(e1000\)" "$edu"
checked "group not viable" "$edu" "not viable"
cure
usable "$edu" "when the host does not use the group it works"
run_payload "whole group" 30 pci --vfio-pci "$edu" --vfio-pci "$e1000"
payload_passes "both devices of a group in one guest"

# Users without privileges.
chmod 666 /dev/kvm
as_user lkvm run -k "$guest/poweroff.bin" -c 1 -m 256M --vfio-pci "$nvme" >"$out" 2>&1 </dev/null
is "$?" 1 "a user who may not open the group: refused"
like "$(cat "$out")" "Fatal: user 1000 may not open /dev/vfio/.*$nvme" "says so"
cure
as_user "ulimit -l 4096; exec lkvm run -k $guest/poweroff.bin -c 1 -m 256M --vfio-pci $nvme" \
	>"$out" 2>&1 </dev/null
is "$?" 1 "memlock too low: refused"
like "$(cat "$out")" "Fatal: cannot lock .*$nvme.*RLIMIT_MEMLOCK.*4 MiB.*ulimit -l" "says what limit and what it takes"
is "$(wc -l <"$out")" 1 "in one line"
(
	# shellcheck disable=SC3045 # busybox has it
	ulimit -l unlimited
	as_user lkvm run -k "$guest/poweroff.bin" -c 1 -m 256M --vfio-pci "$nvme" >"$out" 2>&1 </dev/null
)
is "$?" 0 "with the group and the limit a user without privileges passes a device through"

# No VFIO in the host's kernel.
for device in "$nvme" "$nic" "$edu" "$e1000"; do
	unbind "$device"
done
rmmod vfio-pci
refused "no vfio-pci" "not loaded the vfio-pci driver, which $nvme needs" "$nvme"
cure
rmmod vfio-pci vfio_pci_core vfio_iommu_type1 vfio
refused "no VFIO at all" "not loaded.*VFIO|not loaded the vfio-pci driver" "$nvme"
modprobe vfio-pci
bind "$nvme"
rmmod vfio_iommu_type1
# The kernel loads it by itself where it can; here it cannot.
mv /sbin/modprobe /sbin/modprobe.away 2>/dev/null
echo /nonexistent >/proc/sys/kernel/modprobe
refused "no vfio_iommu_type1" "$nvme.*(type1|vfio_iommu_type1)" "$nvme"
mv /sbin/modprobe.away /sbin/modprobe 2>/dev/null
modprobe vfio_iommu_type1
usable "$nvme" "with all modules it works"

lkvm vfio list >"$tmp/list"
is "$?" 0 "lkvm vfio list"
like "$(cat "$tmp/list")" "^$nvme +1b36:0010 .*vfio-pci .*ready" "shows what is ready"
like "$(cat "$tmp/list")" "^$nic +8086:10d3 .*no driver" "and what is not"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
