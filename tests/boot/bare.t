#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What needs no Linux in the guest: PSCI, every emulated frame and the holes between, accesses that
# KVM cannot decode, the clock, the flash, what the FDT says, and the console from and to anything.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -N "$0"
. ./host-lib.sh

run_payload psci 60 psci -c 4
payload_passes "PSCI with four vCPUs"
like "$(cat "$out")" '^cpus 4' "which are four"
run_payload "psci alone" 30 psci
payload_passes "PSCI with one vCPU"
run_payload "psci 19" 60 psci -c 19
payload_passes "PSCI with 19 vCPUs, more than a cluster"

run_payload mmio 60 mmio
payload_passes "every emulated frame, and the holes"
# Where configuration space is emulated: beside virtio devices alone the guest reads memory.
run_payload nisv 30 nisv -n none
payload_passes "accesses that KVM cannot decode"
is "$(grep -c 'Warning: ' "$out")" 1 "of which lkvm speaks once"

# --- the clock ---
before=$(date -u +%s)
run_payload rtc 20 rtc
payload_passes "the clock"
guest_time=$(date -u -d "$(sed -n 's/^rtc //p' "$out")" +%s)
check "shows the host's time" test "$guest_time" -ge "$before" -a "$guest_time" -le "$(date -u +%s)"

# --- the flash: a file that the guest changes where it says so, and nowhere else ---
head -c 4194304 /dev/urandom >"$tmp/flash"
cp "$tmp/flash" "$tmp/flash.before"
run_payload flash 60 flash --flash "$tmp/flash"
payload_passes "the flash"
is "$(sed -n 's/^first //p' "$out")" "$(od -A n -t x4 -N 4 "$tmp/flash.before" | tr -d ' ')" \
	"reads as the file"
block=$(sed -n 's/^flash .* blocks of //p' "$out")
is "$(sed -n 's/^flash \([0-9]*\) bytes.*/\1/p' "$out")" 4194304 "has the file's size"
is "$(od -A n -t x4 -j "$block" -N 4 "$tmp/flash" | tr -d ' ')" c001d00d "the file has what was programmed"
check "and the blocks around it are as they were" sh -c "
	cmp -n $block $tmp/flash $tmp/flash.before &&
	tail -c +$((2 * block + 1)) $tmp/flash >$tmp/tail &&
	tail -c +$((2 * block + 1)) $tmp/flash.before | cmp - $tmp/tail"
cp "$tmp/flash" "$tmp/flash.before"
mkdir "$tmp/mnt"
mount -t tmpfs none "$tmp/mnt"
cp "$tmp/flash" "$tmp/mnt/flash"
mount -o remount,ro "$tmp/mnt"
run_payload "flash read-only" 60 flash --flash "$tmp/mnt/flash"
like "$(cat "$out")" '^not ok erase' "a flash whose file is read-only cannot be changed"
check "its file is as it was" cmp "$tmp/mnt/flash" "$tmp/flash.before"
umount "$tmp/mnt"

# --- what the guest is told ---
run_payload fdt 20 fdt -p "one two three" --nodefaults
payload_passes "RAM has the size it is said to have"
like "$(cat "$out")" '^memory 0x80000000 0x10000000$' "which is what was asked for"
like "$(cat "$out")" '^bootargs 13 ' "the command line arrives"
like "$(cat "$out")" '^rng-seed (32|64) ' "with a seed for random numbers"
seeds=$(sed -n 's/^\(kaslr\|rng\)-seed //p' "$out")
run_payload "fdt again" 20 fdt --nodefaults
check "that is another each time" test "$seeds" != "$(sed -n 's/^\(kaslr\|rng\)-seed //p' "$out")"
for mem in 64M 3G 1G@4G; do
	run_lkvm "fdt $mem" 20 run -k "$guest/fdt.bin" -c 1 -m $mem
	case $mem in
	1G@4G) is "$status" 0 "RAM at 4 GiB" ;;
	*) payload_passes "RAM of $mem" ;;
	esac
