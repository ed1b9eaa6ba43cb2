#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Linux boots: with one vCPU and four, in little memory and in much, from a kernel that is a file, a
# pipe or compressed.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -N -m 6G "$0"
. ./host-lib.sh

run_linux "one vCPU" 60 "do=uname,cpus,memory,cmdline,pci" -c 1 -m 256M
is "$status" 0 "a guest with one vCPU powers off"
is "$(guest_says cpus)" 1 "it has one CPU"
like "$(guest_says memory)" '^(1[89]|2[0-5])[0-9]{4} KiB' "it has 256 MiB"
like "$(guest_says uname)" 'aarch64' "it is an arm64 Linux"
like "$(guest_says cmdline)" 'do=uname,cpus,memory,cmdline' "it got its command line"
is "$(guest_says pci)" "0000:00:00.0 0x1af4:0x1041 0x020000 virtio-pci" "it has the network card that guests have"

run_linux "four vCPUs" 90 "do=cpus,memory" -c 4 -m 3G
is "$status" 0 "a guest with four vCPUs powers off"
is "$(guest_says cpus)" 4 "it has four CPUs"
like "$(guest_says memory)" '^(29|30|31)[0-9]{5} KiB' "it has 3 GiB"

run_linux "RAM elsewhere" 60 "do=memory,pci" -c 1 -m 512M@4G --nodefaults
is "$status" 0 "RAM at 4 GiB"
is "$(guest_says pci)" "" "with --nodefaults there is no device"
like "$(guest_says memory)" '^4[0-9]{5} KiB' "all of it is there"

gzip -c "$guest/Image" >"$tmp/Image.gz"
run_lkvm "Image.gz" 60 run -c 1 -m 256M -k "$tmp/Image.gz" -i "$guest/initrd" \
	-p "console=ttyS0 $quick do=cpus"
is "$status:$(guest_says cpus)" 0:1 "a kernel compressed with gzip"

run_name=pipe
out=$tmp/pipe.out
# shellcheck disable=SC2002 # a pipe is the point
cat "$guest/Image" | timeout 360 lkvm run -c 1 -m 256M -k /proc/self/fd/0 -i "$guest/initrd" \
	-p "console=ttyS0 $quick do=cpus" --console serial,in=/dev/null >"$out" 2>&1
status=$?
is "$status:$(guest_says cpus)" 0:1 "a kernel out of a pipe"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
