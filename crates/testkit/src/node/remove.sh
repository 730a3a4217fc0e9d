#!/bin/sh
# Removes what nodes leave behind in the kernel once their processes are gone: bridge and cgroups.
# With an argument: waits until its input ends, then removes what the process of that id had made.
# Without: removes what processes had made that are gone.
remove() {
	ip link delete "dbcnode$1" 2>/dev/null
	# The last processes may still be dying.
	for _ in $(seq 100); do
		is_clean=yes
		for cgroup in /sys/fs/cgroup/*/"db-controller-node-$1"; do
			[ ! -e "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} + || is_clean=no
		done 2>/dev/null
		[ $is_clean = no ] || return 0
		sleep 0.1
	done
}

if [ $# -gt 0 ]; then
	cat >/dev/null
	remove "$1"
	exit
fi
for pid in $(ip -o link | grep -o 'dbcnode[0-9]*' | tr -dc '0-9\n' | sort -u); do
	[ -e "/proc/$pid" ] || remove "$pid"
done
