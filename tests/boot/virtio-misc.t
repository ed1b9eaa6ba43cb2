#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The entropy device and the balloon, with Linux's drivers: random numbers; memory that a guest does not need is
# the host's, and comes back: small pages and huge ones.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -d edu "$0"
. ./host-lib.sh

# guest_with NAME MODULES ARGS...: a guest that waits for let_on, with a balloon.
mkfifo "$tmp/control"
guest_with() {
	guest_name=$1
	guest_modules=$2
	shift 2
	start_held "$guest_name" run -k "$guest/Image" -i "$initrd" -c 1 --rng --balloon-control "$tmp/control" \
		-p "$quick mods=$guest_modules,virtio-rng,virtio_balloon" "$@"
}

# tell LINE: as a user does, who should not wait for ever where lkvm is gone.
tell() {
	timeout $((10 * patience)) sh -c "echo $1 >'$tmp/control'"
}

# let_on KEY: the guest goes on, until it says KEY.
let_on() {
	echo >&4
	wait_for_output 60 "guest: $1[^a-z]"
}

ends_well() {
	let_go
	wait_lkvm 30
	is "$status" 0 "$1"
}

# Anonymous memory of the started lkvm, in MiB.
resident() {
	awk '$1 == "RssAnon:" { print int($2 / 1024) }' "/proc/$pid/status"
}

resident_below() {
	[ "$(resident)" -lt "$1" ]
}

huge_pages_free() {
	awk '$1 == "HugePages_Free:" { print $2 }' /proc/meminfo
}

more_huge_pages_than() {
	[ "$(huge_pages_free)" -gt "$1" ]
}

# Asks for what the balloon holds: true once it is $1 KiB.
balloon_has() {
	tell stats
	sleep 0.2
	printed "balloon: wanted $1 KiB, has $1 KiB"
}

# --- small pages, over PCI ---
# Files of less than 2 MiB come and go among some that stay, so that what is free then is in no piece of 2 MiB: Linux
# reports these only, and the rest is the balloon's.
guest_script <<'SCRIPT'
say rng "$(cat /sys/class/misc/hw_random/rng_current)"
one=$(head -c 4096 /dev/hwrng | sha256sum)
two=$(head -c 4096 /dev/hwrng | sha256sum)
[ "$one" != "$two" ] && say bytes differ
mount -o remount,size=90% /tmp
dd if=/dev/zero of=/tmp/one bs=1M count=64 2>/dev/null
say filled
read -r _
rm /tmp/one
say freed
read -r _
i=0
while [ "$i" -lt 76 ]; do
	dd if=/dev/zero of="/tmp/goes$i" bs=1792k count=1
	dd if=/dev/zero of="/tmp/stays$i" bs=64k count=1
	i=$((i + 1))
done 2>/dev/null
say mixes
read -r _
rm /tmp/goes*
say mixed
read -r _
say free "$(awk '$1 == "MemFree:" { print int($2 / 1024) }' /proc/meminfo)"
read -r _
say again "$(awk '$1 == "MemFree:" { print int($2 / 1024) }' /proc/meminfo)"
dd if=/dev/zero of=/tmp/three bs=1M count=32 2>/dev/null
say used
read -r _
SCRIPT
guest_with pages virtio_pci -m 320M
check "a guest uses memory" wait_for_output 60 'guest: filled'
is "$(guest_says rng):$(guest_says bytes)" virtio_rng.0:differ "it has the host's random numbers"
before=$(resident)
check "it frees them" let_on freed
check "what it reports as free is the host's again" wait_for 20 resident_below $((before - 50))

check "it uses small pieces of memory" let_on mixes
before=$(resident)
check "it frees them" let_on mixed
tell 128M
check "the balloon takes 128 MiB" wait_for 30 balloon_has 131072
check "they are the host's" resident_below $((before - 110))
diag "resident before: $before MiB, after: $(resident) MiB"
check "the guest tells of its memory" \
	printed 'wanted 131072 KiB, has 131072 KiB, .*free-memory [0-9]+, total-memory [0-9]+'
check "the guest counts its memory" let_on free
small=$(resident)

tell 0
check "the balloon gives all back" wait_for 30 balloon_has 0
check "the guest uses memory again" let_on used
# Pages that are being reported are not counted.
check "it had more than before" test "$(guest_says again)" -gt $(($(guest_says free) + 50))
check "it is the guest's own" test "$(resident)" -gt $((small + 20))
ends_well "it powers off"

# --- huge pages, over MMIO, and memory that runs out ---
guest_script <<'SCRIPT'
mount -o remount,size=90% /tmp
dd if=/dev/zero of=/tmp/one bs=1M count=64 2>/dev/null
say filled
read -r _
rm /tmp/one
say freed
read -r _
dd if=/dev/zero of=/tmp/one bs=1M count=100 2>/dev/null
say used "$(stat -c %s /tmp/one)"
read -r _
SCRIPT
mkdir /hugepages
mount -t hugetlbfs none /hugepages
echo 128 >/proc/sys/vm/nr_hugepages
guest_with huge virtio_mmio -m 256M --virtio-transport mmio --hugetlbfs /hugepages
check "a guest in huge pages runs" wait_for_output 60 'guest: filled'
before=$(huge_pages_free)
check "it frees memory" let_on freed
check "what it reports is the host's again" wait_for 20 more_huge_pages_than $((before + 25))
before=$(huge_pages_free)
tell 100M
check "the balloon takes 100 MiB" wait_for 30 balloon_has 102400
check "a guest that runs out of memory takes it back" let_on used
is "$(guest_says used)" 104857600 "and uses it"
ends_well "it powers off"
is "$(huge_pages_free)" 128 "all huge pages are free"
echo 0 >/proc/sys/vm/nr_hugepages

# --- beside a device that is passed through ---
guest_script <<'SCRIPT'
say ready
read -r _
SCRIPT
edu=$(bdf edu)
bind "$edu"
guest_with assigned virtio_pci -m 256M --vfio-pci "$edu"
check "a guest with a device passed through runs" wait_for_output 60 'guest: ready'
tell 64M
check "its balloon stays empty" wait_for_output 10 'balloon: it stays empty: devices that are passed through'
check "and says so" wait_for 10 balloon_has 0
ends_well "it powers off"

run_lkvm no-fifo 10 run -k "$guest/Image" --balloon-control /dev/null
is "$status" 1 "a control that is no FIFO is refused"
like "$(cat "$out")" "Fatal: --balloon-control: /dev/null is no FIFO: make one with mkfifo" "with the cure"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
