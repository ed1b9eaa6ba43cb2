#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What a user with an ARM64 host gets: tests/bed/run there uses that host itself. It is the emulated one,
# which knows nothing of being that; its programs are few.
top=$(cd "$(dirname "$0")/../.." && pwd)
[ -n "${BED_HOST:-}" ] || exec "$top/tests/bed/run" -f "$top/tests/bed/run" "$0"
. ./host-lib.sh

tree=$tmp/tree
mkdir -p "$tree/tests/bed" "$tree/build/bed" "$tmp/work"
cp run host-lib.sh "$tree/tests/bed/"
cp /bin/lkvm "$tree/build/lkvm"
ln -s /guest "$tree/build/guest"
ln -s /guest/Image "$tree/build/bed/Image"
ln -s /guest/initrd "$tree/build/bed/guest.cpio"
export TMPDIR="$tmp/work"
unset BED_HOST
rm /bin/lkvm

# here ARGUMENT...: what standard input says is run by tests/bed/run: $status, $out.
here() {
	out=$tmp/here.out
	status=0
	"$tree/tests/bed/run" -n here "$@" >"$out" 2>&1 || status=$?
}

here -N - <<'SCRIPT'
. ./host-lib.sh
run_payload poweroff 20 poweroff
payload_passes "a payload"
run_linux linux 60 "do=cpus,memory" -c 1 -m 256M
is "$status:$(guest_says cpus)" 0:1 "a Linux guest"
diag "$PWD $(command -v lkvm) $guest $(guest_says memory)"
echo "<3>kvm: an error" >/dev/kmsg
like "$(host_complaints)" '^<[0-9]+>.*kvm: an error$' "an error of the host's kernel"
done_testing
SCRIPT
is "$status" 0 "a script for any host runs on this one"
is "$(grep -E '^(ok|not ok|1\.\.)' "$out" | tr '\n' ' ')" \
	"ok 1 - a payload (5 checks) ok 2 - a Linux guest ok 3 - an error of the host's kernel 1..3 " \
	"with KVM, and its results come out"
like "$(cat "$out")" "^# ($tmp/work/bed.[^ /]*)/root/bed \1/root/bin/lkvm \1/root/guest [0-9]+ KiB$" \
	"in a folder of its own"
like "$(cat "$tree/build/log/here.log")" '=== linux: lkvm run ' "its guests' consoles are in its log"

BED=native here - <<'SCRIPT'
. ./host-lib.sh
is "$(host_complaints)" "" "what the host said before does not count"
not_ok "a test"
done_testing
SCRIPT
is "$status:$(grep -c '^ok' "$out"):$(grep -c '^not ok' "$out")" 1:1:1 "BED=native: a test that fails"

BED=native here -t 1 - <<'SCRIPT'
sleep 1000
SCRIPT
is "$status" 1 "a script that does not end is ended"
like "$(cat "$out")" '^not ok - here did not finish within 1 seconds' "and fails"

cat >"$tmp/endless" <<'SCRIPT'
. ./host-lib.sh
start_lkvm hang run -k "$guest/hang.bin" -c 1 -m 64M
wait_for_output 10 '^hang' && echo "lkvm runs"
sleep 1000
SCRIPT
out=$tmp/endless.out
BED=native "$tree/tests/bed/run" "$tmp/endless" >"$out" 2>&1 &
check "when tests/bed/run is ended" wait_for_output 20 '^lkvm runs'
kill $!
wait $!
is "$?" 143 "by a signal"
check "so is the guest that its script runs" wait_for 10 sh -c '! pidof lkvm'
is "$(ls "$tmp/work")" "" "and nothing is left"

BED=native here -d e1000e -g 2 - -- -device x <<'SCRIPT'
SCRIPT
is "$status:$(cat "$out")" "1:bed: here needs an emulated host: -d e1000e -g 2 -- -device x" \
	"what needs an emulated host does not run on this one"
mv /dev/kvm /dev/kvm-away
BED=native here - <<'SCRIPT'
SCRIPT
mv /dev/kvm-away /dev/kvm
is "$status:$(cat "$out")" "1:bed: no /dev/kvm that may be used here" "nor does anything without KVM"
done_testing
