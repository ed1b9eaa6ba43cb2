# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Test functions for scripts that run in the emulated host: `. ./host-lib.sh`.

# --- TAP: a test's result goes to standard output, the plan is printed by done_testing ---
tap_count=0
tap_failed=0
out=
tmp=$(mktemp -d)

ok() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $*"
}

# A failure shows the end of what the last lkvm printed.
not_ok() {
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $*"
	[ -z "$out" ] || tail -n "${not_ok_lines:-25}" "$out" | diag
}

diag() {
	if [ $# -gt 0 ]; then echo "$*"; else cat; fi | tr -d '\r' | sed 's/^/# /'
}

# check NAME COMMAND...: the command succeeds; what it prints is shown if it does not.
check() {
	tap_name=$1
	shift
	if "$@" >"$tmp/said" 2>&1; then
		ok "$tap_name"
	else
		not_ok "$tap_name"
		diag <"$tmp/said"
	fi
}

# is GOT WANTED NAME
is() {
	if [ "$1" = "$2" ]; then
		ok "$3"
	else
		not_ok "$3"
		diag "got: '$1', wanted: '$2'"
	fi
}

# like TEXT EXTENDED-REGEXP NAME
like() {
	if printf '%s\n' "$1" | grep -Eq -- "$2"; then
		ok "$3"
	else
		not_ok "$3"
		diag "got: '$1', wanted a match of: '$2'"
	fi
}

# Print the plan and leave; the exit status tells whether everything was ok. A .t that has tests of
# its own after this run says how many with -e TAP_MORE=N, and moves the plan to the end.
done_testing() {
	echo "1..$((tap_count + ${TAP_MORE:-0}))"
	[ "$tap_failed" = 0 ] && [ "$tap_count" -gt 0 ]
	exit
}

# --- PCI devices of the host ---
pci=/sys/bus/pci/devices

# find_pci VENDOR:DEVICE [N]: the BDF of the (Nth) device with that ID, as in find_pci 8086:10d3.
find_pci() {
	for dev in "$pci"/*; do
		if [ "$(cat "$dev/vendor"):$(cat "$dev/device")" = "0x${1%:*}:0x${1#*:}" ]; then
			echo "${dev##*/}"
		fi
	done | sed -n "${2:-1}p" | grep .
}

# bdf NAME [N]: the BDF of the (Nth) such device among those that QEMU emulates.
bdf() {
	case $1 in
	nvme) find_pci 1b36:0010 "${2:-1}" ;;
	e1000e) find_pci 8086:10d3 "${2:-1}" ;;
	e1000) find_pci 8086:100e "${2:-1}" ;;
	igb) find_pci 8086:10c9 "${2:-1}" ;;
	edu) find_pci 1234:11e8 "${2:-1}" ;;
	xhci) find_pci 1b36:000d "${2:-1}" ;;
	rtl8139) find_pci 10ec:8139 "${2:-1}" ;;
	virtio-net) find_pci 1af4:1041 "${2:-1}" ;;
	virtio-blk) find_pci 1af4:1042 "${2:-1}" ;;
	*) return 1 ;;
	esac
}

driver_of() {
	[ -e "$pci/$1/driver" ] && basename "$(readlink "$pci/$1/driver")"
}

# bind BDF [DRIVER]: have DRIVER (vfio-pci) drive the device.
bind() {
	[ "$(driver_of "$1")" != "${2:-vfio-pci}" ] || return 0
	[ ! -e "$pci/$1/driver" ] || echo "$1" >"$pci/$1/driver/unbind"
	echo "${2:-vfio-pci}" >"$pci/$1/driver_override"
	echo "$1" >/sys/bus/pci/drivers_probe
	[ "$(driver_of "$1")" = "${2:-vfio-pci}" ]
}

# unbind BDF: leave the device without a driver.
unbind() {
	[ ! -e "$pci/$1/driver" ] || echo "$1" >"$pci/$1/driver/unbind"
	echo >"$pci/$1/driver_override"
}

