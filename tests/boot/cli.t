#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What lkvm says to a command line that it cannot follow: usage errors end with 2 and name the option,
# files and sizes that do not do end with 1 and name the file or the limit; one message for each.
[ -n "${BED_HOST:-}" ] || exec "$(dirname "$0")/../bed/run" "$0"
. ./host-lib.sh

kernel=$guest/poweroff.bin

# fails STATUS MESSAGE ARGUMENT...: lkvm run ends with the status and this message (a regular
# expression), which is the only one.
fails() {
	wanted=$1
	message=$2
	shift 2
	out=$tmp/out
	timeout -s KILL 60 lkvm run "$@" >"$out" 2>&1 </dev/null
	status=$?
	shown=$(echo "$*" | cut -c 1-60)
	if [ "$status" = "$wanted" ] && [ "$(wc -l <"$out")" = 1 ] &&
		grep -Eq -- "^  Fatal: $message" "$out"; then
		ok "$wanted: lkvm run $shown"
	else
		not_ok "$wanted: lkvm run $shown"
		diag "status $status, wanted $wanted and: $message"
	fi
}

# works NAME ARGUMENT...: the guest runs.
works() {
	name=$1
	shift
	run_lkvm "$name" 30 run "$@" -c 1
	payload_passes "$name"
}

# --- usage ---
fails 2 '.*kernel \(-k FILE\) or firmware'
fails 2 'no such option: --nonesuch' --nonesuch
fails 2 'no such option: -Z' -Z
fails 2 '--con[a-z]* needs a value' "$kernel" --console
fails 2 '--k is ambiguous: --k' --k=1
fails 2 '--pmu takes no value' --pmu=yes "$kernel"
fails 2 'two kernels: .*/poweroff.bin and .*/reset.bin' "$kernel" "$guest/reset.bin"
fails 2 '--kernel and --firmware' -k "$kernel" -f "$kernel"
fails 2 '--initrd needs --kernel' -f "$kernel" -i "$kernel"
fails 2 '--firmware-address needs --firmware' -k "$kernel" --firmware-address 0x80000000
fails 2 '--kernel needs a value' -k ''
fails 2 '--cpus' "$kernel" -c 0
fails 2 '--cpus' "$kernel" -c four
fails 2 '--cpus' "$kernel" -c 99999999999999999999
fails 2 '--mem' "$kernel" -m none
fails 2 '--mem' "$kernel" -m 0
fails 2 '--mem' "$kernel" -m -1
fails 2 '--mem' "$kernel" -m 1X
fails 2 '--mem' "$kernel" -m 1MM
fails 2 '--mem' "$kernel" -m 20000000T
fails 2 '--mem' "$kernel" -m 1G@
fails 2 '--mem' "$kernel" -m 1G@there
fails 2 '--console' "$kernel" --console teletype
fails 2 '--console' "$kernel" --console serial,speed=9600
fails 2 '--tty' "$kernel" --tty 4
fails 2 '--tty' "$kernel" --tty 00
fails 2 '--irqchip' "$kernel" --irqchip gicv9
fails 2 '--vcpu-affinity' "$kernel" --vcpu-affinity 1-
fails 2 '--vcpu-affinity' "$kernel" --vcpu-affinity x=1
fails 2 '--vcpu-affinity' "$kernel" --vcpu-affinity 3-1
fails 2 '--sve-max-vl' "$kernel" --sve-max-vl 100
fails 2 '--kaslr-seed' "$kernel" --kaslr-seed random
fails 2 '--on-reset' "$kernel" --on-reset never
fails 2 '--timeout' "$kernel" --timeout 0
fails 2 '--timeout' "$kernel" --timeout soon
fails 2 '--loglevel' "$kernel" --loglevel loud
fails 2 '--vfio-pci' "$kernel" --vfio-pci nonsense
fails 2 '--vfio-pci' "$kernel" --vfio-pci 00:02.8
fails 2 '--vfio-pci' "$kernel" --vfio-pci 00:02.0,guest=32
fails 2 '--vfio-pci' "$kernel" --vfio-pci 00:02.0,host=1
fails 2 '--params.* 2047 bytes' "$kernel" -p "$(head -c 65536 /dev/zero | tr '\0' x)"

for arguments in "" nonesuch "help nonesuch" "version 2"; do
	# shellcheck disable=SC2086 # words
	lkvm $arguments >"$tmp/stdout" 2>"$tmp/stderr"
	is "$?:$(cat "$tmp/stdout")" 2: "2: lkvm $arguments"
	check "says why" test -s "$tmp/stderr"
done
for arguments in --help -h help "help run" "run --help" "help vfio" version --version; do
	# shellcheck disable=SC2086
	lkvm $arguments >"$tmp/stdout" 2>"$tmp/stderr"
	is "$?:$(cat "$tmp/stderr")" 0: "0: lkvm $arguments"
	check "tells on standard output" test -s "$tmp/stdout"
