#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A reduced bench: what a boot, an idle guest, virtio devices, a device passed through and its interrupts cost lkvm
# stays within the bounds of tests/bench/bounds.
bench=$(dirname "$0")/../bench
programs=$bench/../../build/bench
[ -n "${BED_HOST:-}" ] || exec "$bench/../bed/run" -i -d e1000e -d nvme \
	-f "$programs/count" -f "$programs/aio_read" -f "$programs/tcp" -f "$bench/lib.host" \
	-f "$bench/boot.host" -f "$bench/virtio.host" -f "$bench/devices.host" -f "$bench/workload" \
	-f "$bench/bounds" "$0"
. ./host-lib.sh

FIGURES='start boot idle' sh ./boot.host >"$tmp/figures"
is "$?" 0 "the figures of a guest without devices are taken"
FIGURES=counts READS=300 MIB=2 sh ./virtio.host >>"$tmp/figures"
is "$?" 0 "those of a guest with virtio devices are taken"
FIGURES='boot interrupts' INTERRUPTS=1000 sh ./devices.host >>"$tmp/figures"
is "$?" 0 "those of a guest with devices are taken"
diag <"$tmp/figures"

# Figures per read and per MiB have decimals.
within() { awk -v got="$1" -v most="$2" 'BEGIN { exit !(got ~ /^[0-9.]+$/ && got + 0 <= most + 0) }'; }

# Instructions have 5% to spare, for the kernel that came with the machine and the compiler that was
# there; a count has nothing.
sed '/^#/d' bounds >"$tmp/bounds"
while read -r name bound; do
	got=$(sed -n "s/^figure lkvm $name //p" "$tmp/figures")
	case $name in
	*instructions) most=$((bound + bound / 20)) ;;
	*) most=$bound ;;
	esac
	check "$name: $got, at most $most" within "${got:-none}" "$most"
done <"$tmp/bounds"
done_testing
