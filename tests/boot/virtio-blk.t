#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Disks: a guest on an ext4 root, killed after it was told that its data is on the disk; verified random I/O on four
# queues, with its driver unbound and bound in between; read-only disks; a full host; direct I/O on a host's disk of
# 4 KiB blocks; what cannot be a disk. All transports.
[ -n "${BED_HOST:-}" ] || {
	top=$(cd "$(dirname "$0")/../.." && pwd)
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/dev" "$work/root/data"
	cp "$top/build/sysroot/bin/busybox" "$work/root/bin/"
	cat >"$work/root/init" <<'INIT'
#!/bin/busybox sh
# What is acknowledged to the host was flushed before.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc none /proc
echo "guest: root $(awk '$2 == "/" { print $1, $3 }' /proc/mounts | tail -n 1)"
for file in /data/*; do
	[ ! -e "$file" ] || echo "guest: found ${file##*/} $(md5sum <"$file" | cut -d ' ' -f 1)"
done
read -r cmdline </proc/cmdline
case $cmdline in
*verify*)
	echo "guest: ro $(cat /sys/block/vdb/ro) $(dd if=/dev/zero of=/dev/vdb bs=4k count=1 conv=fsync 2>&1 |
		grep -c -e 'Operation not permitted' -e 'Permission denied' -e 'I/O error' -e 'Read-only')"
	echo "guest: serial $(cat /sys/block/vdb/serial)"
	echo "guest: vdb $(md5sum </dev/vdb | cut -d ' ' -f 1)"
	echo "guest: size $(cat /sys/block/vdb/size)"
	sync
	poweroff -f
	;;
esac
n=0
while [ "$n" -lt 100 ]; do
	n=$((n + 1))
	dd if=/dev/urandom of=/data/$n bs=32k count=4 conv=fsync 2>/dev/null
	sum=$(md5sum </data/$n | cut -d ' ' -f 1)
	sync
	echo "guest: acked $n $sum"
done
sleep 1000
INIT
	chmod 755 "$work/root/init"
	PATH=$PATH:/sbin:/usr/sbin mke2fs -q -F -t ext4 -E root_owner=0:0 -d "$work/root" "$work/root.img" 24M >/dev/null || exit 1
	truncate -s 16M "$work/disk4k"
	"$top/tests/bed/run" -f "$work/root.img" -f "$top/build/tool/blkio" "$0" -- \
		-drive "if=none,id=disk4k,file=$work/disk4k,format=raw" \
		-device nvme,serial=disk4k,drive=disk4k,addr=2.0,logical_block_size=4096,physical_block_size=4096
	exit
}
. ./host-lib.sh

drivers=mods=virtio_pci,virtio_mmio,virtio_blk,crc32c_generic,ext4
chmod 755 blkio

# blk_script: guest_script with blkio in the initramfs beside it.
blk_script() {
	guest_script
	echo blkio | cpio -o -H newc 2>/dev/null >>"$initrd"
}

# --- a root, lost and found ---
blk_script <<'SCRIPT'
wait_for 10 test -b /dev/vda
mkdir /new
mount -t ext4 /dev/vda /new || say mount failed
mount --move /sys /new/sys 2>/dev/null || { mkdir -p /new/sys; mount -t sysfs none /new/sys; }
mount -t devtmpfs none /new/dev
umount /proc /tmp
exec switch_root /new /init
SCRIPT
start_lkvm "root" run -k "$guest/Image" -i "$initrd" -p "$quick $drivers" -c 1 -m 256M -d root.img
wait_for_output 60 'guest: acked 6'
kill -9 "$pid"
wait_lkvm 10
is "$status" 137 "a guest on a disk of its own is killed while it writes"
like "$(guest_says root)" '/dev/vda ext4|/dev/root ext4' "its root is the disk"
guest_says acked | grep -E '^[0-9]+ [0-9a-f]{32}$' >"$tmp/acked"

head -c 1000100 /dev/urandom >"$tmp/extra"
extra=$(cat "$tmp/extra" /dev/zero | head -c 1000448 | md5sum | cut -d ' ' -f 1)
before=$(md5sum <"$tmp/extra")
run_lkvm "verify" 60 run -k "$guest/Image" -i "$initrd" -p "$quick $drivers verify" -c 1 -m 256M \
	-d root.img -d "$tmp/extra,ro,serial=extra-1" --virtio-transport pci-legacy
is "$status" 0 "it starts again from there"
guest_says found >"$tmp/found"
check "files were written before" test "$(grep -c . "$tmp/acked")" -ge 6
is "$(grep -c -x -F -f "$tmp/acked" "$tmp/found")" "$(grep -c . "$tmp/acked")" \
	"and has all that was said to be flushed ($(grep -c . "$tmp/acked") files)"