# rebind BDF: give the device back to the host's own driver for it.
rebind() {
	unbind "$1"
	echo "$1" >/sys/bus/pci/drivers_probe
}

# --- lkvm and its guests ---
# What should take a second may take so many where the machine is slow or busy: all waiting ends as soon
# as what it waits for has come. PATIENCE=1 is for who waits for a test that fails.
patience=${PATIENCE:-6}

guest=${GUEST:-/guest}
# What a Linux guest is told besides what it shall do. The initcalls that it leaves out, which no test has a use for, take a
# third of its boot: self-tests, tracing, certificates of modules.
quick='quiet panic=-1 cryptomgr.notests=1 initcall_blacklist=jent_mod_init,crypto_kdf108_init,init_kprobe_trace'
quick=$quick,bpf_tcp_ca_kfunc_init,bpf_dummy_struct_ops_init,load_system_certificate_list
guest_log=${BED_LOG:-/dev/bed-guest}

# run_lkvm NAME SECONDS ARGUMENT...: run lkvm to its end or (with patience) for so long. Then $status is its exit
# status (137 when it had to be killed), $out a file with all it and its guest printed, which is also
# kept in the run's log.
run_lkvm() {
	run_name=$1
	run_limit=$2
	shift 2
	out=$tmp/$(echo "$run_name" | tr -c 'a-zA-Z0-9.\n' _).out
	run_start=$(cut -d ' ' -f 1 /proc/uptime)
	timeout -s KILL $((run_limit * patience)) lkvm "$@" >"$out" 2>&1 </dev/null
	status=$?
	run_end=$(cut -d ' ' -f 1 /proc/uptime)
	{
		echo "=== $run_name: lkvm $* (status $status, $run_start to $run_end)"
		cat "$out"
	} >>"$guest_log"
}

# run_linux NAME SECONDS 'GUEST KERNEL ARGUMENTS' ARGUMENT...: run_lkvm with the Linux guest.
run_linux() {
	linux_name=$1
	linux_limit=$2
	linux_append=$3
	shift 3
	run_lkvm "$linux_name" "$linux_limit" run -k "$guest/Image" -i "$guest/initrd" \
		-p "console=ttyS0 $quick $linux_append" "$@"
}

# run_payload NAME SECONDS PAYLOAD ARGUMENT...: run_lkvm with a guest that has no operating system.
run_payload() {
	payload_name=$1
	payload_limit=$2
	payload=$guest/$3.bin
	shift 3
	run_lkvm "$payload_name" "$payload_limit" run -k "$payload" -c 1 -m 256M "$@"
}

# payload_passes NAME: the last payload made all its checks, found nothing wrong and powered off.
payload_passes() {
	payload_checks=$(tr -d '\r' <"$out" | sed -n 's/^done //p')
	payload_oks=$(tr -d '\r' <"$out" | grep -c '^ok ')
	if [ "$status" = 0 ] && [ "${payload_checks:-0}" -gt 0 ] &&
		[ "$payload_oks" = "$payload_checks" ] && ! grep -q '^not ok' "$out"; then
		ok "$1 ($payload_checks checks)"
	else
		not_ok "$1"
		diag "status $status, $payload_oks of ${payload_checks:-?} checks are ok:"
		grep '^not ok' "$out" | diag
	fi
}

# start_lkvm NAME ARGUMENT...: run lkvm in the background: $pid, $out.
start_lkvm() {
	run_name=$1
	shift
	out=$tmp/$(echo "$run_name" | tr -c 'a-zA-Z0-9.\n' _).out
	lkvm "$@" >"$out" 2>&1 <"${keys:-/dev/null}" &
	pid=$!
}

# start_held NAME ARGUMENT...: start_lkvm; where its Linux guest calls do_wait it waits for let_go.
start_held() {
	keys=$tmp/keys.fifo
	rm -f "$keys"
	mkfifo "$keys"
	start_lkvm "$@"
	exec 4>"$keys"
	keys=
}

let_go() {
	echo >&4
	exec 4>&-
}

