#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Every kind of virtio device at once, on each transport, beside a disk that is passed through. Each driver is unbound
# and bound again while its device is busy, BINDS times; afterwards all work, and so does the disk passed through.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -d nvme -e BINDS="${BINDS:-4}" "$0"
. ./host-lib.sh

modprobe tun
modprobe vhost_vsock
nvme=$(bdf nvme)
check "the NVMe disk is vfio-pci's" bind "$nvme"
ip tuntap add dev tap0 mode tap
head -c 4194304 /dev/urandom >/tmp/disk
disk_sum=$(sha256sum </tmp/disk | cut -d ' ' -f 1)
mkdir /tmp/share

# What the guest finds goes into the share at the end: the console is one of the drivers that come and go.
guest_script <<'SCRIPT'
exec >/tmp/result 2>/tmp/errors
read -r cmdline </proc/cmdline
binds=${cmdline##*binds=}
binds=${binds%% *}
bus=/sys/bus/virtio

driver_of() {
	basename "$(readlink "$bus/devices/$1/driver")" 2>/dev/null
}

device_of() {
	for it in "$bus"/devices/*; do
		[ "$(driver_of "${it##*/}")" != "$1" ] || echo "${it##*/}"
	done
}

# again PATH-OF-DRIVER DEVICE TIMES
again() {
	i=0
	while [ "$i" -lt "$3" ]; do
		echo "$2" >"$1/unbind" && echo "$2" >"$1/bind" || return
		i=$((i + 1))
	done
	echo "$i"
}

# The file of the console's port called NAME, where a port that has just gone is not there instead of a new file.
mkdir /ports
mount -o bind /dev /ports
mount -o remount,bind,ro /ports
port() {
	for it in /sys/class/virtio-ports/vport*; do
		[ "$(cat "$it/name" 2>/dev/null)" != "$1" ] || echo "/ports/${it##*/}"
	done
}

has_port() {
	[ -c "$(port "$1")" ]
}

busy() {
	case $1 in
	virtio_blk) dd if=/dev/vda of=/dev/null bs=64k iflag=direct ;;
	virtio_net)
		ip link set eth0 up
		ip addr add 10.1.0.15/24 dev eth0
		ping -c 20 -i 0.01 -W 1 10.1.0.1
		;;
	virtio_rng) dd if=/dev/hwrng of=/dev/null bs=64 count=16 ;;
	virtio_console) echo noise >"$(port log)" ;;
	esac
	usleep 5000
}

for device in "$bus"/devices/*; do
	device=${device##*/}
	driver=$(driver_of "$device")
	(while :; do busy "$driver"; done) >/dev/null 2>&1 &
	say "binds-$driver" "$(again "$bus/drivers/$driver" "$device" "$binds")"
	kill $!
	wait $!
done
for transport in /sys/bus/pci/drivers/virtio-pci /sys/bus/platform/drivers/virtio-mmio; do
	for it in "$transport"/*; do
		[ ! -e "$it/driver" ] || say "binds-transport" "$(again "$transport" "${it##*/}" 2)"
	done
done
say seconds "$(cut -d ' ' -f 1 /proc/uptime)"

for device in "$bus"/devices/*; do
	say driver "$(driver_of "${device##*/}")"
done
wait_for 20 test -b /dev/vda
say disk "$(sha256sum </dev/vda | cut -d ' ' -f 1)"
dd if=/dev/urandom of=/tmp/data bs=64k count=4
dd if=/tmp/data of=/dev/vda bs=64k seek=32 conv=fsync
say written "$(sha256sum </tmp/data | cut -d ' ' -f 1)"
say random "$(dd if=/dev/hwrng bs=512 count=4 | wc -c)"
ip link set eth0 up
ip addr add 10.1.0.15/24 dev eth0
say ping "$(ping -c 3 -i 0.1 -W 20 10.1.0.1 | sed -n 's/.* \([0-9]*\) packets received.*/\1/p')"
wait_for 20 has_port log
echo "the port works" >"$(port log)"
do_nvme_read 16
# A console that goes while a port of it comes says so; one whose transport is a module is no initial one.
say complaints "$(dmesg -r | awk -F '[<>]' '$2 % 8 <= 3' | grep -v -e 'Error allocating inbufs' -e 'initial console' | head -n 5)"
mkdir /mnt
mount -t 9p -o trans=virtio share /mnt && cat /tmp/result /tmp/errors >/mnt/result
: >/mnt/idle
read -r _ <"$(port log)"
umount /mnt
SCRIPT