done
check "lkvm --help has the line that scripts look for" sh -c \
	"lkvm --help | grep -qx 'The most commonly used lkvm commands are:'"

# --- kernels (bad input 24 of the design: none of these ever starts a guest) ---
fails 1 'Unable to open kernel /nonesuch: No such file or directory$' /nonesuch
fails 1 'kernel /tmp is a directory' -k /tmp
: >"$tmp/empty"
fails 1 "kernel $tmp/empty is empty" -k "$tmp/empty"
mkfifo "$tmp/fifo"
: >"$tmp/fifo" &
fails 1 "kernel $tmp/fifo is empty" -k "$tmp/fifo"
fails 1 'kernel /dev/null is empty' -k /dev/null
fails 1 'kernel /dev/zero is larger than' -k /dev/zero -m 64M
fails 1 'kernel .*busybox is an ELF file' -k /bin/busybox
printf '\375\067zXZ\0\0\0\0' >"$tmp/xz"
fails 1 "kernel $tmp/xz is compressed with xz" -k "$tmp/xz"
gzip -c "$kernel" >"$tmp/gz"
head -c 1000 "$tmp/gz" >"$tmp/short.gz"
fails 1 "kernel $tmp/short.gz is compressed, and truncated" -k "$tmp/short.gz"
{ head -c 500 "$tmp/gz" && tail -c +520 "$tmp/gz"; } >"$tmp/bad.gz"
fails 1 "kernel $tmp/bad.gz is compressed, and (corrupt|truncated)" -k "$tmp/bad.gz"
head -c 80000000 /dev/zero | gzip -1c >"$tmp/bomb.gz"
fails 1 "kernel $tmp/bomb.gz unpacks to more than" -k "$tmp/bomb.gz" -m 64M
fails 1 'kernel .*/Image is a 64-bit one' -k "$guest/Image" --aarch32

# word VALUE: eight bytes, little-endian.
word() {
	value=$1
	for _ in 1 2 3 4 5 6 7 8; do
		# shellcheck disable=SC2059 # the format is made here
		printf "\\$(printf %o $((value & 255)))"
		value=$((value >> 8))
	done
}

# image TEXT_OFFSET IMAGE_SIZE FLAGS: the header of an arm64 Image that says so, and 4 KiB of nothing.
image() {
	word 0
	word "$1"
	word "$2"
	word "$3"
	word 0
	word 0
	word 0
	printf 'ARM\144\0\0\0\0'
	head -c 4096 /dev/zero
}

image 0 0x7fffffffffffffff 0 >"$tmp/huge"
fails 1 "kernel $tmp/huge wants" -k "$tmp/huge"
image 0 -1 0 >"$tmp/wraps"
fails 1 "kernel $tmp/wraps wants" -k "$tmp/wraps"
image -4096 8192 0 >"$tmp/offset"
fails 1 "kernel $tmp/offset wants" -k "$tmp/offset"
image 0 8192 1 >"$tmp/be"
fails 1 "kernel $tmp/be is big-endian" -k "$tmp/be"
image 0 0xff00000 0 >"$tmp/large"
fails 1 'kernel, device tree and initrd need [0-9]+ MiB of guest memory: see -m' -k "$tmp/large" -m 256M

# --- the other files ---
fails 1 'Unable to open initrd /nonesuch: No such file' -k "$kernel" -i /nonesuch
fails 1 'initrd /tmp is a directory' -k "$kernel" -i /tmp
fails 1 "initrd $tmp/empty is empty" -k "$kernel" -i "$tmp/empty"
truncate -s 1G "$tmp/large-initrd"
fails 1 "initrd $tmp/large-initrd is larger than" -k "$kernel" -i "$tmp/large-initrd" -m 256M
truncate -s 254M "$tmp/large-initrd"
fails 1 'kernel, device tree and initrd need [0-9]+ MiB of guest memory: see -m' \
	-k "$kernel" -i "$tmp/large-initrd" -m 256M
fails 1 'Unable to open firmware /nonesuch: No such file' -f /nonesuch
fails 1 'firmware address 0x1000 is not in guest memory' -f "$kernel" --firmware-address 0x1000
fails 1 'firmware address 0xfffffffffffff000 is not in guest memory|.*do not fit into any memory' \
	-f "$kernel" --firmware-address 0xfffffffffffff000
fails 1 '.*flash file /nonesuch' -k "$kernel" --flash /nonesuch
truncate -s 17M "$tmp/large-flash"
fails 1 ".*flash file $tmp/large-flash" -k "$kernel" --flash "$tmp/large-flash"
fails 1 ".*flash file $tmp/empty" -k "$kernel" --flash "$tmp/empty"
fails 1 'cannot create /nonesuch/dtb' -k "$kernel" --dump-dtb /nonesuch/dtb
fails 1 'cannot open /nonesuch/out' -k "$kernel" --console serial,out=/nonesuch/out
fails 1 '--console: file descriptor 99 is not open' -k "$kernel" --console serial,in=fd:99

