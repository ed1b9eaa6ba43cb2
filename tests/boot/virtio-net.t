#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Network cards: tap, vhost-net, macvtap and user mode, on every transport. Each card is pinged through and moves files
# over TCP both ways, whose checksums are compared.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" -d e1000e "$0"
. ./host-lib.sh

modprobe tun
modprobe vhost_net
modprobe macvtap
modprobe e1000e

# The host serves a file to the guests, and the guests one to it.
size=1048576
mkdir /tmp/www
head -c "$size" /dev/urandom >/tmp/www/file
down=$(md5sum </tmp/www/file | cut -d ' ' -f 1)
httpd -p 80 -h /tmp/www

# The guest takes the cards named as INTERFACE:GATEWAY: gateway dhcp has it asked for. Then it waits for the host, which
# fetches the guest's file through each card, and does what `more` says.
network_guest() {
	cat >"$tmp/cards" <<SCRIPT
cards='$1'
more() {
	$2
	:
}
SCRIPT
	{
		cat "$tmp/cards"
		cat <<'SCRIPT'
received() { cat "/sys/class/net/$1/statistics/rx_bytes" "/sys/class/net/$1/statistics/rx_packets"; }
average() { echo $((($3 - $1) / ($4 - $2 + 1))); }
mkdir /tmp/www
head -c 1048576 /dev/urandom >/tmp/www/file
echo '#!/bin/sh
[ "$1" = bound ] && ip addr add "$ip/$mask" dev "$interface" && echo "$ip $router $dns" >/tmp/lease' >/tmp/dhcp
chmod +x /tmp/dhcp
for card in $cards; do
	interface=${card%%:*}
	gateway=${card#*:}
	wait_for 10 test -e "/sys/class/net/$interface" || say missing "$interface"
	ip link set "$interface" up
	if [ "$gateway" = dhcp ]; then
		udhcpc -i "$interface" -n -q -f -t 10 -T 6 -s /tmp/dhcp >/dev/null 2>&1 || say dhcp failed
		say dhcp "$(cat /tmp/lease)"
		address=$(ip -4 addr show dev "$interface" | sed -n 's/.*inet \([0-9.]*\).*/\1/p')
		gateway=${address%.*}.1
	else
		ip addr add "${gateway%.*}.15/24" dev "$interface"
	fi
	say "ping-$interface" "$(ping -c 3 -i 0.1 -W 20 "$gateway" | sed -n 's/.* \([0-9]*\) packets received.*/\1/p')"
	case $gateway in
	10.0.2.*) ;;
	*)
		last=$gateway
		before=$(received "$interface")
		say "down-$interface" "$(wget -q -O - "http://$gateway/file" | md5sum | cut -d ' ' -f 1)"
		say "large-$interface" "$(average $before $(received "$interface"))"
		;;
	esac
done
httpd -p 80 -h /tmp/www
say up "$(md5sum </tmp/www/file | cut -d ' ' -f 1)"
say ready
until wget -q -O /dev/null "http://$last/done" 2>/dev/null; do
	usleep 100000
done
more
say checksum-errors "$(awk '$1 == "Tcp:" { print $NF }' /proc/net/snmp | tail -n 1)"
do_irqs virtio
SCRIPT
	} >"$tmp/network"
	guest_script <"$tmp/network"
	rm -f /tmp/www/done
}

# start_guest NAME ARGUMENT...
start_guest() {
	started=$1
	shift
	start_lkvm "$started" run -k "$guest/Image" -i "$initrd" -m 256M \
		-p "console=ttyS0 $quick mods=virtio_mmio,virtio_net" "$@"
	check "$started: the guest has been through its cards" wait_for_output 200 'guest: ready'
	up=$(guest_says up)
}

# card_works INTERFACE WHAT [URL]: what the guest reported of it, and the way from the host to the guest.
card_works() {
	is "$(guest_says "ping-$1")" 3 "$started: pings go through $2"
	[ -z "${3:-}" ] || {
		is "$(guest_says "down-$1")" "$down" "$started: a file gets to the guest through $2"
		is "$(wget -q -O - "$3/file" | md5sum | cut -d ' ' -f 1)" "$up" \
			"$started: a file comes from the guest through $2"
	}
}

# Bytes and packets that an interface of the host's has from its guest; the average of what came meanwhile.
received() { cat "/sys/class/net/$1/statistics/rx_bytes" "/sys/class/net/$1/statistics/rx_packets"; }
average() { echo $((($3 - $1) / ($4 - $2 + 1))); }

