#!/bin/sh
# Runs a command among whose children are programs of another machine, which QEMU runs.
# Usage: emulate.sh MACHINE PAGESIZE COMMAND...
#
# Programs start programs in these tests, so the kernel must know what to do with one of another
# machine (binfmt_misc). It is told so in a user namespace only, which needs no privilege and is
# gone with the command; that wants Linux 6.7. Ends with status 77 where it cannot be done.
set -eu

machine=$1
pagesize=$2
shift 2
qemu=$(command -v "qemu-$machine-static") || {
	echo "qemu-$machine-static is not installed" >&2
	exit 77
}
case $machine in
# The oldest of its kind, that is, with load-exclusive and store-exclusive. Not QEMU's "max": its
# SVE stores take memory that mremap moved away from by MREMAP_DONTUNMAP for unmapped.
aarch64) number='\xb7' cpu=${QEMU_CPU:-cortex-a72} ;;
riscv64) number='\xf3' cpu=${QEMU_CPU:-rv64} ;;
*)
	echo "emulate.sh: $machine is no machine it knows" >&2
	exit 2
	;;
esac
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00'$number'\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'

# shellcheck disable=SC2016
unshare --user --map-root-user --mount sh -c '
	mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null &&
	printf %s "$1" 2>/dev/null >/proc/sys/fs/binfmt_misc/register' \
	- ":phkmalloc:M::$magic:$mask:$qemu:" 2>/dev/null || {
	echo "this kernel has no binfmt_misc for each namespace" >&2
	exit 77
}
QEMU_LD_PREFIX=${QEMU_LD_PREFIX:-/usr/$machine-linux-gnu} QEMU_CPU=$cpu QEMU_PAGESIZE=$pagesize
export QEMU_LD_PREFIX QEMU_CPU QEMU_PAGESIZE
# QEMU keeps a record of each page of what a program reserves. The library reserves up to a quarter,
# here 4 GiB; with 16 a program would take twice as long to start.
ulimit -v 20971520
# shellcheck disable=SC2016
exec unshare --user --map-root-user --mount sh -c '
	mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
	printf %s "$1" >/proc/sys/fs/binfmt_misc/register
	shift
	exec "$@"' - ":phkmalloc:M::$magic:$mask:$qemu:" "$@"
