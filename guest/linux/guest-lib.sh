# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What the Linux guest can do for a test: do_NAME is asked for as do=NAME or do=NAME:ARGUMENT on its
# kernel command line. A script of its own (/script) may call these too.

# say KEY VALUE: one result, for the test to find on the console.
say() {
	echo "guest: $*"
}

# wait_for SECONDS COMMAND...: try the command until it succeeds; six times as long as it should take,
# for a machine that is slow or busy.
wait_for() {
	wait_left=$(($1 * 10 * 6))
	shift
	until "$@"; do
		[ "$wait_left" -gt 0 ] || return 1
		wait_left=$((wait_left - 1))
		usleep 100000
	done
}

# Wait until the host's script says let_go.
do_wait() {
	say waits
	read -r _
}

do_uname() {
	say uname "$(uname -a)"
}

do_cpus() {
	say cpus "$(nproc)"
}

do_memory() {
	say memory "$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo) KiB"
}

do_cmdline() {
	say cmdline "$(cat /proc/cmdline)"
}

# Every PCI function: its address, IDs, class, driver.
do_pci() {
	for dev in /sys/bus/pci/devices/*; do
		[ -e "$dev" ] || continue
		driver=$(readlink "$dev/driver" || echo none)
		say pci "${dev##*/} $(cat "$dev/vendor"):$(cat "$dev/device") $(cat "$dev/class")" \
			"${driver##*/}"
	done
}

# The lines of /proc/interrupts that match (all device interrupts by MSI without an argument).
do_irqs() {
	grep -E "${1:-MSI}" /proc/interrupts | while read -r line; do
		say irq "$line"
	done
}

# The sum of all counts on the lines of /proc/interrupts that match.
do_irq_count() {
	say irq-count "$(awk -v pattern="${1:-MSI}" '$0 ~ pattern {
		for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i
	} END { print n + 0 }' /proc/interrupts)"
}

# nvme-read[:MIB]: the checksum of the disk's first so many MiB (4).
do_nvme_read() {
	wait_for 10 test -b /dev/nvme0n1 || return
	say nvme-read "$(dd if=/dev/nvme0n1 bs=1M count="${1:-4}" iflag=direct 2>/dev/null |
		sha256sum | cut -d ' ' -f 1)"
}

# nvme-write[:MIB]: fill the disk's second MiB and the ones after it (4) with random data, and tell
# their checksum.
do_nvme_write() {
	wait_for 10 test -b /dev/nvme0n1 || return
	dd if=/dev/urandom of=/tmp/data bs=1M count="${1:-4}" 2>/dev/null
	dd if=/tmp/data of=/dev/nvme0n1 bs=1M seek=1 conv=fsync 2>/dev/null || return
	say nvme-write "$(sha256sum </tmp/data | cut -d ' ' -f 1)"
}

# net[:INTERFACE]: bring the interface up with QEMU's user network address.
do_net() {
	interface=${1:-eth0}
	wait_for 10 test -e "/sys/class/net/$interface" || return
	ip link set "$interface" up
	wait_for 10 grep -q 1 "/sys/class/net/$interface/carrier" || return
	ip addr add 10.0.2.15/24 dev "$interface"
}

# ping[:COUNT]: ping the gateway of QEMU's user network.
do_ping() {
	[ -n "$(ip -4 addr show scope global)" ] || do_net || return
	say ping "$(ping -c "${1:-10}" -i 0.1 -W 20 10.0.2.2 | sed -n 's/.* \([0-9]*\) packets received.*/\1/p')"
}

do_dmesg() {
	dmesg
}