# tap_works INTERFACE WHAT ADDRESS TAP: card_works, with packets larger than the wire's both ways.
tap_works() {
	before=$(received "$4")
	card_works "$1" "$2" "http://$3"
	# shellcheck disable=SC2046,SC2086 # two numbers each
	large=$(average $before $(received "$4"))
	check "$started: the guest sends large packets through $2 ($large bytes)" test "$large" -gt 1600
	large=$(guest_says "large-$1")
	check "$started: it receives large packets through $2 ($large bytes)" test "$large" -gt 1600
}

tap_cards='-n mode=tap,tapif=plain,host_ip=10.1.0.1 -n mode=tap,tapif=inhost,vhost=1,host_ip=10.1.1.1'

end_guest() {
	touch /tmp/www/done
	wait_lkvm 60
	is "$status" 0 "$started: the guest powers off"
	is "$(guest_says checksum-errors)" 0 "$started: no checksum was wrong"
}

# --- PCI, two CPUs: also several queues, and an interface that goes and comes back ---
network_guest 'eth0:10.1.0.1 eth1:10.1.1.1 eth2:10.1.2.1 eth3:10.1.3.1 eth4:dhcp' '
	for cpu in 1 2; do
		taskset $cpu ping -c 2 -i 0.1 -W 20 10.1.2.1 >/dev/null
		taskset $cpu ping -c 2 -i 0.1 -W 20 10.1.3.1 >/dev/null
	done
	say queues $(ls -d /sys/class/net/eth2/queues/rx-* /sys/class/net/eth3/queues/rx-* | wc -l)
	say gone
	wait_for 30 grep -q 0 /sys/class/net/eth0/carrier && wait_for 30 grep -q 0 /sys/class/net/eth1/carrier &&
		say link down
	wait_for 30 grep -q 1 /sys/class/net/eth0/carrier && say link up
	wait_for 30 ping -c 1 -W 1 10.1.0.1 >/dev/null && say back yes
	wait_for 30 grep -q 1 /sys/class/net/eth1/carrier && wait_for 30 ping -c 1 -W 1 10.1.1.1 >/dev/null &&
		say back vhost
'
# shellcheck disable=SC2086 # several words
start_guest pci -c 2 $tap_cards -n mode=tap,tapif=several,mq=2,host_ip=10.1.2.1 \
	-n mode=tap,tapif=severalinhost,mq=2,vhost=1,host_ip=10.1.3.1 \
	-n mode=user,hostfwd=tcp:127.0.0.1:8080-:80
tap_works eth0 "a tap" 10.1.0.15 plain
tap_works eth1 vhost-net 10.1.1.15 inhost
tap_works eth2 "a tap with two queues" 10.1.2.15 several
tap_works eth3 "vhost-net with two queues" 10.1.3.15 severalinhost
card_works eth4 "user mode" http://127.0.0.1:8080
like "$(guest_says dhcp)" '^192.168.37.15 192.168.37.1 192.168.37.3' "pci: user mode's DHCP has an address for the guest"
touch /tmp/www/done
check "pci: the guest waits for an interface to go" wait_for_output 20 'guest: gone'
# Hundredths of a second: of CPU time that lkvm's own thread has had, and since boot.
ticks() { awk '{ print $14 + $15 }' "/proc/$pid/task/$pid/stat"; }
now() { cut -d ' ' -f 1 /proc/uptime | tr -d .; }
ip link del plain
ip link del inhost
check "pci: the guest sees the link go" wait_for_output 30 'guest: link down'
began=$(now)
before=$(ticks)
sleep 1
spent=$(($(ticks) - before))
took=$(($(now) - began))
check "pci: lkvm does not spin meanwhile ($spent of $took hundredths)" test "$spent" -lt $((took / 2))
for interface in plain:10.1.0.1 inhost:10.1.1.1; do
	tunctl -t "${interface%:*}" >/dev/null
	ip addr add "${interface#*:}/24" dev "${interface%:*}"
	ip link set "${interface%:*}" up
done
end_guest
like "$(guest_says back)" yes "pci: the link heals when the interface is there again"
like "$(guest_says back)" vhost "pci: that of vhost-net as well"
is "$(guest_says queues)" 4 "pci: two cards have two receive queues each"
like "$(cat "$out")" 'network card plain: its interface plain is gone' "pci: lkvm tells of the interface"
tunctl -d plain >/dev/null
tunctl -d inhost >/dev/null

# --- MMIO ---
network_guest 'eth0:10.1.0.1 eth1:10.1.1.1 eth2:dhcp' ''
# shellcheck disable=SC2086
start_guest mmio -c 1 $tap_cards -n mode=user,hostfwd=tcp:127.0.0.1:8080-:80,guest_ip=10.9.8.7,host_ip=10.9.8.1 \
	--virtio-transport mmio
