#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What a guest's CPUs and memory can do on a host that has it all: SVE, pointer authentication, MTE,
# PMU, steal time, AArch32, huge pages; and how each is turned off or refused.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -C max,pauth-impdef=on,lpa2=off,sme=off \
	-M mte=on -m 4G -c 4 -d edu "$0"
. ./host-lib.sh

guest_script <<'E'
echo "guest: features $(sed -n 's/^Features.*: //p' /proc/cpuinfo | head -n 1)"
echo -1 >/proc/sys/abi/sve_default_vector_length 2>/dev/null
echo "guest: vl $(cat /proc/sys/abi/sve_default_vector_length 2>/dev/null)"
echo "guest: pmu $(ls /sys/bus/event_source/devices | grep -c armv8)"
echo "guest: steal $(dmesg | grep -c 'stolen time PV')"
E

# features NAME ARGUMENT...: boots, and says what the guest has: sve, paca, mte, vector length, PMU, steal time.
features() {
	features_name=$1
	shift
	run_linux "$features_name" 90 "script" -c 1 -m 256M -i "$initrd" "$@"
	features_has=
	for feature in sve paca mte; do
		if guest_says features | grep -qw "$feature"; then
			features_has="$features_has $feature"
		fi
	done
	echo "$status:$features_has vl $(guest_says vl) pmu $(guest_says pmu) steal $(guest_says steal)"
}

is "$(features default)" "0: sve paca mte vl 256 pmu 0 steal 1" "a guest gets what the host has, and no PMU"
is "$(features asked --pmu --sve-max-vl 128 --disable-mte --no-pvtime)" \
	"0: sve paca vl 16 pmu 1 steal 0" "a PMU, vectors of 128 bits, no MTE, no steal time"

edu=$(bdf edu)
bind "$edu"
is "$(features device --vfio-pci "$edu")" "0: sve paca vl 256 pmu 0 steal 1" \
	"with a device passed through there is no MTE"

echo 160 >/proc/sys/vm/nr_hugepages
mkdir -p /hugepages
mount -t hugetlbfs none /hugepages
is "$(features huge --hugetlbfs /hugepages)" "0: sve paca vl 256 pmu 0 steal 1" "memory in huge pages"
run_lkvm "too few huge pages" 20 run --hugetlbfs /hugepages -m 2G "$guest/Image"
is "$status" 1 "more memory than there are huge pages"
like "$(cat "$out")" 'Fatal: not enough huge pages for 2048 MiB in /hugepages: raise vm.nr_hugepages' \
	"says what to do"
run_lkvm "no hugetlbfs" 20 run --hugetlbfs /tmp "$guest/Image"
is "$status" 1 "a folder that is no hugetlbfs"
like "$(cat "$out")" 'Fatal: /tmp is no hugetlbfs: mount one' "says how to make one"

run_payload "aarch32" 20 aarch32 -c 1 --aarch32
is "$status" 0 "a 32-bit guest powers off"
like "$(cat "$out")" 'AArch32' "and has printed its line"

# One vCPU's thread on CPU 2, all others on CPU 1 and 3.
start_lkvm affinity run -c 3 -m 64M --vcpu-affinity 1,3 --vcpu-affinity 1=2 "$guest/hang.bin"
wait_for_output 10 '^hang'
allowed() {
	ls "/proc/$pid/task" | sort -n | while read -r task; do
		sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$pid/task/$task/status"
	done | tr '\n' ' '
}
wait_for 10 eval '[ "$(allowed)" = "0-3 1,3 2 1,3 " ]'
is "$(allowed)" "0-3 1,3 2 1,3 " "vCPUs run where --vcpu-affinity says"
is "$(awk '/^Size:/ { ram = $2 == 65536 } ram && /^VmFlags:.* hg/ { n++ } END { print n + 0 }' "/proc/$pid/smaps")" 1 \
	"RAM asks for transparent huge pages"
kill "$pid"
wait_lkvm 2
run_lkvm "affinity nowhere" 20 run -c 1 -m 64M --vcpu-affinity 63 "$guest/poweroff.bin"
is "$status" 1 "CPUs that there are not"
like "$(cat "$out")" 'Fatal: vCPU 0: --vcpu-affinity names no CPU' "are refused"

run_lkvm "many vCPUs" 60 run -c 100000 -m 64M "$guest/poweroff.bin"
is "$status" 0 "more vCPUs than KVM has are capped"
like "$(cat "$out")" "Warning: --cpus 100000: this host's KVM runs at most [0-9]+ vCPUs" "with a warning"

is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