# wait_for SECONDS COMMAND...: try the command until it succeeds, with patience.
wait_for() {
	wait_left=$(($1 * 10 * patience))
	shift
	until "$@"; do
		[ "$wait_left" -gt 0 ] || return 1
		wait_left=$((wait_left - 1))
		sleep 0.1
	done
}

# printed EXTENDED-REGEXP: the last started lkvm has printed a line with a match, to the line's end.
printed() {
	{ cat "$out" && echo .; } | sed '$d' | grep -Eq -- "$1"
}

# wait_for_output SECONDS EXTENDED-REGEXP: until it has.
wait_for_output() {
	wait_for "$1" printed "$2"
}

# load_doorbell_modules: VFIO as kernel/ builds it (put into /bed) in place of the host's own.
load_doorbell_modules() {
	rmmod vfio_pci vfio_pci_core vfio_iommu_type1 vfio || return
	[ ! -e /sys/module/vfio_virqfd ] || rmmod vfio_virqfd || return
	for module in vfio vfio_iommu_type1 vfio_virqfd vfio-pci-core vfio-pci; do
		[ ! -e "$module.ko" ] || insmod "./$module.ko" || return
	done
}

# wait_lkvm SECONDS: the started lkvm ends by itself: $status; 124 and killed if it does not.
wait_lkvm() {
	if wait_for "$1" sh -c "! kill -0 $pid 2>/dev/null || grep -q '^State:.Z' /proc/$pid/status"; then
		wait "$pid"
		status=$?
	else
		kill -9 "$pid"
		wait "$pid"
		status=124
	fi
	{
		echo "=== $run_name (status $status)"
		cat "$out"
	} >>"$guest_log"
}

# guest_says KEY: what the guest reported in its last lkvm run as "guest: KEY VALUE".
guest_says() {
	tr -d '\r' <"$out" | sed -n "s/^guest: $1 //p"
}

# guest_script: standard input is a shell script for the Linux guest to run once its modules are
# loaded; $initrd is then an initramfs that has it.
guest_script() {
	initrd=$(mktemp -p "$tmp" initrd.XXXXXX)
	mkdir -p "$tmp/script"
	cat >"$tmp/script/script"
	{
		cat "$guest/initrd"
		(cd "$tmp/script" && echo script | cpio -o -H newc 2>/dev/null)
	} >"$initrd"
}

# How many interrupts of a passed-through device the host itself has taken.
host_irqs() {
	awk -v bdf="$1" '/vfio-(msix?|intx)/ && index($0, bdf) {
		for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i
	} END { print n + 0 }' /proc/interrupts
}

# Errors and warnings the host's kernel has printed since boot, but for what a slow host prints (it is
# emulated), what it says about its own device tree, and that modules of kernel/ are not its own. Of a
# host that is not emulated, those since this script began that may be about guests.
host_complaints() {
	dmesg -r | if [ -z "${BED_MARK:-}" ]; then
		cat
	else
		awk -v mark="$BED_MARK" '{ said[n++] = $0 } index($0, mark) { n = 0 }
			END { for (i = 0; i < n; i++) print said[i] }' |
			grep -i -e kvm -e gic -e vfio -e iommu -e smmu -e oops -e bug
	fi | awk -F '[<>]' '$2 % 8 <= 4' |
		grep -v -e 'Memory resource size exceeds max' -e 'hrtimer: interrupt took' \
			-e 'Unable to detect cache hierarchy' -e 'clocksource' -e 'rcu: ' \
			-e 'rcu_preempt' -e 'sched: DL replenish lagged' -e 'perf: interrupt took too long' \
			-e 'loading out-of-tree module taints kernel'
}

# as_user COMMAND...: run it as a user without any privilege.
as_user() {
	[ -e /etc/passwd ] || {
		echo 'root:x:0:0::/:/bin/sh' >/etc/passwd
		echo 'user:x:1000:1000::/tmp:/bin/sh' >>/etc/passwd
		echo 'root:x:0:' >/etc/group
		echo 'user:x:1000:' >>/etc/group
	}
	su user -s /bin/sh -c "$*"
}