tap_works eth0 "a tap" 10.1.0.15 plain
tap_works eth1 vhost-net 10.1.1.15 inhost
card_works eth2 "user mode" http://127.0.0.1:8080
like "$(guest_says dhcp)" '^10.9.8.7 10.9.8.1 ' "mmio: user mode has the addresses asked for"
end_guest

# --- the legacy interface; scripts; macvtap, by name and by descriptor ---
echo '#!/bin/sh
ip addr add 10.1.0.1/24 dev "$1" && ip link set "$1" up && echo "up $1" >>/tmp/scripts' >/tmp/up
echo '#!/bin/sh
echo "down $1" >>/tmp/scripts' >/tmp/down
chmod +x /tmp/up /tmp/down
ip link set eth0 up
wait_for 10 grep -q 1 /sys/class/net/eth0/carrier
ip link add link eth0 name mv0 type macvtap
ip link add link eth0 name mv1 type macvtap
ip link set mv0 up
ip link set mv1 up
for interface in mv0 mv1; do
	wait_for 5 test -c "/dev/tap$(cat /sys/class/net/$interface/ifindex)"
done
macvtap() { echo "/dev/tap$(cat "/sys/class/net/$1/ifindex")"; }
address() { cat "/sys/class/net/$1/address"; }

network_guest 'eth0:10.1.0.1 eth1:10.0.2.2' ''
start_guest pci-legacy -c 1 --virtio-transport pci-legacy -n mode=tap,tapif=scripted,script=/tmp/up,downscript=/tmp/down \
	-n "tapif=$(macvtap mv0),guest_mac=$(address mv0)"
card_works eth0 "a tap that a script sets up" http://10.1.0.15
card_works eth1 macvtap
touch /tmp/www/done
end_guest
is "$(tr '\n' ' ' </tmp/scripts)" "up scripted down scripted " "pci-legacy: both scripts were run"

network_guest 'eth0:10.1.0.1 eth1:10.0.2.2 eth2:10.1.1.1' ''
# shellcheck disable=SC2086
start_guest mmio-legacy -c 1 --virtio-transport mmio-legacy -n mode=tap,tapif=plain,host_ip=10.1.0.1,trans=pci \
	-n "mode=tap,fd=7,guest_mac=$(address mv1)" -n mode=tap,tapif=inhost,vhost=1,host_ip=10.1.1.1 7<>"$(macvtap mv1)"
tap_works eth0 "a tap on the other bus" 10.1.0.15 plain
card_works eth1 "macvtap by its descriptor"
tap_works eth2 vhost-net 10.1.1.15 inhost
end_guest

# --- nothing asked for: user mode, whose library and sockets are there once the guest uses it ---
network_guest 'eth0:dhcp' ''
start_guest default -c 1
card_works eth0 "the card that nobody asked for"
is "$(guest_says down-eth0)" "$down" "default: a file gets to the guest through it"
like "$(guest_says dhcp)" '^192.168.33.15 192.168.33.1 192.168.33.3' "default: DHCP has an address for the guest"
is "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)" 2 "default: lkvm has no thread for it"
end_guest

# --- what cannot be had ---
network_refused() {
	run_lkvm "$1" 20 run -k "$guest/poweroff.bin" -m 128M -n "$2"
	is "$status" 1 "$1: no run"
	like "$(cat "$out")" "$3" "$1: lkvm says so"
	is "$(grep -c Fatal "$out")" 1 "$1: once"
}
mv /lib/aarch64-linux-gnu/libslirp.so.0 /tmp/
network_refused "no libslirp" mode=user 'needs libslirp .*apt install libslirp0'
mv /tmp/libslirp.so.0 /lib/aarch64-linux-gnu/
network_refused "no tap" mode=tap,fd=0 'fd=0 is no tap'
network_refused "no macvtap" mode=tap,tapif=/dev/null 'cannot use /dev/null'
network_refused "lo" mode=tap,tapif=lo 'lo is no tap interface'
tunctl -t single >/dev/null
network_refused "one queue" mode=tap,tapif=single,mq=2 'multi_queue'
network_refused "a port that is taken" mode=user,hostfwd=tcp::80-:80 'cannot forward the host.s TCP port 80'
network_refused "two networks" mode=user,guest_ip=10.0.0.1 'one network of 24 bits'
check "no interface is left" test ! -e /sys/class/net/plain
is "$(host_complaints)" "" "the host's kernel has nothing to complain about"
done_testing
