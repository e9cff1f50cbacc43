#!/bin/sh
# Installs the Debian packages in the given lists that are missing. Without root, or without apt,
# it names them and stops. Usage: scripts/setup.sh LIST...
set -eu

missing=
for list in "$@"; do
	[ -f "$list" ] || continue
	for package in $(sed 's/#.*//' "$list"); do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing="$missing $package"
	done
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "setup: these Debian packages are missing:$missing" >&2
	echo "setup: install them (apt-get install$missing) and try again" >&2
	exit 1
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get -qq install -y --no-install-recommends $missing >/dev/null 2>&1 || {
	apt-get -qq update
	# One at a time where all at once fail, so that one missing package costs its own tests only.
	# shellcheck disable=SC2086
	apt-get -qq install -y --no-install-recommends $missing >/dev/null 2>&1 ||
		for package in $missing; do
			apt-get -qq install -y --no-install-recommends "$package" >/dev/null 2>&1 ||
				echo "setup: $package cannot be installed" >&2
		done
}
