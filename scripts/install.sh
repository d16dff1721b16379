#!/bin/sh
# Installs the program for this host, or takes it away again. Settings, state and libraries are never touched.
#
#   sudo scripts/install.sh              program, man page, completion for bash
#   sudo scripts/install.sh uninstall
#
# VENV (/opt/vod2strmfs) is where the program is, PREFIX (/usr/local) where it can be found.
set -eu
cd "$(dirname "$0")/.."

venv=${VENV:-/opt/vod2strmfs}
prefix=${PREFIX:-/usr/local}
program=$prefix/bin/vod2strmfs
man=$prefix/share/man/man1/vod2strmfs.1
completion=$prefix/share/bash-completion/completions/vod2strmfs

fail() {
    echo "install: $*" >&2
    exit 1
}

may_write() {
    place=$1
    while [ ! -e "$place" ]; do place=$(dirname "$place"); done
    [ -w "$place" ] || fail "$1 cannot be written. Run \`sudo make $2\`, or name places of yours: make $2 VENV=… PREFIX=…"
}

install() {
    may_write "$venv" install
    may_write "$prefix/bin" install
    [ ! -e "$program" ] || [ -L "$program" ] || fail "$program is there, and is no link of ours. Move it away first."
    scripts/setup.sh packages
    echo "install: into $venv; this takes about a minute, since a part is compiled"
    [ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade . ||
        fail "pip could not install it: see above. Without a network, or behind a proxy, set pip up for it first."
    mkdir -p "$prefix/bin" "$(dirname "$man")" "$(dirname "$completion")"
    ln -sfn "$venv/bin/vod2strmfs" "$program"
    cp docs/vod2strmfs.1 "$man"
    "$program" completion bash >"$completion"
    chmod 644 "$man" "$completion"
    echo "installed: $("$program" --version). Next: \`sudo vod2strmfs init\` writes a settings file; \`man vod2strmfs\`."
}

uninstall() {
    may_write "$venv" uninstall
    may_write "$prefix/bin" uninstall
    for unit in "${UNITS:-/etc/systemd/system}"/vod2strmfs*; do
        [ ! -e "$unit" ] || fail "$unit would start what is gone. First: sudo vod2strmfs install-service --remove" \
            "(with --name NAME for a library that has one)"
    done
    # findmnt of util-linux 2.38 ends with 0 also where it finds nothing.
    mounted=$(findmnt --noheadings --output TARGET --types fuse.vod2strmfs | head -n 1) || true
    if [ -n "$mounted" ] && [ "$prefix" = /usr/local ]; then
        fail "a library is mounted at $mounted. First: sudo vod2strmfs umount $mounted"
    fi
    [ "$(readlink "$program" || true)" != "$venv/bin/vod2strmfs" ] || rm -f "$program"
    rm -rf "$venv" "$man" "$completion"
    echo "uninstalled. What is left is yours: settings (/etc/vod2strmfs.toml, /etc/vod2strmfs/), the index with names" \
        "and reports (/var/lib/vod2strmfs), and what was materialized."
}

case ${1:-install} in
install | uninstall) "${1:-install}" ;;
*) fail "say install or uninstall" ;;
esac
