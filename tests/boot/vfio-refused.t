#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What stands in the way of passing a function through: each has one message that names function,
# cause and cure, and the guest is not started. `lkvm vfio check` says the same; each cure that is a
# command is run, and must cure. A host that wants its device back gets it.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -d nvme -d e1000e "$0" -- \
	-device e1000,netdev=shared,multifunction=on,addr=8.0 -netdev user,id=shared \
	-device edu,addr=8.1
. ./host-lib.sh

nvme=$(bdf nvme)
nic=$(bdf e1000e)
e1000=$(bdf e1000)
edu=$(bdf edu)
modprobe nvme
modprobe e1000
wait_for 10 test -b /dev/nvme0n1

# try BDF...: run a guest that powers off at once, with these devices.
try() {
	for device; do
		shift
		set -- "$@" --vfio-pci "$device"
	done
	run_payload "try $*" 20 poweroff "$@"
}

# refused NAME REGEXP BDF...: lkvm run ends with status 1 and one line, which matches; `lkvm vfio
# check` of the first function fails with the same cause. The cure is then in $cure.
refused() {
	refused_name=$1
	refused_text=$2
	shift 2
	try "$@"
	is "$status:$(wc -l <"$out")" 1:1 "$refused_name: refused in one line"
	like "$(cat "$out")" "^  Fatal: $refused_text" "which says why"
	cure=$(sed -n 's/.*: run `\(.*\)`$/\1/p' "$out")
	refused_cause=$(sed 's/^  Fatal: //; s/: run `.*//' "$out")
	lkvm vfio check "$1" >"$tmp/check" 2>&1
	is "$?" 1 "lkvm vfio check finds it, too"
	check "and calls it the same" grep -qF -- "- $refused_cause" "$tmp/check"
	[ -z "$cure" ] || check "and its cure" grep -qF -- "# $cure" "$tmp/check"
}

# cured NAME BDF...: after the last cure the devices can be used.
cured() {
	cured_name=$1
	shift
	check "the cure is a command: ${cure%%;*}" sh -c "$cure"
	usable "$cured_name" "$@"
}

usable() {
	usable_name=$1
	shift
	try "$@"
	is "$status" 0 "$usable_name"
}

# --- the function itself ---
try 0000:00:1f.7
is "$status:$(wc -l <"$out")" 1:1 "no such function: refused in one line"
like "$(cat "$out")" '^  Fatal: this host has no PCI function 0000:00:1f.7: `lkvm vfio list`' "which says so"
lkvm vfio check 00:1f.7 --json >"$out" 2>&1
is "$?" 1 "lkvm vfio check finds it, too"
like "$(cat "$out")" '"exists": false' "also as JSON"
try 0000:00:00.0
is "$status:$(wc -l <"$out")" 1:1 "a bridge: refused in one line"
like "$(cat "$out")" '^  Fatal: 0000:00:00.0 is a bridge' "which says so"
try "$nvme" "${nvme#0000:}"
is "$status:$(wc -l <"$out")" 1:1 "a function named twice: refused in one line"
like "$(cat "$out")" "names $nvme twice" "which says so"
for text in nvme0 00:20.0 00:1f.8 "$nvme,guest=32" "$nvme,host=1"; do
	try "$text"
	is "$status:$(wc -l <"$out")" 2:1 "--vfio-pci $text: a usage error in one line"
	like "$(cat "$out")" "^  Fatal: --vfio-pci $text: " "which names the option"
done

# --- its driver ---
refused "bound to the host's driver" "$nvme is bound to the host's driver nvme, not to vfio-pci: run" "$nvme"
cured "bound to vfio-pci it works" "$nvme"
lkvm vfio check "$nvme" >"$tmp/check" 2>&1
is "$?" 0 "and lkvm vfio check says that it will"
like "$(cat "$tmp/check")" '^  ready$' "in a word"
unbind "$nvme"
refused "bound to no driver" "$nvme is bound to no driver; it needs vfio-pci: run" "$nvme"
cured "bound to vfio-pci it works" "$nvme"
refused "one good, one bad" "$nic is bound to no driver" "$nic" "$nvme"
usable "nothing keeps the good one" "$nvme"

# --- its group: the functions of one card that are not isolated from each other ---
bind "$edu"
rebind "$e1000"
is "$(readlink -f "$pci/$edu/iommu_group")" "$(readlink -f "$pci/$e1000/iommu_group")" \
	"two functions in one group"
is "$(driver_of "$e1000")" e1000 "one of them is the host's"
refused "group not viable" "IOMMU group [0-9]+ of $edu is not viable: the host itself uses $e1000 \(e1000\): run" "$edu"
like "$(cat "$tmp/check")" "^    $e1000 e1000, in the way" "lkvm vfio check shows the group"
cured "without the host's driver the group works" "$edu"
usable "both functions of a group in one guest" "$edu" "$e1000"

