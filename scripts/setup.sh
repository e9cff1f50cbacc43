#!/bin/sh
# Installs the Debian packages named in lists that are missing. Usage: setup.sh [--optional] LIST...
#
# When nothing is missing it is quiet and quick: make calls it each time. When something is missing
# and it may not install (it is not root) it names that and ends with status 1. With --optional
# it goes on when the archive cannot supply a package: the tests that need it skip themselves.
# "a|b" in a list is a or b, which one release of Debian has and another has not.
set -eu

optional=
if [ "${1-}" = --optional ]; then
	optional=yes
	shift
fi

wanted=
for list in "$@"; do
	if [ -f "$list" ]; then
		wanted="$wanted $(sed 's/#.*//' "$list")"
	fi
done
if ! command -v dpkg-query >/dev/null; then
	echo "setup: not a Debian system; what is needed is what Debian calls:$wanted" >&2
	exit 0
fi

# The packages among its arguments that are not installed.
missing_of() {
	# Not "dpkg-query || ...": it fails when one of many is unknown, and tells of the others.
	# shellcheck disable=SC2046
	have=" $(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $(echo "$@" | tr '|' ' ') \
		2>/dev/null | sed -n 's/ installed$//p' | tr '\n' ' ')"
	for package in "$@"; do
		lacking=yes
		for choice in $(echo "$package" | tr '|' ' '); do
			case "$have" in
			*" $choice "*) lacking= ;;
			esac
		done
		[ -z "$lacking" ] || printf ' %s' "$package"
	done
}

# Its arguments, and where there is a choice the one that the archive has.
choose() {
	for package in "$@"; do
		for choice in $(echo "$package" | tr '|' ' '); do
			# Of a name that only others mention it says nothing, and that all is well.
			[ -z "$(apt-cache show "$choice" 2>/dev/null)" ] || break
		done
		printf ' %s' "$choice"
	done
}

[ -n "$wanted" ] || exit 0
# shellcheck disable=SC2086
missing=$(missing_of $wanted)
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "setup: these Debian packages are missing:$missing" >&2
	# shellcheck disable=SC2086
	echo "setup: as root:  apt-get install --no-install-recommends$(choose $missing)" >&2
	[ -z "$optional" ] ||
		echo "setup: or go on without them by SETUP=no; tests that need them say so" >&2
	exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# RUNLEVEL=1: a package's server is not started. Locks are waited for, nothing is asked.
apt() {
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -o DPkg::Lock::Timeout=300 "$@" \
		</dev/null >"$log" 2>&1
}
install() {
	# shellcheck disable=SC2046
	apt install -y --no-install-recommends $(choose "$@")
}

echo "setup: installing$missing"
# The lists of packages may be there and recent enough; if not, they are fetched, and then one
# package that cannot be had costs what needs it and nothing else.
# shellcheck disable=SC2086
if ! install $missing; then
	apt update || sed -n "s/^[EW]:/setup:/p" "$log" >&2
	if ! install $missing; then
		for package in $missing; do
			install "$package" || sed -n "s/^E:/setup: $package:/p" "$log" >&2
		done
	fi
fi
# shellcheck disable=SC2086
missing=$(missing_of $missing)
[ -n "$missing" ] || exit 0
echo "setup: could not be installed:$missing" >&2
[ -n "$optional" ]
