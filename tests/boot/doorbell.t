#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# With the modules of kernel/ the MSI doorbell's IOVA is lkvm's to choose: what the devices hold, read
# in the host, is that; the SMMU translates it; interrupts, data and pings flow; it outlives all that a
# guest and a host may do; conflicts are refused; and nothing stays mapped, however a run ends. A
# warning of the host's kernel is a panic.
if [ -z "${BED_HOST:-}" ]; then
	top=$(cd "$(dirname "$0")/../.." && pwd)
	built=$top/build/kernel/6.12
	make -s -C "$top/kernel" VERSION=6.12 modules selftest >&2 ||
		{ echo "Bail out! the modules do not build"; exit 1; }
	for file in vfio vfio_iommu_type1 vfio-pci-core vfio-pci vfio_doorbell_test; do
		set -- "$@" -f "$built/$file.ko"
	done
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	"$top/tests/bed/run" -a panic_on_warn=1 -a iomem=relaxed -d nvme -d e1000e -d edu -e TAP_MORE=2 \
		"$@" "$0" -- -trace smmuv3_translate_success -D "$work/trace" >"$work/tap"
	status=$?
	grep -v -e '^# doorbell ' -e '^1\.\.' "$work/tap"

	# QEMU's trace against what the script says that devices have written to.
	doorbell=translated=0x8090040
	sed -n "s/.* \(sid=[^ ]*\) \(iova=[^ ]*\) $doorbell .*/\1 \2/p" "$work/trace" | sort -u >"$work/seen"
	sed -n 's/^# doorbell //p' "$work/tap" | sort -u >"$work/chosen"
	comm -13 "$work/seen" "$work/chosen" >"$work/missing"
	[ -s "$work/chosen" ] && [ ! -s "$work/missing" ] || printf 'not '
	echo "ok - the SMMU has translated each of $(wc -l <"$work/chosen") choices to the ITS's doorbell"
	sed 's/^/# /' "$work/missing"
	comm -23 "$work/seen" "$work/chosen" >"$work/others"
	[ ! -s "$work/others" ] || printf 'not '
	echo "ok - and nothing else"
	sed 's/^/# /' "$work/others"
	grep '^1\.\.' "$work/tap"
	exit "$status"
fi
. ./host-lib.sh

nvme=$(bdf nvme)
nic=$(bdf e1000e)
edu=$(bdf edu)
is "$(cat /proc/sys/kernel/panic_on_warn)" 1 "the host panics at a warning"
check "the modules can be loaded in place of the host's" load_doorbell_modules
for dev in "$nvme" "$nic" "$edu"; do bind "$dev"; done

# msix_address BDF BAR OFFSET: the address in a vector of the device's own MSI-X table.
msix_address() {
	entry=$(($(sed -n "$(($2 + 1))s/ .*//p" "$pci/$1/resource") + $3))
	printf '0x%x\n' $(($(devmem $((entry + 4)) 32) << 32 | $(devmem "$entry" 32)))
}

# msi_address BDF: the address in its MSI capability, at 0x40 in edu's configuration space.
msi_address() {
	hexdump -s 68 -n 8 -e '1/4 "%u " 1/4 "%u\n"' "$pci/$1/config" | {
		read -r low high
		printf '0x%x\n' $((high << 32 | low))
	}
}

# told BDF ADDRESS: the device has written there, which QEMU's trace must show.
told() {
	slot=${1%.*}
	diag "$(printf 'doorbell sid=0x%x iova=%s' $((0x${slot##*:} << 3 | ${1##*.})) "$2")"
}

