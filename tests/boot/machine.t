#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The device tree as dtc sees it, memory in huge pages, firmware, files that cannot be booted, and
# what the command line answers.
[ -n "${BED_HOST:-}" ] || {
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	zstd -q -1 "$(dirname "$0")/../../build/bed/Image" -o "$work/Image.zst"
	"$(dirname "$0")/../bed/run" -d nvme -f "$work/Image.zst" -e TAP_MORE=4 "$0" >"$work/tap"
	status=$?
	grep -v -e '^# dtb ' -e '^1\.\.' "$work/tap"
	for name in gicv3-its gicv3 device seeds; do
		sed -n "s/^# dtb $name //p" "$work/tap" | base64 -d >"$work/dtb"
		dtc -I dtb -O dts -o "$work/dts" "$work/dtb" 2>"$work/said" && [ ! -s "$work/said" ] &&
			grep -q '^/dts-v1/' "$work/dts" || printf 'not '
		echo "ok - dtc has nothing to say about the device tree of $name"
		sed 's/^/# /' "$work/said"
	done
	grep '^1\.\.' "$work/tap"
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

# Firmware: a payload at the start of RAM does as well as one at the kernel's place if it is told.
run_lkvm firmware 20 run -f "$guest/poweroff.bin" --firmware-address 0x80080000 -c 1 -m 256M
is "$status" 0 "firmware in place of a kernel"

run_linux "zstd" 60 "do=cpus" -c 1 -m 256M -k "Image.zst"
is "$status:$(guest_says cpus)" 0:1 "a kernel compressed with zstd"
gzip -c "$guest/poweroff.bin" >"$tmp/poweroff.gz"
run_lkvm "gzip" 20 run -k "$tmp/poweroff.gz" -c 1 -m 256M
is "$status" 0 "a kernel compressed with gzip"
libraries=/lib/aarch64-linux-gnu
mkdir "$tmp/away"
mv $libraries/libz.so.1 $libraries/libzstd.so.1 "$tmp/away/"
for package in zlib1g:poweroff.gz libzstd1:Image.zst; do
	file=${package#*:}
	package=${package%:*}
	[ -e "$file" ] || file=$tmp/$file
	run_lkvm "no $package" 20 run -k "$file" -c 1 -m 256M
	is "$status:$(wc -l <"$out")" 1:1 "the same without $package: refused in one line"
	like "$(cat "$out")" "Fatal: kernel $file .*apt install $package" "which says what to install"
done
mv "$tmp"/away/* $libraries/

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

run_lkvm usage 20 run --nonesuch
is "$status:$(wc -l <"$out")" 2:1 "an option that there is not: a usage error"
run_lkvm verb 20 nonesuch
is "$status" 2 "a verb that there is not: a usage error"
run_lkvm nothing 20
is "$status" 2 "no verb at all: a usage error"
lkvm --help >"$tmp/help" 2>"$tmp/help.err"
is "$?:$(cat "$tmp/help.err")" 0: "lkvm --help succeeds, on standard output"
check "and has the line that scripts look for" \
	grep -q '^The most commonly used lkvm commands are:' "$tmp/help"
done_testing
