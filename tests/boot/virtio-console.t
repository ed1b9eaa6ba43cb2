#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The virtio console in Linux: hvc0 in place of the first UART, further ports, one of them with a reader who
# does not read, 1 MiB both ways unchanged, the terminal's size, what is typed ahead, Ctrl-a x. Each on another transport.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" "$0"
. ./host-lib.sh

size=1048576
mods=virtio_mmio
head -c "$size" /dev/urandom >"$tmp/in"
sum_in=$(sha256sum <"$tmp/in" | cut -d ' ' -f 1)

# Linux's hvc driver takes 16 characters each hundredth of a second, and ^O for the SysRq key.
od -A n -v -t x1 -N 600 /dev/urandom | head -c 1800 >"$tmp/text"

# What is typed: nobody waits for the other end, and it does not end.
mkfifo "$tmp/keys"
exec 9<>"$tmp/keys"

# hvc0_script: guest_script on hvc0, from when it can be opened. Once: what was typed would be lost to who closed it.
hvc0_script() {
	body=$(cat)
	guest_script <<SCRIPT
until {
$body
:
} </dev/hvc0 >/dev/hvc0 2>&1; do
	usleep 100000
done
SCRIPT
}

# start_console NAME PARAMS ARGS...: a guest whose console is in $tmp/NAME.
start_console() {
	printed=$tmp/$1
	: >"$printed"
	console_name=$1
	console_params=$2
	shift 2
	start_lkvm "$console_name" run -k "$guest/Image" -i "$initrd" -c 1 -m 256M \
		-p "$quick mods=$mods $console_params" "$@"
}

# said KEY: the guest has said it, to the line's end.
said() {
	{ cat "$printed" && echo .; } | sed '$d' | grep -aq "^guest: $1"
}

# of KEY: what the guest said on it.
of() {
	grep -a "^guest: $1 " "$printed" | tr -d '\r' | sed "s/^guest: $1 //"
}

data_has_come() {
	[ "$(wc -c <"$tmp/data")" = "$size" ]
}

# --- a console alone ---
hvc0_script <<'SCRIPT'
stty raw -echo
say cmdline "$(cat /proc/cmdline)"
say ready
say sum "$(head -c 1800 | sha256sum | cut -d ' ' -f 1)"
head -c 1048576 /dev/urandom >/tmp/random
say random "$(sha256sum </tmp/random | cut -d ' ' -f 1)"
say data
cat /tmp/random
SCRIPT
start_console alone "" --console "virtio,in=fd:9,out=$tmp/alone"
wait_for 60 said ready && cat "$tmp/text" >&9
wait_lkvm 60
is "$status" 0 "a guest with a virtio console powers off"
is "$(cat "$out")" "" "and says nothing on standard output"
exec 8<"$printed"
while IFS= read -r line <&8 && [ "$line" != "guest: data" ]; do :; done
sum_out=$(head -c "$size" <&8 | sha256sum | cut -d ' ' -f 1)
exec 8<&-
like "$(of cmdline)" "^console=hvc0 quiet" "its kernel's console is hvc0"
is "$(of sum)" "$(sha256sum <"$tmp/text" | cut -d ' ' -f 1)" "it reads what is typed unchanged"
is "$(of random)" "$sum_out" "and writes 1 MiB unchanged"

# --- ports, over MMIO ---
: >"$tmp/data"
hvc0_script <<'SCRIPT'
wait_for 20 grep -q stuck /sys/class/virtio-ports/vport0p2/name
wait_for 20 grep -q data /sys/class/virtio-ports/vport0p1/name
say port "$(cat /sys/class/virtio-ports/vport0p1/name)"
head -c 1048576 /dev/zero >/dev/vport0p2 &
say sum "$(head -c 1048576 /dev/vport0p1 | sha256sum | cut -d ' ' -f 1)"
head -c 1048576 /dev/urandom >/tmp/random
say random "$(sha256sum </tmp/random | cut -d ' ' -f 1)"
cat /tmp/random >/dev/vport0p1
read -r _
SCRIPT
mkfifo "$tmp/fifo"
exec 7<>"$tmp/fifo"
start_console ports "" --virtio-transport mmio \
	--console "virtio,in=fd:9,out=$tmp/ports,port=data,in=$tmp/in,out=$tmp/data,port=stuck,out=fd:7"
wait_for 120 data_has_come
echo >&9
wait_lkvm 60
exec 7<&-
is "$status" 0 "a guest with ports powers off, though one's reader does not read"
is "$(of port)" data "it knows a port by its name"
is "$(of sum)" "$sum_in" "it reads 1 MiB unchanged from the port"
is "$(of random)" "$(sha256sum <"$tmp/data" | cut -d ' ' -f 1)" "and writes 1 MiB unchanged to it"

# --- the terminal's size, over the legacy interface ---
start_lkvm hold run -k "$guest/hang.bin" -c 1 -m 64M --tty 1 --console serial,in=/dev/null
wait_for_output 10 'pty /dev/pts'
pty=$(sed -n 's/.* \(\/dev\/pts\/[0-9]*\).*/\1/p' "$out")
hold=$pid
stty -F "$pty" cols 80 rows 25
hvc0_script <<'SCRIPT'
say modern "$(cut -c 33 /sys/bus/virtio/devices/virtio0/features)"
say ready
has_size() {
	[ "$(stty size)" = '43 132' ]
}
wait_for 60 has_size
say resized "$(stty size)"
SCRIPT
start_console size virtio_pci.force_legacy=1 --virtio-transport pci-legacy \
	--console "virtio,in=$pty,out=$tmp/size"
wait_for 60 said ready
stty -F "$pty" cols 132 rows 43
kill -WINCH "$pid"
wait_lkvm 60
is "$status:$(of resized)" "0:43 132" "the guest learns of the terminal's new size"
is "$(of modern)" 0 "by the legacy interface"
kill "$hold"
wait "$hold"

# --- typed ahead: the guest's shell finds it ---
hvc0_script <<'SCRIPT'
sh
SCRIPT
for transport in pci mmio-legacy; do
	out=$tmp/$transport.out
	printf 'echo "guest: sum $((6 * 7))"\nexit\n' | timeout -s KILL $((60 * patience)) \
		lkvm run -k "$guest/Image" -i "$initrd" -c 1 -m 256M --console virtio \
		--virtio-transport "$transport" -p "$quick mods=$mods" >"$out" 2>&1
	is "$?:$(guest_says sum)" "0:42" "over $transport the guest's shell does what was typed before it was there"
done

# --- what does not depend on the guest ---
printf 'abc\001x' | timeout $((20 * patience)) lkvm run -k "$guest/hang.bin" -c 1 -m 64M --console virtio
is "$?" 0 "Ctrl-a x ends a guest that has no driver"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
