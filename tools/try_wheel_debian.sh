#!/usr/bin/env bash
# The tests, run with the wheel by the newest Pythons, those of Debian unstable; as root, in minutes.
#
#     apt-get install debootstrap
#     tools/try_wheel_debian.sh WHEEL [-- ARGUMENTS OF PYTEST]
#
# PYTHONS names the interpreters (python3.14 python3.15), ROOT a folder that is kept for the next run;
# otherwise all is gone at the end. The mirror is that of this system.
set -euo pipefail

wheel=${1:?the wheel}
shift
pythons=${PYTHONS:-python3.14 python3.15}
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=${ROOT:-}
if [ -z "$root" ]; then
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
fi

if [ ! -e "$root/etc/debian_version" ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -m 1 '/debian/$')
    packages=$(printf '%s-venv,' $pythons)ca-certificates
    debootstrap --variant=minbase --include="$packages" sid "$root" "$mirror"
fi

# What pip needs of this system to reach its index.
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
rm -rf "$root/srv/checkout" "$root/srv/wheel"
mkdir -p "$root/srv/checkout" "$root/srv/wheel"
cp "$wheel" "$root/srv/wheel/"
tar -C "$checkout" --exclude=.git --exclude='*.so' --exclude=./build --exclude=./dist -cf - . |
    tar -C "$root/srv/checkout" -xf -

# Mounts of a namespace of its own are gone when its processes are.
first=${pythons%% *}
unshare --mount --pid --fork --mount-proc="$root/proc" \
    env -u PIP_FIND_LINKS PIP_CERT=/etc/ssl/certs/ca-certificates.crt TMPDIR=/tmp \
    sh -c 'mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' "$root" \
    "$first" /srv/checkout/tools/try_wheel.py "/srv/wheel/$(basename "$wheel")" $pythons "$@"
