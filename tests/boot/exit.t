#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# How a run ends: every exit status there is, whatever ends it, with a device and a terminal left as
# they were.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -d edu "$0"
. ./host-lib.sh

edu=$(bdf edu)
bind "$edu"
small='-c 1 -m 256M'
touch "$tmp/begin"

# Hundredths of a second since boot.
now() { tr -d . </proc/uptime | cut -d ' ' -f 1; }

# ended_in NAME BEGIN HUNDREDTHS: that it is no longer since BEGIN (with patience).
ended_in() {
	took=$(($(now) - $2))
	check "$1 ($took hundredths of a second)" test "$took" -le $(($3 * patience))
}

# start_payload NAME LINE PAYLOAD ARGUMENT...: start_lkvm, and wait until the guest prints the line.
start_payload() {
	start_name=$1
	start_line=$2
	start_payload=$3
	shift 3
	# shellcheck disable=SC2086 # $small is several words
	start_lkvm "$start_name" run -k "$guest/$start_payload.bin" $small "$@"
	wait_for_output 10 "^$start_line"
}

# --- 0, 32, 34: the guest's own doing ---
run_payload poweroff 20 poweroff
is "$status" 0 "0: the guest powered off"
payload_passes "the state a guest starts in"
run_payload reset 20 reset
is "$status" 32 "32: the guest reset"
run_payload reset2 20 reset2
is "$status" 32 "32: the guest reset by SYSTEM_RESET2"
run_payload "reset exit" 20 reset --on-reset exit
is "$status" 32 "32: the guest reset under --on-reset exit"
run_payload panic 20 panic
is "$status" 34 "34: the guest panicked"
is "$(grep -c '^ok' "$out")" 2 "and a crash kernel that took over would have been no panic"

# --- 33: KVM cannot go on. An image mapped from its file: cut short, its pages are no memory any more. ---
cp "$guest/crash.bin" "$tmp/crash.bin"
truncate -s 9M "$tmp/crash.bin"
mkfifo "$tmp/key"
run_name=crash
out=$tmp/crash.out
# shellcheck disable=SC2086
lkvm run -k "$tmp/crash.bin" --map-images $small <"$tmp/key" >"$out" 2>&1 &
pid=$!
exec 3>"$tmp/key"
wait_for_output 10 '^ready'
truncate -s 64K "$tmp/crash.bin"
echo x >&3
wait_lkvm 10
exec 3>&-
is "$status" 33 "33: the guest crashed in a way that KVM reports"
like "$(cat "$out")" 'Fatal: .*crashed.*memory' "and lkvm says how"
is "$(grep -c Fatal "$out")" 1 "once"
# The same file, whole: the guest reads what is in it.
truncate -s 9M "$tmp/crash.bin"
# shellcheck disable=SC2086
echo x | timeout 120 lkvm run -k "$tmp/crash.bin" --map-images $small >"$out" 2>&1
is "$?:$(grep -c '^read 0x0' "$out")" 0:1 "a file that stays whole is no crash"

# --- 1: the host ---
mv /dev/kvm /dev/kvm-away
run_payload "no kvm" 20 poweroff
mv /dev/kvm-away /dev/kvm
is "$status" 1 "1: no /dev/kvm"
like "$(cat "$out")" 'Fatal: .*/dev/kvm' "and lkvm says so"
is "$(grep -c Fatal "$out")" 1 "once"

# --- 124 ---
for payload in hang spin cpu_off; do
	begin=$(now)
	run_payload "timeout $payload" 20 $payload --timeout 2
	is "$status" 124 "124: --timeout, $payload"
	like "$(cat "$out")" 'Fatal: .*--timeout' "and lkvm says so"
	took=$(($(now) - begin))
	check "after its time ($took hundredths of a second)" test "$took" -ge 200 -a "$took" -le $((400 * patience))
done
run_payload "timeout not reached" 20 poweroff --timeout 15
is "$status" 0 "a guest that ends before its --timeout"

