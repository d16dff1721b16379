#!/bin/sh
# .venv/dispatcharr: a virtual environment like the one that Dispatcharr runs in, for the tests of the plugin. Python 3.13,
# what Dispatcharr has installed and the plugin uses, and nothing of ours: no FUSE, no pydantic, no msgspec. And what the
# plugin brings along is downloaded.
#
# A Python 3.13 of this machine is taken where there is one. Else Debian 13's packages of it are unpacked into .venv/debian13,
# their C library with them, and the machine is left as it is.
set -eu
cd "$(dirname "$0")/.."

environment=.venv/dispatcharr
debian=$PWD/.venv/debian13
wanted=tests/support/dispatcharr_site/requirements.txt

usable() {
    "$1" -c 'import sys, venv, sqlite3, ssl; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null
}

find_python() {
    for candidate in python3.13 python3 "$HOME"/.pyenv/versions/3.13*/bin/python3.13 "$debian/usr/bin/python3.13"; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

# apt, as on a Debian 13 that has nothing installed; all that it writes is below .venv/debian13.
unpack_debian() {
    echo "setup: unpacking Python 3.13 from Debian 13 into .venv/debian13" >&2
    rm -rf "$debian"
    mkdir -p "$debian/apt/lists/partial" "$debian/apt/archives/partial"
    : >"$debian/apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" \
        >"$debian/apt/sources.list"
    cat >"$debian/apt/apt.conf" <<END
Dir::State "$debian/apt";
Dir::State::status "$debian/apt/status";
Dir::State::lists "$debian/apt/lists";
Dir::Cache "$debian/apt";
Dir::Cache::archives "$debian/apt/archives";
Dir::Etc::sourcelist "$debian/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
END
    APT_CONFIG="$debian/apt/apt.conf" apt-get update -qq
    APT_CONFIG="$debian/apt/apt.conf" apt-get install -qq -y --download-only python3.13 >/dev/null
    for package in "$debian"/apt/archives/*.deb; do
        dpkg-deb -x "$package" "$debian"
    done
    rm -r "$debian/apt"
    libraries=$(echo "$debian"/usr/lib/*-linux-gnu)
    patchelf --set-interpreter "$(echo "$libraries"/ld-linux-*.so.*)" --force-rpath --set-rpath "$libraries" \
        "$debian/usr/bin/python3.13"
    # Debian's packages do that when they are installed. The tests start hundreds of processes that write nothing there.
    "$debian/usr/bin/python3.13" -m compileall -q "$debian/usr/lib/python3.13"
}

state=$(cat "$wanted" scripts/plugin_requirements.txt | cksum)
[ "$(cat "$environment/.installed" 2>/dev/null)" = "$state" ] && usable "$environment/bin/python" && exit
python=$(find_python)
if [ -z "$python" ]; then
    unpack_debian
    python=$(find_python)
fi
[ -n "$python" ] || {
    echo "setup: there is no Python 3.13 here, and none could be unpacked from Debian 13" >&2
    exit 1
}
echo "setup: installing what Dispatcharr has into $environment"
rm -rf "$environment"
"$python" -m venv --without-pip "$environment"
.venv/bin/python -m pip --python "$environment/bin/python" install --quiet --disable-pip-version-check -r "$wanted"
.venv/bin/python scripts/build_plugin.py --download
echo "$state" >"$environment/.installed"
