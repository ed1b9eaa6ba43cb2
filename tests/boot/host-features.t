#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What the host's CPU has, the guest gets: SVE, pointer authentication, MTE, the PMU, steal time.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -M mte=on -C max,sme=off,lpa2=off \
	-d nvme "$0"
. ./host-lib.sh

nvme=$(bdf nvme)
bind "$nvme"
guest_script <<'SCRIPT'
say features "$(sed -n 's/^Features.*: //p' /proc/cpuinfo | head -n 1)"
say pmu "$(ls /sys/bus/event_source/devices | grep -c pmu)"
say sve "$(cat /proc/sys/abi/sve_default_vector_length)"
say pvtime "$(dmesg | grep -c 'stolen time')"
SCRIPT
linux() {
	run_name=$1
	shift
	run_lkvm "$run_name" 60 run -k "$guest/Image" -i "$initrd" -p "console=ttyS0 quiet" -c 1 -m 512M "$@"
}

linux "everything"
is "$status" 0 "a guest with all the host has"
for feature in sve paca pacg mte; do
	like " $(guest_says features) " " $feature " "the guest has $feature"
done
is "$(guest_says pmu)" 0 "it has no PMU unless asked for"
is "$(guest_says pvtime)" 1 "it knows of stolen time"

linux "less" --disable-mte --pmu --no-pvtime --sve-max-vl 256
is "$status" 0 "a guest with --disable-mte --pmu --no-pvtime --sve-max-vl 256"
check "no MTE" sh -c "! echo ' $(guest_says features) ' | grep -q ' mte '"
is "$(guest_says pmu)" 1 "a PMU"
is "$(guest_says pvtime)" 0 "no stolen time"
check "vectors of at most 256 bits ($(guest_says sve) bytes)" test "$(guest_says sve)" -le 32

linux "with a device" --vfio-pci "$nvme"
is "$status" 0 "a guest with a device"
check "has no MTE: devices cannot keep tags" sh -c "! echo ' $(guest_says features) ' | grep -q ' mte '"

run_payload "too many vCPUs" 60 poweroff --cpus 100000
is "$status" 0 "more vCPUs than KVM can: as many as it can"
like "$(cat "$out")" 'Warning: .*100000' "with a warning"

linux "affinity" -c 2 --vcpu-affinity 0=1 --vcpu-affinity 1=0
is "$status" 0 "vCPUs on CPUs of the host"
run_payload "no such CPU" 20 poweroff --vcpu-affinity 99
is "$status" 1 "a CPU that the host does not have is refused"
like "$(cat "$out")" 'Fatal: .*affinity' "by name"
done_testing
