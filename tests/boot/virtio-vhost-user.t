#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Devices that other processes serve: virtiofsd's file system and qemu-storage-daemon's disk, over PCI and
# MMIO. Either is killed while the guest uses it: requests fail when it is gone for too long, or wait for it,
# and all is well again when it is back.
if [ -z "${BED_HOST:-}" ]; then
	exec "$(dirname "$0")/../bed/run" -f "$(dirname "$0")/../../build/bed/back-ends.tar" "$0"
fi
. ./host-lib.sh

mkdir "$tmp/back-ends"
tar -xf back-ends.tar -C "$tmp/back-ends"
back_end() {
	program=$1
	shift
	LD_LIBRARY_PATH=$tmp/back-ends/lib/aarch64-linux-gnu exec "$tmp/back-ends/bin/$program" "$@"
}
append="console=ttyS0 quiet panic=-1 cryptomgr.notests=1 mods=virtio_pci,virtio_mmio,virtio_blk,virtiofs"
mkdir "$tmp/share"
echo "from the host" >"$tmp/share/hello"
dd if=/dev/urandom of="$tmp/own" bs=64k count=16 2>/dev/null
truncate -s 16M "$tmp/disk"

sum() {
	head -c 1048576 "$1" | sha256sum | cut -d ' ' -f 1
}

start_fs() {
	back_end virtiofsd --socket-path="$tmp/fs.sock" -o "source=$tmp/share" -o sandbox=chroot -o cache=none \
		>"$tmp/fs.log" 2>&1 &
	fs=$!
	wait_for 10 grep -q 'Waiting for vhost-user socket connection' "$tmp/fs.log"
}

start_blk() {
	rm -f "$tmp/blk.pid"
	back_end qemu-storage-daemon --pidfile "$tmp/blk.pid" \
		--blockdev "driver=file,node-name=disk,filename=$tmp/disk" --export \
		"vhost-user-blk,id=disk,node-name=disk,addr.type=unix,addr.path=$tmp/blk.sock,writable=on" &
	blk=$!
	wait_for 10 test -s "$tmp/blk.pid"
}

# How often threads have gone to sleep.
sleeps() {
	cat "$@" | awk '$1 == "voluntary_ctxt_switches:" { n += $2 } END { print n }'
}

# --- PCI: it is gone for longer than the guest shall wait ---
guest_script <<'SCRIPT'
mkdir /mnt
mount -t virtiofs host /mnt && say mounted
say hello "$(cat /mnt/hello)"
dd if=/dev/urandom of=/mnt/new bs=64k count=16 2>/dev/null
mkdir /mnt/folder && mv /mnt/new /mnt/folder/renamed && ln -s folder/renamed /mnt/link
say written "$(sha256sum </mnt/folder/renamed | cut -d ' ' -f 1)"
dd if=/mnt/folder/renamed of=/dev/vdb bs=64k oflag=direct 2>/dev/null
say copied
read -r _
say changed "$(cat /mnt/hello)"
(while cat /mnt/folder/renamed; do :; done >/dev/null 2>&1) &
say reads
read -r _
wait $!
say dead "$(cat /mnt/hello 2>&1)"
say own "$(sha256sum </dev/vda | cut -d ' ' -f 1)"
read -r _
umount /mnt
mount -t virtiofs host /mnt && say again "$(sha256sum </mnt/link | cut -d ' ' -f 1)"
SCRIPT

start_fs
start_blk
start_held pci run -k "$guest/Image" -i "$initrd" -c 1 -m 256M -n none -d "$tmp/own" -p "$append" \
	--vhost-user "fs,socket=$tmp/fs.sock,tag=host,wait=1" --vhost-user "blk,socket=$tmp/blk.sock"
wait_for_output 60 'guest: copied'
is "$(guest_says hello)" "from the host" "over PCI the guest reads what the host wrote"
is "$(guest_says written)" "$(sum "$tmp/share/folder/renamed")" "the host finds what the guest wrote and renamed"
is "$(readlink "$tmp/share/link"):$(sum "$tmp/disk")" "folder/renamed:$(guest_says written)" \
	"a link on the file system, a copy on the disk"
echo "from the host again" >"$tmp/share/hello"
echo >&4
wait_for_output 30 'guest: reads'
is "$(guest_says changed)" "from the host again" "the guest sees what the host changes"

served=$(sleeps "/proc/$fs"/task/*/status)
slept=$(sleeps "/proc/$pid/status")
has_served() {
	[ "$(sleeps "/proc/$fs"/task/*/status)" -ge $((served + $1)) ]
}
check "the guest goes on reading" wait_for 20 has_served 200
check "while lkvm's main thread sleeps" [ "$(sleeps "/proc/$pid/status")" -lt $((slept + 10)) ]

kill -9 "$fs"
wait_for_output 30 'fails until it is back'
echo >&4
wait_for_output 30 'guest: own'
is "$(guest_says dead)" "cat: can't open '/mnt/hello': Transport endpoint is not connected" \
	"killed and not back in time: what the guest asks of it fails"
is "$(guest_says own)" "$(sum "$tmp/own")" "its other disk serves it as before"
start_fs
wait_for_output 30 'its back end is back'
let_go
wait_lkvm 30
is "$(guest_says again)" "$(guest_says written)" "back again, the file system is mounted once more"
is "$status" 0 "the guest powers off"

# --- MMIO: it is back in time, each time ---
guest_script <<'SCRIPT'
mkdir /mnt
mount -t virtiofs host /mnt && say hello "$(cat /mnt/hello)"
cat /mnt/link /mnt/link >/tmp/data
until [ -e /mnt/enough ]; do
	dd if=/tmp/data of=/dev/vda bs=64k oflag=direct 2>/dev/null || say failed
	say writes
done
say written "$(dd if=/dev/vda bs=64k count=32 iflag=direct 2>/dev/null | sha256sum)"
say wanted "$(sha256sum </tmp/data)"
SCRIPT

wait "$fs"
start_fs
start_lkvm mmio run -k "$guest/Image" -i "$initrd" -c 1 -m 256M -n none -p "$append" --virtio-transport mmio \
	--vhost-user "fs,socket=$tmp/fs.sock,tag=host" --vhost-user "blk,socket=$tmp/blk.sock,wait=600"
has_said() {
	[ "$(grep -c "$2" "$out")" -ge "$1" ]
}
wait_for_output 60 'guest: writes'
for time in 1 2 3; do
	kill -9 "$blk"
	wait_for 30 has_said $time 'its back end is gone'
	start_blk
	wait_for 60 has_said $time 'its back end is back'
	wait_for 30 has_said $(($(grep -c 'guest: writes' "$out") + 1)) 'guest: writes'
done
: >"$tmp/share/enough"
wait_lkvm 60
is "$(guest_says hello)" "from the host again" "over MMIO the guest mounts the file system"
is "$(has_said 3 'its back end is back' && echo 3)$(guest_says failed)" 3 \
	"the disk's back end is killed and back three times: the guest's writes wait"
is "$(guest_says written)" "$(guest_says wanted)" "and are all done"
is "$status" 0 "the guest powers off"

kill "$blk"
is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