is "$(guest_says ro)" "1 1" "a read-only disk cannot be written"
is "$(guest_says serial)" "extra-1" "it has its serial number"
is "$(guest_says size) $(guest_says vdb)" "1954 $extra" "what a file lacks of a whole sector reads as zeros"
is "$(md5sum <"$tmp/extra")" "$before" "the file is as it was"

# --- random I/O ---
truncate -s 16M disk
blk_script <<'SCRIPT'
wait_for 10 test -b /dev/vda
say queues "$(ls /sys/block/vda/mq | wc -l)"
/blkio mixed /dev/vda 16 4 400
/blkio mixed /dev/vda 1 1 100
/blkio fill /dev/vda
driver=/sys/bus/virtio/drivers/virtio_blk
device=$(basename "$(readlink /sys/block/vda/device)")
n=0
while [ "$n" -lt 10 ]; do
	dd if=/dev/vda of=/dev/null bs=64k iflag=direct 2>/dev/null &
	usleep 20000
	echo "$device" >$driver/unbind || break
	wait
	echo "$device" >$driver/bind && wait_for 5 test -b /dev/vda || break
	n=$((n + 1))
done
say bound "$n"
/blkio check /dev/vda
SCRIPT
run_linux "random I/O" 90 "$drivers" -c 4 -m 256M -i "$initrd" -d disk,queues=4 --virtio-transport mmio
is "$status:$(guest_says queues)" 0:4 "a disk has four queues"
is "$(grep -c 'blkio: mixed is right' "$out")" 2 "random reads and writes on all of them are right"
is "$(guest_says bound)" 10 "its driver leaves and comes back during I/O"
is "$(grep -c 'blkio: check is right' "$out")" 1 "and finds what was written"

# --- the host is full for a while ---
mkdir "$tmp/small"
mount -t tmpfs -o size=4m none "$tmp/small"
truncate -s 16M "$tmp/small/disk"
blk_script <<'SCRIPT'
wait_for 10 test -b /dev/vda
dmesg -n 1
/blkio fill /dev/vda && say full never
say full now
wait_for 40 /blkio fill /dev/vda >/dev/null || say healed never
/blkio check /dev/vda
SCRIPT
start_lkvm "full" run -k "$guest/Image" -i "$initrd" -p "console=ttyS0 $quick $drivers" -c 1 -m 256M \
	-d "$tmp/small/disk" --virtio-transport mmio-legacy
wait_for_output 60 'guest: full'
like "$(cat "$out")" 'blkio: Input/output error' "the host's full file system is an I/O error of the disk"
like "$(cat "$out")" 'Warning: disk .*small/disk cannot be written: No space left on device' "lkvm says why"
mount -o remount,size=64m "$tmp/small"
wait_lkvm 60
is "$status:$(grep -c 'blkio: check is right' "$out"):$(guest_says full)" "0:1:now" \
	"which heals when there is room again"
is "$(grep -c 'No space' "$out")" 1 "and was reported once"
umount "$tmp/small"

# --- direct I/O on a block device of 4 KiB blocks ---
modprobe nvme
wait_for 10 test -b /dev/nvme0n1
blk_script <<'SCRIPT'
wait_for 10 test -b /dev/vda
say block "$(cat /sys/block/vda/queue/logical_block_size)"
/blkio mixed /dev/vda 32 1 400
/blkio fill /dev/vda
blkdiscard -o 4096 -l 8192 /dev/vda && say discard done
SCRIPT
run_linux "direct" 60 "$drivers" -c 1 -m 256M -i "$initrd" -d /dev/nvme0n1,direct
is "$status:$(guest_says block)" 0:4096 "direct: the guest is told of the blocks"
is "$(grep -c -e 'mixed is right' -e 'fill is right' "$out")" 2 "direct I/O is right"
is "$(guest_says discard)" "done" "and the disk takes discards"

# --- what cannot be a disk, or not twice ---
refused() {
	refused_name=$1
	refused_text=$2
	shift 2
	run_payload "$refused_name" 20 poweroff "$@"
	is "$status:$(wc -l <"$out")" 1:1 "$refused_name: refused, in one line"
	like "$(cat "$out")" "Fatal: .*$refused_text" "which says why"
}
mkdir folder
mkfifo fifo
: >empty
refused "no file" 'there is no disk nonesuch; .truncate' -d nonesuch
refused "a folder" 'folder is a folder; --9p' -d folder
refused "a FIFO" 'neither a file nor a block device' -d fifo
refused "an empty file" 'is empty' -d empty
refused "a file twice" 'disk is in use by another' -d disk -d disk,ro
mkswap /dev/nvme0n1 >/dev/null && swapon /dev/nvme0n1
refused "a disk that is swap" 'in use: mounted, swap' -d /dev/nvme0n1
swapoff /dev/nvme0n1
run_payload "a file for two readers" 20 poweroff -d disk,ro -d disk,ro
is "$status" 0 "a file may be read by two"
is "$(host_complaints)" "" "the host's kernel has nothing to complain about"
done_testing
