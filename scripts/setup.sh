#!/bin/sh
# Everything that `make demo` and `make test` need on a fresh Debian or Ubuntu machine: system packages through
# apt where they are missing, a virtual environment, the project and its tools.
#
#   scripts/setup.sh          what running needs
#   scripts/setup.sh packages only the system packages of that: `make install` has an environment of its own
#   scripts/setup.sh dev      what testing needs as well
#   scripts/setup.sh test     the same, for root alone: tests mount, and make devices and network namespaces
#   scripts/setup.sh bench    what the benchmarks need as well
#   scripts/setup.sh kodi     what testing with a real Kodi and other players needs as well
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
packages="libfuse3-dev:fuse3/fuse_lowlevel.h fuse3:fusermount3 pkg-config:pkg-config gcc:cc"
case ${1:-} in
dev | test) packages="$packages postgresql:postgres rsync:rsync rclone:rclone openssl:openssl samba:smbd smbclient:smbclient iproute2:ip
    chromium:chromium chromium-driver:chromedriver groff-base:groff systemd:systemd-analyze
    curl:curl pgbouncer:pgbouncer exfat-fuse:mount.exfat-fuse exfatprogs:mkfs.exfat e2fsprogs:mkfs.ext4
    mount:losetup autofs:automount redis-server:redis-server patchelf:patchelf mergerfs:mergerfs
    plocate:plocate nfs-ganesha:ganesha.nfsd nfs-ganesha-vfs:libfsalvfs.so libnfs-utils:nfs-ls ffmpeg:ffmpeg" ;;
bench) packages="$packages postgresql:postgres bindfs:bindfs mergerfs:mergerfs rclone:rclone ffmpeg:ffmpeg" ;;
kodi) packages="$packages postgresql:postgres kodi:kodi xvfb:Xvfb ffmpeg:ffmpeg mediainfo:mediainfo rsync:rsync mpv:mpv
    vlc-bin:vlc vlc-plugin-base:liboldrc_plugin.so" ;;
esac

have() {
    case $1 in
    *.h) [ -n "$(find /usr/include /usr/local/include -path "*/$1" -print -quit 2>/dev/null)" ] ;;
    postgres) [ -n "$(find /usr/lib/postgresql -path '*/bin/postgres' -print -quit 2>/dev/null)" ] ;;
    smbd | pgbouncer) [ -x "/usr/sbin/$1" ] ;;
    *.so) [ -n "$(find /usr/lib -name "$1" -print -quit 2>/dev/null)" ] ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

missing=
for entry in $packages; do
    have "${entry#*:}" || missing="$missing ${entry%%:*}"
done
command -v "$python" >/dev/null || missing="$missing python3"
if command -v "$python" >/dev/null; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "setup: $python is older than 3.11. Name a newer one: make PYTHON=python3.12 ..." >&2
        exit 1
    }
    # pyfuse3 is compiled on this machine.
    header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
    [ -f "$header" ] || missing="$missing python3-dev"
    "$python" -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
else
    missing="$missing python3-dev python3-venv"
fi

if [ "${1:-}" = test ] && [ "$(id -u)" != 0 ]; then
    echo "setup: the tests need root (they mount, and make devices and network namespaces): run \`sudo make test\`." \
        "It installs Python packages into .venv and, with apt,${missing:- nothing};" \
        "that takes about 2 minutes, and the tests about 20." >&2
    exit 1
fi

if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || {
        echo "setup: these packages are missing, and there is no apt-get to install them:$missing" >&2
        exit 1
    }
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "setup: installing$missing"
    # shellcheck disable=SC2086  # a list of packages
    $sudo apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 || {
        $sudo apt-get update -qq
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
    }
fi

[ "${1:-}" != packages ] || exit 0

# What a virtual environment was made from is noted in it, so that setting up again costs nothing.
state="$("$python" -c 'import sys; print(sys.version)') $(cat pyproject.toml requirements-dev.lock | cksum)"
installed() {
    [ "$(cat ".venv/.installed$1" 2>/dev/null)" = "$state" ]
}
if [ $# -gt 0 ]; then
    # The versions that were tested. The file has those of every Python from 3.11 on, by markers.
    kind=-dev group="--group dev --constraint requirements-dev.lock"
else
    kind= group=
fi
if ! installed "$kind" && ! installed -dev; then
    echo "setup: installing into .venv"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
    # shellcheck disable=SC2086  # several words, or none
    .venv/bin/python -m pip install --quiet --editable . $group || {
        echo "setup: pip could not install: see above. Is the package registry (pypi.org) reachable from here?" >&2
        exit 1
    }
    echo "$state" >".venv/.installed$kind"
fi
case ${1:-} in
dev | test) scripts/dispatcharr_python.sh ;;
esac
