#!/bin/sh
# The first process of a node's own PID and mount namespace: containerd, and kubelet for ever.
# Arguments: the node's cgroup, then the command line of the kubelet. The folder is the node's.
set -eu
cgroup=$1
shift

# Whatever runs below goes with this cgroup's name; runc puts containers under that of process 1.
for hierarchy in /sys/fs/cgroup/*/; do
	[ -e "$hierarchy/cgroup.procs" ] && [ "$hierarchy" != /sys/fs/cgroup/unified/ ] || continue
	mkdir -p "$hierarchy$cgroup"
	if [ -e "$hierarchy/cpuset.cpus" ]; then
		cat "$hierarchy/cpuset.cpus" >"$hierarchy$cgroup/cpuset.cpus"
		cat "$hierarchy/cpuset.mems" >"$hierarchy$cgroup/cpuset.mems"
	fi
	echo $$ >"$hierarchy$cgroup/cgroup.procs"
done

# State of well-known paths stays in this namespace.
mount -t tmpfs run /run
mount -t tmpfs log /var/log
mount -t tmpfs lib /var/lib

# The kubelet would write these for the whole machine: it finds what it wants to write.
while read -r name value; do
	[ -e "/proc/sys/$name" ] || continue
	echo "$value" >"/run/${name##*/}"
	mount --bind "/run/${name##*/}" "/proc/sys/$name"
done <<END
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
END

containerd --config containerd.toml >>containerd.log 2>&1 &
until [ -S containerd.sock ]; do sleep 0.05; done

while :; do
	"$@" >>kubelet.log 2>&1 &
	echo $! >kubelet.pid
	wait $! || sleep 0.2
done