done

# --- the console ---
n=0
while [ $n -lt 1088 ]; do
	printf '%08x 0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQ\n' $n
	n=$((n + 1))
done >"$tmp/flood"
# All that a pipe holds is written before anybody reads.
mkfifo "$tmp/late"
lkvm run -k "$guest/flood.bin" -c 1 -m 256M </dev/null >"$tmp/late" 2>&1 &
pid=$!
exec 5<"$tmp/late"
check "64 KiB of output fill a pipe" wait_for 60 eval '[ "$(sed -n "s/^wchar: //p" /proc/$pid/io)" -ge 65536 ]'
sleep 1
cat <&5 >"$tmp/slow"
exec 5<&-
wait "$pid"
check "68 KiB wait for a reader who is late" cmp "$tmp/slow" "$tmp/flood"
run_payload "console file" 20 poweroff --console "serial,out=$tmp/file"
is "$(cat "$out")" "" "a console in a file leaves standard output alone"
out=$tmp/file payload_passes "and has all the output"
run_payload "console fd" 20 poweroff --console serial,out=fd:7 7>"$tmp/fd"
out=$tmp/fd payload_passes "so does one in a file descriptor"

# More than any FIFO holds.
{
	seq -s ' ' 1000 1400 | tr 0-9 a-j
	printf q
} >"$tmp/letters"
head -n 1 "$tmp/letters" | tr a-z A-Z >"$tmp/capitals"

# echo_says NAME: the last echo returned all of it in capitals, and ended.
echo_says() {
	is "$?" 0 "input from $1"
	sed -n 2p "$tmp/echo" >"$tmp/echoed"
	check "arrives whole" cmp "$tmp/echoed" "$tmp/capitals"
}

echo_guest="timeout 180 lkvm run -k $guest/echo.bin -c 1 -m 256M"
$echo_guest <"$tmp/letters" >"$tmp/echo" 2>&1
echo_says "a file"
(sleep 2; cat "$tmp/letters") | $echo_guest >"$tmp/echo" 2>&1
echo_says "a pipe that is slow"
$echo_guest --console serial,in="$tmp/letters" >"$tmp/echo" 2>&1 </dev/null
echo_says "a file that is named"
$echo_guest --console serial,in=fd:9 9<"$tmp/letters" >"$tmp/echo" 2>&1 </dev/null
echo_says "a file descriptor"

# A second UART on a pty: this side of it is a terminal like any other.
run_name=pty
start_lkvm pty run -k "$guest/echo.bin" -c 1 -m 256M --tty 0
wait_for_output 10 'pty /dev/pts'
pty=$(sed -n 's/.* \(\/dev\/pts\/[0-9]*\).*/\1/p' "$out")
cat "$pty" >"$tmp/pty" &
reader=$!
printf 'over the ptyq' >"$pty"
wait_lkvm 20
kill "$reader" 2>/dev/null
is "$status" 0 "a guest whose console is a pty"
like "$(tr -d '\r' <"$tmp/pty")" '^OVER THE PTY' "hears and speaks there"

# Input that has ended, or never begins, is no work: hundredths of a second of lkvm's CPU time.
for input in /dev/null "$tmp/empty"; do
	: >"$tmp/empty"
	out=$tmp/idle
	lkvm run -k "$guest/hang.bin" -c 1 -m 256M <"$input" >"$out" 2>&1 &
	pid=$!
	wait_for_output 10 '^hang'
	used=$(awk '{ print $14 + $15 }' /proc/$pid/stat)
	sleep 2
	used=$(($(awk '{ print $14 + $15 }' /proc/$pid/stat) - used))
	check "standard input $(basename "$input") is no work ($used hundredths)" test "$used" -le 60
	kill "$pid"
	wait_lkvm 5
done

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