# --- others who use it ---
start_lkvm holder run -k "$guest/hang.bin" -c 1 -m 256M --vfio-pci "$nvme"
holder=$pid
wait_for_output 10 '^hang'
refused "in use" "$nvme is in use: process $holder \(lkvm\) holds its IOMMU group [0-9]+: run \`kill $holder\`" "$nvme"
like "$(lkvm vfio list)" "^$nvme .*in use by process $holder \(lkvm\)$" "the list shows by whom"
check "the cure is a command: $cure" sh -c "$cure"
wait "$holder"
usable "it works when the other has ended" "$nvme"

# --- users without privileges ---
chmod 666 /dev/kvm
try_as_user() {
	out=$tmp/user.out
	as_user lkvm run -k "$guest/poweroff.bin" -c 1 -m 256M --vfio-pci "$nvme" >"$out" 2>&1 </dev/null
	status=$?
	cure=$(sed -n 's/.*: run `\([^`]*\)`.*/\1/p' "$out")
}
try_as_user
is "$status:$(wc -l <"$out")" 1:1 "no access to the group: refused in one line"
like "$(cat "$out")" "^  Fatal: user 1000 may not open /dev/vfio/[0-9]+, the IOMMU group of $nvme: run" "which says why"
check "the cure is a command: $cure" sh -c "$cure"
try_as_user
is "$status:$(wc -l <"$out")" 1:1 "memlock too low: refused in one line"
like "$(cat "$out")" "^  Fatal: cannot lock 256 MiB of guest RAM for DMA by $nvme: the limit on locked memory \(RLIMIT_MEMLOCK\) is 8 MiB: run \`ulimit -l 262144\`" "which says why"
as_user lkvm vfio check "$nvme" >"$tmp/check" 2>&1
is "$?" 1 "lkvm vfio check finds it, too"
like "$(cat "$tmp/check")" '\(RLIMIT_MEMLOCK\) is 8 MiB$' "with the limit"
like "$(cat "$tmp/check")" 'MSI and MSI-X: only root can see them' "and says what it cannot see"
# shellcheck disable=SC3045 # this shell has it
(eval "$cure" && try_as_user && exit "$status")
is "$?" 0 "with the group and the limit a user without privileges passes a device through"

# --- the host wants its device back ---
start_lkvm back run -k "$guest/hang.bin" -c 1 -m 256M --vfio-pci "$nvme"
wait_for_output 10 '^hang'
unbind "$nvme"
wait_lkvm 10
is "$status" 1 "a guest whose device the host wants back ends"
like "$(cat "$out")" "^  Fatal: the host wants $nvme back" "and its user is told why"
is "$(grep -c Fatal "$out")" 1 "once"
is "$(driver_of "$nvme")" "" "the host has its device back"

# --- no VFIO in the host's kernel ---
for device in "$edu" "$e1000"; do
	unbind "$device"
done
rmmod vfio-pci
refused "no vfio-pci" "the host's kernel has not loaded the vfio-pci driver, which $nvme needs: run" "$nvme"
is "$cure" "modprobe vfio-pci" "the cure loads it"
rmmod vfio-pci-core vfio_iommu_type1 vfio
refused "no VFIO at all" "the host's kernel has not loaded the vfio-pci driver, which $nvme needs: run" "$nvme"
check "the cure is a command: $cure" sh -c "$cure"
bind "$nvme"
rmmod vfio_iommu_type1
# The kernel would load it by itself.
modprobe=$(cat /proc/sys/kernel/modprobe)
echo /nonexistent >/proc/sys/kernel/modprobe
try "$nvme"
is "$status:$(wc -l <"$out")" 1:1 "no type1 IOMMU: refused in one line"
like "$(cat "$out")" "^  Fatal: $nvme cannot be used: the host's VFIO does not offer the type1v2 IOMMU: run" "which says why"
cure=$(sed -n 's/.*: run `\(.*\)`$/\1/p' "$out")
cured "with it the device works" "$nvme"
echo "$modprobe" >/proc/sys/kernel/modprobe

# --- the list ---
lkvm vfio list >"$out"
is "$?" 0 "lkvm vfio list"
set -- "$pci"/*
is "$(wc -l <"$out")" $(($# + 1)) "has a line for each function"
like "$(cat "$out")" "^$nvme  1b36:0010  NVM controller  .*vfio-pci  .*ready$" "shows what is ready"
like "$(cat "$out")" "^$nic  8086:10d3  Ethernet controller  .*bound to no driver$" "and why something is not"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
