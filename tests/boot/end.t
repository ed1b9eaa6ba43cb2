#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# How a run ends: each exit status, and that nothing is left behind.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" "$0"
. ./host-lib.sh

run_payload poweroff 20 poweroff
is "$status" 0 "0: the guest powered off"
payload_passes "the state in which a guest starts"

run_payload "no kernel" 20 nonesuch
is "$status" 1 "1: a kernel that is not there"
like "$(cat "$out")" 'Fatal: Unable to open kernel .*/nonesuch.bin' "says which"

run_lkvm usage 20 run --nonesuch
is "$status" 2 "2: an option that there is not"
run_lkvm verb 20 nonesuch
is "$status" 2 "2: a verb that there is not"
run_lkvm nothing 20
is "$status" 2 "2: no verb at all"

run_payload reset 20 reset
is "$status" 32 "32: the guest reset"
run_payload reset2 20 reset2
is "$status" 32 "32: the guest reset by SYSTEM_RESET2"

run_payload panic 20 panic
is "$status" 34 "34: the guest panicked"

run_payload timeout 20 hang --timeout 2
is "$status" 124 "124: the time given has passed"
like "$(cat "$out")" '--timeout' "and lkvm says so"
run_payload "timeout spinning" 20 spin --timeout 2
is "$status" 124 "124: also when the guest never leaves its CPU"
run_payload "timeout cpu-off" 20 cpu_off --timeout 2
is "$status" 124 "124: also when no vCPU runs"

# The guest's image is mapped from its file; cutting the file short is memory that fails under it.
cp "$guest/crash.bin" "$tmp/crash.bin"
truncate -s 9M "$tmp/crash.bin"
mkfifo "$tmp/key"
run_name=crash
out=$tmp/crash.out
lkvm run -k "$tmp/crash.bin" -c 1 -m 256M <"$tmp/key" >"$out" 2>&1 &
pid=$!
exec 3>"$tmp/key"
wait_for_output 10 '^ready'
truncate -s 64K "$tmp/crash.bin"
echo x >&3
wait_lkvm 10
exec 3>&-
is "$status" 33 "33: the guest crashed in a way that KVM reports"

# seconds since boot, in hundredths
now() { tr -d . </proc/uptime | cut -d ' ' -f 1; }

for name in TERM:15 HUP:1; do
	start_lkvm "${name%:*}" run -k "$guest/hang.bin" -c 1 -m 256M
	wait_for_output 10 '^hang'
	begin=$(now)
	kill -"${name%:*}" "$pid"
	wait_lkvm 10
	is "$status" $((128 + ${name#*:})) "128 + ${name#*:}: killed by SIG${name%:*}"
	check "within a second ($(($(now) - begin)) hundredths)" test $(($(now) - begin)) -le 100
done
# A shell's background jobs ignore SIGINT, so this one is in the foreground.
timeout -s INT 3 lkvm run -k "$guest/spin.bin" -c 1 -m 256M >"$out" 2>&1 </dev/null
is "$?" 130 "128 + 2: killed by SIGINT, while the guest spins"

# Nobody reads the console any more: the guest goes on.
{
	lkvm run -k "$guest/chatter.bin" -c 1 -m 256M --timeout 3 2>"$out" </dev/null
	echo $? >"$tmp/status"
} | head -n 1 >"$tmp/first"
like "$(cat "$tmp/first")" '^chatter 0' "a guest whose console is closed has begun"
is "$(cat "$tmp/status")" 124 "and is not ended by SIGPIPE"

run_payload chatter 20 chatter --timeout 3
is "$(tr -d '\r' <"$out" | awk '/^chatter [0-9]+$/ { if ($2 != n++) bad++ } END { print (n > 50), bad + 0 }')" \
	"1 0" "a guest that never stops printing loses no line"

lkvm --help >"$tmp/help" 2>"$tmp/help.err"
is "$?" 0 "lkvm --help succeeds"
check "and has the line scripts look for" \
	grep -q '^The most commonly used lkvm commands are:' "$tmp/help"
is "$(cat "$tmp/help.err")" "" "on standard output only"
done_testing