# --- 128 + n ---
for payload in hang spin cpu-off chatter; do
	for signal in TERM:15 HUP:1; do
		start_payload "$payload ${signal%:*}" "$payload" "$(echo $payload | tr - _)" --vfio-pci "$edu"
		begin=$(now)
		kill -"${signal%:*}" "$pid"
		wait_lkvm 10
		is "$status" $((128 + ${signal#*:})) "$((128 + ${signal#*:})): SIG${signal%:*}, $payload"
		ended_in "within a second" "$begin" 100
	done
done
# The shell has its background jobs ignore SIGINT; timeout's child does not.
begin=$(now)
timeout -s INT 5 lkvm run -k "$guest/spin.bin" -c 1 -m 256M >"$out" 2>&1 </dev/null
is "$?" 130 "130: SIGINT"
ended_in "within a second" $((begin + 500)) 100
# One that was started to ignore a signal ignores it: nohup(1).
(
	trap '' HUP
	exec lkvm run -k "$guest/hang.bin" -c 1 -m 256M >"$tmp/nohup" 2>&1 </dev/null
) &
pid=$!
wait_for 10 grep -q '^hang' "$tmp/nohup"
kill -HUP "$pid"
sleep 1
check "a guest under nohup survives SIGHUP" kill -0 "$pid"
kill -TERM "$pid"
wait "$pid"
is "$?" 143 "and not SIGTERM"

# Whatever has ended the runs above, the device is free and as good as new.
run_payload "device" 30 irq --vfio-pci "$edu"
like "$(cat "$out")" '^ok edu: 10! = 3628800' "the device works afterwards"
check "and can be given back" unbind "$edu"
is "$(pidof lkvm)" "" "no lkvm is left running"
is "$(find / /tmp /dev/shm -xdev -newer "$tmp/begin" ! -type d ! -path "$tmp/*")" "" "nor any file of one"

# --- the console closes ---
{
	# shellcheck disable=SC2086
	lkvm run -k "$guest/mmio.bin" $small 2>"$out" </dev/null
	echo $? >"$tmp/status"
} | head -n 1 >"$tmp/first"
like "$(cat "$tmp/first")" '^ok I/O ports' "a console is read, and closed"
is "$(cat "$tmp/status")" 0 "the guest goes on to its end: no SIGPIPE"
is "$(grep -c Warning "$out")" 1 "and lkvm says once that its output is lost"
# shellcheck disable=SC2086
lkvm run -k "$guest/poweroff.bin" $small 2>"$out" </dev/null >/dev/full
is "$?:$(grep -c Warning "$out")" 0:1 "a console on a full disk"
# shellcheck disable=SC2086
lkvm run -k "$guest/poweroff.bin" $small 2>"$out" <&- >&-
is "$?:$(cat "$out")" 0: "no console at all"

# --- a terminal: telnetd's pty, with this script's session in it ---
cat >"$tmp/session" <<SESSION
#!/bin/sh
tty >$tmp/tty
stty -g >$tmp/stty.before
lkvm run -k $guest/\$(cat $tmp/payload).bin $small
echo \$? >$tmp/tty.status
stty -g >$tmp/stty.after
SESSION
chmod +x "$tmp/session"
telnetd -p 2323 -b 127.0.0.1 -l "$tmp/session"
wait_for 10 sh -c 'netstat -l -n -t | grep -q :2323'
mkfifo "$tmp/typed"

# on_terminal PAYLOAD LINE: a session with lkvm in it that has printed the line; fd 3 is its keyboard.
on_terminal() {
	rm -f "$tmp/tty.status" "$tmp/stty.after" "$tmp/screen"
	echo "$1" >"$tmp/payload"
	nc 127.0.0.1 2323 <"$tmp/typed" >"$tmp/screen" &
	exec 3>"$tmp/typed"
	out=$tmp/screen
	wait_for_output 10 "$2"
}

# The session's end: status and whether the terminal is as it was.
terminal_is_left() {
	wait_for 10 test -s "$tmp/stty.after"
	exec 3>&-
	is "$(cat "$tmp/tty.status")" "$1" "$2"
	is "$(cat "$tmp/stty.after")" "$(cat "$tmp/stty.before")" "the terminal is as it was"
}

on_terminal hang hang
like "$(stty -F "$(cat "$tmp/tty")" -a)" '-icanon' "the terminal is raw while the guest runs"
begin=$(now)
printf '\001x' >&3
terminal_is_left 0 "Ctrl-a x ends the guest: 0"
ended_in "within a second" "$begin" 150

on_terminal echo echo
printf 'a\003b\001\001c\001dq' >&3
terminal_is_left 0 "a guest reads the terminal"
like "$(tr '\001\003' '#~' <"$tmp/screen")" 'A~B#C#D' "Ctrl-c, and Ctrl-a by Ctrl-a Ctrl-a, are the guest's"

for signal in TERM:143 HUP:129; do
	on_terminal spin spin
	kill -"${signal%:*}" "$(pidof lkvm)"
	terminal_is_left "${signal#*:}" "${signal#*:}: SIG${signal%:*} on a terminal"
done
on_terminal chatter 'chatter 10'
printf '\001x' >&3
terminal_is_left 0 "Ctrl-a x ends a guest that never stops printing"
on_terminal panic 'ok a crash'
terminal_is_left 34 "34 on a terminal"

is "$(pidof lkvm)" "" "no lkvm is left running"
is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
