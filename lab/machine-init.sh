#!/bin/sh
# First process of a lab machine, already in its own network, mount, pid, uts and ipc namespaces: makes its disk the
# root and becomes the supervisor of its parts.
#   machine-init.sh NAME FOLDER TREE CGROUPS
# FOLDER/files is laid over the tree, FOLDER/binds lists what else is mounted. CGROUPS is `none`, `v2`, or the mount
# options of version 1 hierarchies, separated by spaces.
set -eu
name=$1 folder=$2 tree=$3 cgroups=$4

# /proc still shows the outer process numbers, so this is how `lab down` will find this process: number and start time.
read -r identity </proc/self/stat
# shellcheck disable=SC2086 # split on purpose
set -- $identity
echo "$1 ${22}" >"$folder/init.partial"
mv "$folder/init.partial" "$folder/init"

root=$folder/root
mount -t overlay overlay -o "lowerdir=$tree,upperdir=$folder/upper,workdir=$folder/work" "$root"
cp -a "$folder/files/." "$root/"
cd "$root"
mkdir -p old proc sys dev run tmp parts
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=666
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp -o mode=1777
case $cgroups in
none) ;;
v2) mount -t cgroup2 cgroup2 sys/fs/cgroup ;;
*)
  mount -t tmpfs cgroup sys/fs/cgroup
  for option in $cgroups; do
    group=sys/fs/cgroup/${option#name=}
    mkdir -p "$group"
    case $option in name=*) option=none,$option ;; esac
    mount -t cgroup -o "$option" cgroup "$group"
    # Controllers mounted together are looked for under each one's own name, too.
    case $option in none,*) ;; *,*) for one in $(echo "$option" | tr , ' '); do ln -s "$option" "sys/fs/cgroup/$one"; done ;; esac
  done
  ;;
esac
while read -r kind from to; do
  case $kind in
  folder) mkdir -p "$to" && mount --bind "$from" "$to" ;;
  file) mkdir -p "${to%/*}" && touch "$to" && mount --bind "$from" "$to" ;;
  copy) mkdir -p "${to%/*}" && install -m 755 "$from" "$to" ;;
  esac
done <"$folder/binds"
mount --bind "$folder/parts" parts
echo "$name" >proc/sys/kernel/hostname
echo 1 >proc/sys/net/ipv4/ip_forward
ulimit -n 20000

pivot_root . old
cd /
# A lazy unmount: this shell itself still comes from the old root, until the next line.
umount -l /old
rmdir /old
# Pods may ask for mount propagation, which wants a shared root as systemd makes it. Nothing of it reaches the host.
mount --make-rshared /
exec /bin/sh /etc/podferry-lab/supervise.sh