# report KEY BDF: what the report says of the device's first vector that was in force.
report() {
	awk -v bdf="\"$2\"," -v key="\"$1\":" '
		$1 == "\"device\":" { here = $2 == bdf }
		$1 == "\"interrupt\":" && $2 == "null," { here = 0 }
		here && $1 == key { gsub(/[",]/, "", $2); print $2; exit }' report.json
}

# What devices can reach and what that takes: pages pinned, pages of page tables, interrupts.
mapped() {
	echo 1 >/proc/sys/vm/stat_refresh
	awk '/^nr_foll_pin_acquired/ { n += $2 } /^nr_foll_pin_released/ { n -= $2 }
		/^nr_iommu_pages/ { tables = $2 } END { print n + 0, tables + 0 }' /proc/vmstat
	grep -c vfio /proc/interrupts
}
# As it was before any guest ran, and is once all that ends with a process has ended.
settled() {
	wait_for 5 eval '[ "$(mapped)" = "$before" ]'
	is "$(mapped)" "$before" "$1"
}
before=$(mapped)

like "$(lkvm vfio check "$nic")" 'MSI doorbell its IOVA can be chosen' "lkvm vfio check says so"
like "$(lkvm vfio check "$nic" --json)" '"msi_doorbell": "any"' "in JSON, too"

# --- a guest that keeps masking its vectors ---
# arm NAME ARGUMENT...: MSI and MSI-X, ready.
arm() {
	start_held "$@" -c 1 -m 256M --vfio-pci "$edu" --vfio-pci "$nic"
	wait_for_output 20 '^armed 2'
}

# holds IOVA NAME: both devices have the doorbell there.
holds() {
	address=$(printf '0x%x' $(($1 + 0x40)))
	is "$(msi_address "$edu") $(msix_address "$nic" 3 0)" "$address $address" "$2"
	told "$edu" "$address"
	told "$nic" "$address"
}

# cycle KEY N: another round, the Nth of all.
cycle() {
	printf '%s' "$1" >&4
	wait_for 60 eval "[ \$(grep -c '^cycled' '$out') -ge $2 ]"
}

quit() {
	printf q >&4
	exec 4>&-
	wait_lkvm 10
}

# The affinity of all interrupts of devices in the host changes all the time.
stir() {
	cpu=0
	while :; do
		sed -n 's/^ *\([0-9]*\):.*vfio-msi.*/\1/p' /proc/interrupts | while read -r irq; do
			echo "$cpu" >"/proc/irq/$irq/smp_affinity_list" && echo x >>"$tmp/stirred"
		done
		cpu=$((1 - cpu))
	done 2>/dev/null
}

set -- run -k "$guest/doorbell.bin"
arm auto "$@" --on-reset restart
iova=$(($(sed -n 's/^doorbell //p' "$out" | tr -d '\r') - 0x40))
holds $iova "auto: MSI and MSI-X hold the address that the guest has written"
stir &
stir=$!
check "a thousand cycles of mask and unmask in the guest" cycle c 1
kill $stir
check "while the host moves the interrupts ($(wc -l <"$tmp/stirred") times)" test -s "$tmp/stirred"
holds $iova "change nothing"
printf r >&4
wait_for 20 eval '[ $(grep -c "^armed 2" "$out") = 2 ]'
holds $iova "nor does a reset of the guest, and of the devices with it"
check "after which interrupts arrive" cycle s 2
quit
is "$status:$(grep -c '^not ok' "$out")" 0:0 "all of them"
settled "afterwards nothing is mapped"

for iova in 0x1000 0x10000000 0xfffff000 0x100000000 0xfffffffff000; do
	arm "at $iova" "$@" --msi-doorbell $iova
	cycle s 1
	holds $iova "a doorbell at $iova"
	quit
	payload_passes "works"
	settled "and leaves nothing mapped"
done

# --- ends ---
for signal in KILL:137 TERM:143; do
	arm "SIG${signal%:*}" "$@" --msi-doorbell 0x1300000000
	holds 0x1300000000 "vectors are live"
	kill -"${signal%:*}" "$pid"
	wait_lkvm 10
	exec 4>&-
	is "$status" "${signal#*:}" "when SIG${signal%:*} ends lkvm"
	settled "nothing stays mapped"
done

# --- Linux: the guest's own doorbell, and one that is given, side by side ---
guest_script <<'SCRIPT'
do_ping 5
do_nvme_read 16
for cpu in 0 1 0 1; do
	for irq in $(sed -n 's/^ *\([0-9]*\):.*MSI.*/\1/p' /proc/interrupts); do
		echo $cpu >/proc/irq/$irq/smp_affinity_list && moved=$((moved + 1))
	done 2>/dev/null
	ping -c 2 -i 0.1 -W 20 10.0.2.2
	dd if=/dev/nvme0n1 of=/dev/null bs=1M count=2 iflag=direct
done >/dev/null
say moved $moved
do_ping 3
do_wait
SCRIPT
start_held both run -k "$guest/Image" -i "$initrd" -c 2 -m 512M --loglevel info \
	--irq-report report.json -p "console=ttyS0 $quick mods=nvme,e1000e" \
	--vfio-pci "$nvme" --vfio-pci "$nic,doorbell=0x1200000000"
check "a guest with disk and network card comes up" wait_for_output 60 'guest: waits'
kill -USR1 "$pid"
wait_for 5 grep -q '^}' report.json
address=$(report address "$nvme")
page=$(printf '0x%x' $((address - 0x40)))
like "$(cat "$out")" "$nvme: its MSI doorbell is at IOVA $page, the guest's own" \
	"auto takes the guest's own doorbell, and says so"
is "$(msix_address "$nvme" 0 0x2000)" "$address" "the disk holds what the guest's driver wrote"
is "$(report doorbell_iova "$nvme")" "$address" "as the report says"
is "$(report doorbell_by "$nvme")" guest "with who chose it"
is "$(msix_address "$nic" 3 0)" 0x1200000040 "the network card holds the IOVA that was given"
is "$(report doorbell_by "$nic")" given "as the report says"
is "$(report doorbell_phys "$nic")" 0x8090040 "and the physical doorbell, the ITS's"
is "$(report delivery "$nic")" irqfd "this host delivers through the kernel"
like "$(grep -m 1 '"why_not_direct": "' report.json)" 'is no GICv4' "and the report says why"
is "$(report host_irq "$nic")" \
	"$(awk -v name="vfio-msix[0]($nic)" '$NF == name { print $1 + 0 }' /proc/interrupts)" \
	"it names the host's interrupt"
like "$(lkvm vfio irqs report.json)" "^$nic +msix +0 +$address .* 0x1200000040 +given .* irqfd" \
	"the table has it all in a line"
told "$nvme" "$address"
told "$nic" 0x1200000040
let_go
wait_lkvm 30
is "$status:$(guest_says ping | tr '\n' ' ')" "0:5 3 " "pings are answered"
is "$(guest_says nvme-read)" "$NVME_SUM" "the disk is read"
check "the guest has moved interrupts ($(guest_says moved))" test "$(guest_says moved)" -ge 4
is "$(report armed "$nvme"):$(report delivery "$nvme")" false:irqfd \
	"the report at the end tells what the guest has taken away by then"
settled "nothing stays mapped"

# --- Linux again: RAM where the doorbell of one that was killed has been, the doorbell where RAM was ---
run_linux "RAM" 60 "mods=e1000e do=ping:3" -c 1 -m 256M@0x1300000000 --msi-doorbell 0x80000000 \
	--vfio-pci "$nic"
is "$status:$(guest_says ping)" 0:3 "RAM and doorbell can change places"
settled "nothing stays mapped"
told "$nic" 0x80000040

# --- the host's driver in between ---
rebind "$nic"
modprobe e1000e
check "the host's driver takes the device back" wait_for 10 test -e /sys/class/net/eth0
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
wait_for 10 grep -q 1 /sys/class/net/eth0/carrier
check "and works with it" ping -c 3 -W 20 10.0.2.2
told "$nic" "$(msix_address "$nic" 3 0)"
ip link set eth0 down
bind "$nic"
before=$(mapped) # the host's driver has had page tables made
arm "kernel" "$@" --msi-doorbell kernel --irq-report report.json
holds 0x8000000 "a guest has it again, by the kernel's choice"
quit
payload_passes "which works"
settled "nothing stays mapped"
is "$(report doorbell_by "$nic"):$(report doorbell_iova "$nic")" kernel:0x8000040 "the report tells what it is"

# --- conflicts ---
while read -r iova why; do
	run_payload "refused $iova" 20 poweroff --msi-doorbell "$iova" --vfio-pci "$nic"
	is "$status:$(wc -l <"$out")" 1:1 "$iova is refused"
	like "$(cat "$out")" "^  Fatal: the MSI doorbell of $nic cannot be at IOVA $iova: .*$why" \
		"and the message names the conflict: $why"
done <<'CASES'
0x80000000 overlaps guest RAM, 0x80000000-0x8fffffff
0x8ffff000 overlaps guest RAM
0x8000000 0x8000000-0x80fffff, which the host reserves .msi.
0x10000800 the host's pages are of 0x1000 bytes
0x1000000000000 beyond what the IOMMU can map
0xfffffffffffff000 beyond what the IOMMU can map
CASES
# No device of QEMU's has MSIs of 32 address bits; the test module has one look as if.
insmod ./vfio_doorbell_test.ko
looks=/sys/module/vfio_doorbell_test/parameters/no_64bit_msi
echo "$edu 1" >$looks
run_payload "32 bits" 20 poweroff --msi-doorbell 0x100000000 --vfio-pci "$edu"
is "$status:$(wc -l <"$out")" 1:1 "for MSIs of 32 address bits 4 GiB is refused"
like "$(cat "$out")" "^  Fatal: the MSI doorbell of $edu cannot be at IOVA 0x100000000: .* 32 address bits" \
	"which is said"
arm "32 bits, below" "$@" --msi-doorbell 0xffffe000
holds 0xffffe000 "what is below is not"
quit
payload_passes "and works"
echo "$edu 0" >$looks

settled "nothing stays mapped"
is "$(host_complaints)" "" "the host has nothing to complain about"
done_testing