# Nothing but the vCPU, which is in KVM_RUN, wakes up for 5 seconds. The guest may have reasons to wake it up for a while:
# pages that it reports as free, IPv6 that looks for a router.
wakeups() {
	grep -L -e ' 0xae80 ' -e running "/proc/$pid/task"/*/syscall | sed 's/syscall$/status/' | xargs cat |
		awk '/ctxt_switches/ { n += $2 } END { print n }'
}
nothing_wakes_up() {
	wakeups_before=$(wakeups)
	sleep 5
	[ -n "$wakeups_before" ] && [ "$(wakeups)" = "$wakeups_before" ]
}
mkfifo /tmp/go
exec 5<>/tmp/go

drivers='virtio_blk virtio_net 9pnet_virtio vmw_vsock_virtio_transport virtio_console virtio_rng virtio_balloon'

for transport in pci mmio pci-legacy mmio-legacy; do
	rm -f /tmp/share/result /tmp/share/idle /tmp/log
	start_lkvm "$transport" run -k "$guest/Image" -i "$initrd" -c 1 -m 192M --virtio-transport "$transport" \
		-p "$quick binds=$BINDS mods=virtio_mmio,virtio_blk,virtio_net,virtio-rng,virtio_balloon,9p,9pnet_virtio,vmw_vsock_virtio_transport,nvme" \
		-d /tmp/disk -n mode=tap,tapif=tap0,host_ip=10.1.0.1 --9p /tmp/share,share --vsock 42 --rng --balloon \
		--console virtio,port=log,in=/tmp/go,out=/tmp/log --vfio-pci "$nvme"
	wait_for 60 test -e /tmp/share/idle
	[ "$transport" != pci ] || check "$transport: lkvm sleeps while the guest is idle" wait_for 60 nothing_wakes_up
	echo >&5
	wait_lkvm 60
	is "$status" 0 "$transport: a guest with every device runs to its end"
	out=/tmp/share/result
	touch "$out"
	for driver in $drivers; do
		is "$(guest_says "binds-$driver")" "$BINDS" "$transport: $driver was unbound and bound $BINDS times"
	done
	is "$(guest_says driver | sort | tr '\n' ' ')" "$(echo "$drivers" | tr ' ' '\n' | sort | tr '\n' ' ')" \
		"$transport: each device has its driver"
	is "$(guest_says binds-transport | tr '\n' ' ')" "2 2 2 2 2 2 2 " "$transport: its own driver came and went, too"
	is "$(guest_says disk)" "$disk_sum" "$transport: the disk holds what it did"
	is "$(dd if=/tmp/disk bs=64k skip=32 count=4 2>/dev/null | sha256sum | cut -d ' ' -f 1)" \
		"$(guest_says written)" "$transport: what the guest writes is in the file"
	disk_sum=$(sha256sum </tmp/disk | cut -d ' ' -f 1)
	is "$(guest_says random)" 2048 "$transport: random numbers come"
	is "$(guest_says ping)" 3 "$transport: the network works"
	check "$transport: the console's port works" grep -q "the port works" /tmp/log
	is "$(guest_says nvme-read)" "$NVME_SUM" "$transport: the disk passed through works"
	is "$(guest_says complaints)" "" "$transport: the guest's kernel has nothing to complain about"
done
# --- a guest that restarts with requests under way ---

guest_script <<'SCRIPT'
mkdir /mnt
mount -t 9p -o trans=virtio share /mnt
ip link set eth0 up
ip addr add 10.1.0.15/24 dev eth0
if mkdir /mnt/restarted; then
	umount /mnt
	(while :; do dd if=/dev/zero of=/dev/vda bs=256k oflag=direct; done) >/dev/null 2>&1 &
	dd if=/dev/hwrng of=/dev/null &
	ping -i 0.001 10.1.0.1 >/dev/null &
	sleep 0.5
	reboot -f
fi
say disk "$(head -c 1048576 /dev/urandom | dd of=/dev/vda bs=64k conv=fsync 2>&1 | grep -c 'records out')"
say random "$(dd if=/dev/hwrng bs=512 count=4 2>/dev/null | wc -c)"
say ping "$(ping -c 3 -i 0.1 -W 20 10.1.0.1 | sed -n 's/.* \([0-9]*\) packets received.*/\1/p')"
rmdir /mnt/restarted && say share works
umount /mnt
SCRIPT

for transport in pci mmio-legacy; do
	run_lkvm "restart-$transport" 60 run -k "$guest/Image" -i "$initrd" -c 2 -m 192M --virtio-transport "$transport" \
		-p "$quick mods=virtio_mmio,virtio_blk,virtio_net,virtio-rng,9p,9pnet_virtio" \
		-d /tmp/disk -n mode=tap,tapif=tap0,host_ip=10.1.0.1 --9p /tmp/share,share --rng --balloon --on-reset restart
	is "$status" 0 "$transport: a guest restarts with requests under way, and ends"
	is "$(guest_says disk) $(guest_says random) $(guest_says ping) $(guest_says share)" "1 2048 3 works" \
		"$transport: it finds its devices in order"
done
is "$(host_complaints)" "" "the host's kernel has nothing to complain about"
done_testing
