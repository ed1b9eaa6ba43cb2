#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What the machine is made of: its device tree, huge pages, consoles on files and ptys, flash and
# firmware.
[ -n "${BED_HOST:-}" ] || {
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	"$(dirname "$0")/../bed/run" -d nvme -e TAP_MORE=4 "$0" >"$work/tap"
	status=$?
	grep -v '^# dtb ' "$work/tap"
	for name in gicv3-its gicv3 device seeds; do
		sed -n "s/^# dtb $name //p" "$work/tap" | base64 -d >"$work/dtb"
		dtc -I dtb -O dts -o "$work/dts" "$work/dtb" 2>"$work/said" && [ ! -s "$work/said" ] &&
			grep -q '^/dts-v1/' "$work/dts" || printf 'not '
		echo "ok - dtc has nothing to say about the device tree of $name"
		sed 's/^/# /' "$work/said"
	done
	exit "$status"
}
. ./host-lib.sh

nvme=$(bdf nvme)
bind "$nvme"

dtb() {
	dtb_name=$1
	shift
	run_payload "dtb $dtb_name" 20 poweroff --dump-dtb "$tmp/$dtb_name.dtb" "$@"
	is "$status" 0 "the device tree of $dtb_name"
	diag "dtb $dtb_name $(base64 "$tmp/$dtb_name.dtb" | tr -d '\n')"
}
dtb gicv3-its
dtb gicv3 --irqchip gicv3 -c 4
dtb device --vfio-pci "$nvme" --pmu
dtb seeds --kaslr-seed 0x1234
check "two device trees differ: their seeds do" sh -c "! cmp -s $tmp/gicv3-its.dtb $tmp/seeds.dtb"

run_payload "fdt" 20 fdt -p "one two three"
payload_passes "RAM is as the device tree says"
like "$(tr -d '\r' <"$out")" '^kaslr-seed 8' "it has a seed for the kernel's layout"
like "$(tr -d '\r' <"$out")" '^rng-seed' "and one for its random numbers"
first=$(grep 'kaslr-seed' "$out")
run_payload "fdt again" 20 fdt
check "another one the next time" test "$first" != "$(grep 'kaslr-seed' "$out")"
run_payload "fdt nodefaults" 20 fdt --nodefaults -p "exactly this"
like "$(tr -d '\r' <"$out")" '^bootargs 12 ' "under --nodefaults the command line is verbatim"
run_payload "RAM at 4 GiB" 20 poweroff -m 512M@4G
is "$status" 0 "RAM at 4 GiB"

echo 200 >/proc/sys/vm/nr_hugepages
free_before=$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)
start_lkvm hugetlbfs run -k "$guest/hang.bin" -c 1 -m 256M --hugetlbfs /dev/hugepages
wait_for_output 10 '^hang'
free_during=$(awk '/^HugePages_Free/ { f = $2 } /^HugePages_Rsvd/ { r = $2 } END { print f - r }' /proc/meminfo)
is $((free_before - free_during)) 128 "--hugetlbfs: guest RAM is of huge pages"
kill "$pid"
wait_lkvm 10
is "$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)" "$free_before" "which are given back"
is "$(ls /dev/hugepages)" "" "without a file left behind"
echo 0 >/proc/sys/vm/nr_hugepages
run_payload "no huge pages" 20 poweroff --hugetlbfs /dev/hugepages
is "$status" 1 "not enough huge pages: refused"
like "$(cat "$out")" 'Fatal: .*(huge|/dev/hugepages)' "the message says so"
run_payload "not hugetlbfs" 20 poweroff --hugetlbfs /tmp
is "$status" 1 "a folder that is no hugetlbfs: refused"

run_payload "console to a file" 20 poweroff --console "serial,out=$tmp/console"
is "$status" 0 "the console in a file"
like "$(cat "$tmp/console")" '^done' "has all of it"
is "$(cat "$out")" "" "and nothing is printed besides"
lkvm run -k "$guest/echo.bin" -c 1 -m 256M --console serial,in=fd:5,out=fd:6 5<"$0" 6>"$tmp/console" \
	>"$out" 2>&1 </dev/null
is "$?" 0 "the console on file descriptors"
like "$(cat "$tmp/console")" '^#!/BIN/SH' "input comes from there, output goes there"
run_payload "console nowhere" 20 poweroff --console serial,out=/nonexistent/file
is "$status" 1 "a console that cannot be opened is refused"
like "$(cat "$out")" 'Fatal: .*/nonexistent/file' "by name"

start_lkvm tty run -k "$guest/hang.bin" -c 1 -m 256M --tty 1
wait_for_output 10 '/dev/pts/[0-9]+'
like "$(cat "$out")" '/dev/pts/[0-9]+' "--tty tells the name of its pty"
check "which is there" test -c "$(grep -o '/dev/pts/[0-9]*' "$out" | head -n 1)"
kill "$pid"
wait_lkvm 10

# Firmware: a payload at the start of RAM does as well as one at the kernel's place if it is told.
run_lkvm firmware 20 run -f "$guest/poweroff.bin" --firmware-address 0x80080000 -c 1 -m 256M
is "$status" 0 "firmware in place of a kernel"
truncate -s 4M "$tmp/flash"
run_payload flash 60 flash --flash "$tmp/flash"
payload_passes "flash: query, erase, program"
check "what was programmed is in its file" sh -c "! cmp -s $tmp/flash /dev/zero"

for file in "" /nonexistent /dev /dev/null; do
	run_lkvm "kernel '$file'" 20 run -k "$file" -c 1 -m 256M
	check "kernel '$file': refused ($status)" test "$status" -ge 1 -a "$status" -le 2
	is "$(wc -l <"$out")" 1 "in one line"
done
run_payload "no initrd" 20 poweroff -i /nonexistent
is "$status" 1 "an initrd that is not there: refused"
run_payload "memory" 20 poweroff -m 1M
is "$status" 1 "too little RAM: refused"
run_payload "memory" 20 poweroff -m 4000T
is "$status" 1 "too much RAM: refused"
run_payload "memory" 20 poweroff -m nonsense
is "$status" 2 "no size at all: a usage error"
done_testing
