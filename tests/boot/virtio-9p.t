#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Folders shared over 9p: a tree is built, renamed, linked, truncated, mapped and run in the guest, and the
# host finds it so; a read-only share stays as it is; whatever the guest makes of a share stays in it. Over
# each of the transports.
if [ -z "${BED_HOST:-}" ]; then
	exec "$(dirname "$0")/../bed/run" -c 1 -f "$(dirname "$0")/../../build/tool/poke" "$0"
fi
. ./host-lib.sh

files=${NINE_P_FILES:-2000}
share=$tmp/share
mkdir -p "$share/sub" "$tmp/fixed"
echo "from the host" >"$share/hello"
echo "fixed" >"$tmp/fixed/file"
echo "the host's own" >"$tmp/secret"
ln -s "$tmp/secret" "$share/out"
ln -s ../../.. "$share/up"
mkfifo "$share/fifo"
mknod "$share/node" c 1 3
mv poke "$share/poke"
chmod 755 "$share/poke"

echo "files=$files secret=$tmp/secret" >"$share/vars"

guest_script <<'SCRIPT'
mkdir -p /mnt /fixed
mount -t 9p -o trans=virtio,cache=mmap share /mnt && say mounted share
mount -t 9p -o trans=virtio fixed /fixed && say mounted fixed
say hello "$(cat /mnt/hello)"
. /mnt/vars
cd /mnt || exit

mkdir -p a/b/c && echo one >a/b/c/one && mv a/b/c/one a/two && mv a/b d && ln -s ../a/two d/link &&
	say tree "$(cat d/link) $(find a d | sort | tr '\n' ' ')"
ln a/two hard && rm a/two && say hard "$(cat hard) $(stat -c %h hard)"
head -c 100000 /dev/zero | tr '\0' x >long && truncate -s 70001 long && echo tail >>long &&
	say long "$(stat -c %s long) $(sha256sum <long | cut -d ' ' -f 1)"
chmod 640 long && chown 12:34 long && touch -d '2001-02-03 04:05:06' long &&
	say attributes "$(stat -c '%a %u:%g %Y' long)"
dd if=/dev/urandom of=big bs=64k count=16 2>/dev/null && say big "$(sha256sum <big | cut -d ' ' -f 1)"
./poke mmap mapped && say mapped "$(sha256sum <mapped | cut -d ' ' -f 1)"
mkfifo pipe && (echo through >pipe &) && say pipe "$(cat pipe)"

say many "$(./poke files many "$files" 2>&1)"
say gone "$(ls -d many 2>/dev/null | wc -l)"
mkdir few && touch few/1 few/2 && mv few others && rm -r others && say gone "$(ls -d few others 2>/dev/null | wc -l)"
tries=0

say fixed "$(cat /fixed/file)"
for try in 'echo x >/fixed/file' ': >/fixed/new' 'rm /fixed/file' 'mv /fixed/file /fixed/f' \
	'mkdir /fixed/dir' 'chmod 777 /fixed/file' 'ln -s x /fixed/link'; do
	tries=$((tries + 1))
	(eval "$try") 2>/dev/null && say escaped "$try"
done
for try in 'cat out' 'cat "/mnt$secret"' 'cat "up$secret"' 'cat "../$secret"' 'cat "/mnt/..$secret"' \
	'echo x >out' 'mknod sda b 8 0'; do
	tries=$((tries + 1))
	(eval "$try") 2>/dev/null && say escaped "$try"
done
say tried "$tries"
SCRIPT

# sum FILE: of what the host finds; of nothing, nothing that a guest says.
sum() {
	[ -s "$share/$1" ] && sha256sum <"$share/$1" | cut -d ' ' -f 1 || echo "no $1"
}

run_linux tree 90 "mods=virtio_pci,9p,9pnet_virtio" -i "$initrd" -c 1 -m 256M --9p "$share" \
	--9p "$tmp/fixed,ro"
is "$status" 0 "a guest with two shares powers off"
is "$(guest_says mounted | wc -l)" 2 "it mounts both, by the folders' names"
is "$(guest_says hello)" "from the host" "it reads what the host wrote"
is "$(guest_says tree)" "one a a/two d d/c d/link " "folders, renames and a symbolic link"
is "$(cat "$share/hard") $(readlink "$share/d/link")" "one ../a/two" "the host finds them so"
is "$(guest_says hard)" "one 1" "a hard link outlives its file"
is "$(guest_says long)" "70006 $(sum long)" "a file is truncated, and appended to"
is "$(guest_says attributes)" "640 12:34 981173106" "mode, owner and time are set"
is "$(stat -c '%a %u:%g %Y' "$share/long")" "640 12:34 981173106" "and are on the host"
is "$(guest_says big)" "$(sum big)" "1 MiB arrives unchanged"
is "$(guest_says mapped)" "$(sum mapped)" "a program on the share runs; a file on it is mapped and written"
is "$(guest_says pipe)" "through" "a FIFO is the guest's own"
is "$(guest_says many)" "$files files, 0 left" "$files files are made, listed and removed"
is "$(guest_says gone | tr '\n' ' ')" "0 0 " "with their folder; so is a tree that was renamed"
is "$(guest_says fixed)" "fixed" "a read-only share is read"
is "$(ls "$tmp/fixed") $(cat "$tmp/fixed/file")" "file fixed" "and stays as it was"
is "$(guest_says tried)$(guest_says escaped)" 14 "nothing leads out of a share, or changes a read-only one"
is "$(cat "$tmp/secret")" "the host's own" "what is beside it stays as it was"

guest_script <<'SCRIPT'
mkdir /mnt
for i in 1 2 3 4 5; do
	mount -t 9p -o trans=virtio tag /mnt && rm -f /mnt/copy && cp /mnt/hello /mnt/copy &&
		say copy "$(cat /mnt/copy)"
	umount /mnt
done
SCRIPT
for transport in pci-legacy mmio mmio-legacy; do
	rm -f "$share/copy"
	run_linux "$transport" 60 "mods=virtio_pci,virtio_mmio,9p,9pnet_virtio" -i "$initrd" -c 1 \
		-m 256M --virtio-transport "$transport" --9p "$share,tag"
	is "$status:$(guest_says copy | grep -c "from the host"):$(cat "$share/copy")" "0:5:from the host" \
		"over $transport a share is mounted again and again"
done

run_lkvm nowhere 10 run -k "$guest/Image" --9p "$tmp/none"
is "$status" 2 "a folder that is not there is refused"
like "$(cat "$out")" "Fatal: cannot share the folder $tmp/none: No such file or directory" "by its name"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
