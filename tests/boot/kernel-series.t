#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel series for each of its kernels, by what programs can say about it: nothing is booted.
top=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$top/build/log"
count=0
for version in 6.12 6.1; do
	make -s -C "$top/kernel" VERSION=$version check >"$top/build/log/kernel-series.log" 2>&1
	status=$?
	while IFS= read -r line; do
		case $line in
		'ok '* | 'not ok '*)
			count=$((count + 1))
			echo "${line%%ok *}ok $count - Linux $version: ${line#*ok * - }"
			;;
		1..*) ;;
		'#'*) echo "$line" ;;
		*) echo "# $line" ;;
		esac
	done <"$top/build/log/kernel-series.log"
	count=$((count + 1))
	if [ $status = 0 ]; then
		echo "ok $count - Linux $version: that was all"
	else
		echo "not ok $count - Linux $version: status $status"
	fi
done
echo "1..$count"