# --- sizes, and what this host cannot do: asked before any file ---
fails 1 '--mem: .*bits of physical address space' -k /nonesuch -m 256T
fails 1 '--mem: .*multiple of' -k /nonesuch -m 1000001B
fails 1 '--mem: RAM cannot start at 0x40000000' -k /nonesuch -m 256M@1G
fails 1 '--mem: RAM cannot start at 0x80001000' -k /nonesuch -m 256M@0x80001000
fails 1 '.*(kernel|need) .*see -m' -k "$kernel" -m 1M
fails 1 '.*irqchip gicv2[;,]? .*offers' -k /nonesuch --irqchip gicv2
fails 1 '/tmp is no.*hugetlbfs|.*hugetlbfs.*/tmp|.*/tmp.*hugetlbfs' -k "$kernel" --hugetlbfs /tmp
fails 1 '.*/nonesuch.*' -k "$kernel" --hugetlbfs /nonesuch
fails 1 '.*huge.*pages.*' -k "$kernel" -m 256M --hugetlbfs /dev/hugepages
fails 1 '--sve-max-vl: this host.*no SVE' -k /nonesuch --sve-max-vl 128
fails 1 '.*--vcpu-affinity.*CPU' -k "$kernel" --vcpu-affinity 500

is "$(ls -d /sys/kernel/debug/kvm/[0-9]* 2>/dev/null)" "" "no VM is left"
is "$(grep -c hugetlb /proc/mounts):$(awk '/^HugePages_Rsvd/ { print $2 }' /proc/meminfo)" 1:0 \
	"no huge page is left reserved"

# --- what does work ---
works "a kernel as the only word" "$kernel" -m 256M
works "options after it, abbreviated and joined" "$kernel" --loglev=error -m256
works "a flat binary compressed with gzip" -k "$tmp/gz" -m 256M
cat "$kernel" >"$tmp/fifo" &
works "a kernel out of a FIFO" -k "$tmp/fifo" -m 256M
exec 4<"$kernel"
works "a kernel that is a file descriptor" -k /proc/self/fd/4 -m 256M
exec 4<&-
works "firmware" -f "$kernel" -m 256M --firmware-address 0x80080000
works "firmware at the start of RAM" -f "$kernel" -m 256M
works "a name" -k "$kernel" -m 256M --name "a guest"
works "vCPUs kept to some CPUs" -k "$kernel" -m 256M --vcpu-affinity 0 --vcpu-affinity 0=1
works "little RAM" -k "$kernel" -m 16M
echo 130 >/proc/sys/vm/nr_hugepages
works "RAM in huge pages" -k "$kernel" -m 256M --hugetlbfs /dev/hugepages
echo 0 >/proc/sys/vm/nr_hugepages
is "$(awk '/^HugePages_Total/ { print $2 }' /proc/meminfo)" 0 "which are free again"
for irqchip in auto gicv3-its gicv3; do
	works "irqchip $irqchip" -k "$kernel" -m 256M --irqchip $irqchip
done
run_lkvm "many vCPUs" 60 run -k "$kernel" -m 256M -c 100000
payload_passes "as many vCPUs as KVM has"
like "$(cat "$out")" '^  Warning: --cpus 100000: this host.s KVM runs at most [0-9]+ vCPUs' \
	"and lkvm says that these are fewer"

# Units of memory: what the guest's FDT says.
for mem in 300:12c00000 300M:12c00000 262144k:10000000 1G:40000000 268435456b:10000000 \
	256M@4G:10000000; do
	run_lkvm "mem $mem" 20 run -k "$guest/fdt.bin" -c 1 -m ${mem%:*}
	like "$(cat "$out")" "^memory 0x(80000000|100000000) 0x${mem#*:}$" "-m ${mem%:*}"
done
run_lkvm "default RAM" 20 run -k "$guest/fdt.bin" -c 2
like "$(cat "$out")" '^memory 0x80000000 0x14000000$' "RAM without -m: 64 MiB times vCPUs and three"
# The longest command line there may be, whole: its length.
longest=$(head -c 2047 /dev/zero | tr '\0' x)
run_lkvm "longest" 20 run -k "$guest/fdt.bin" -c 1 -m 256M --nodefaults -p "$longest"
like "$(cat "$out")" '^bootargs 2047 ' "a command line of 2047 bytes"
run_lkvm "two" 20 run -k "$guest/fdt.bin" -c 1 -m 256M --nodefaults -p one -p two
like "$(cat "$out")" '^bootargs 7 ' "two -p are one command line"

lkvm run -k "$kernel" -c 1 -m 256M --kaslr-seed 0x123456789abcdef0 --dump-dtb "$tmp/dtb" >"$out" 2>&1
is "$?:$(od -A n -t x1 -N 4 "$tmp/dtb" | tr -d ' ')" 0:d00dfeed "--dump-dtb writes the FDT"
is "$(hexdump -v -e '1/1 "%02x"' "$tmp/dtb" | grep -c 123456789abcdef0)" 1 "with the seed asked for"
done_testing
