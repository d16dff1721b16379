#!/bin/sh
# Samba and mergerfs take an error in a folder's listing for its end: whoever asked is told that this is all.
#
# Versions: Samba 4.17.12 and mergerfs 2.33.5 of Debian 12; mfusepy 3.1.1 (PyPI) with libfuse 3.14.0. Needs root.
#
# `readdir` may fail at any time: a disk that is dying, a file system in user space whose source is away. All that was
# listed before is right then, and not all there is. `ls`, `find`, rsync and rclone say so. One would expect Samba to
# answer with an error, which SMB has for a listing that goes on, and mergerfs to pass on what its only branch said.
# Both answer with what came before, whole and without an error; if nothing came before, the folder is empty. A media
# server that scans by way of them removes what it does not see. Samba does tell of a folder that cannot be opened;
# mergerfs shows that one as empty, too.
#
# Seen, of 3,000 files in each folder of a file system of our own:
#   listing                 there     smbclient `ls`          through mergerfs
#   whole                   3000      3000, exit code 0       3000
#   fails half-way          an error  1500, exit code 0       1500
#   fails at its start      an error  0, exit code 0          0
#   cannot be opened        an error  0, exit code 1          0
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mfusepy==3.1.1

# The packages, and all that they need, beside the system's own.
root=$folder/root
mkdir -p "$folder/archives/partial" "$root/data" "$root/union" "$root/tmp" "$root/etc" "$root/var/log/samba" \
    "$root/var/lib/samba/private" "$root/var/cache/samba" "$root/run/samba" "$root/dev" "$root/proc"
: >"$folder/status"
apt-get -qq -o Debug::NoLocking=1 -o Dir::State::status="$folder/status" -o Dir::Cache::archives="$folder/archives" \
    -o APT::Sandbox::User=root --no-install-recommends --download-only --yes \
    install 'samba=2:4.17.12*' smbclient 'mergerfs=2.33.5*' 'libfuse3-3=3.14.0*' >"$folder/fetched"
for package in "$folder"/archives/*.deb; do dpkg -x "$package" "$root"; done
echo "root:x:0:0::/:/bin/sh" >"$root/etc/passwd"
echo "root:x:0:" >"$root/etc/group"
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
cat >"$root/etc/samba/smb.conf" <<CONFIGURATION
[global]
    interfaces = lo
    bind interfaces only = yes
    smb ports = $port
    disable netbios = yes
    server role = standalone server
    map to guest = bad user
    guest account = root
    load printers = no
[library]
    path = /data
    read only = yes
    guest ok = yes
CONFIGURATION

cat >"$folder/failing.py" <<'PYTHON'
import errno
import stat
import sys

import mfusepy

FILES = 3000
FOLDERS = ("whole", "fails half-way", "fails at its start", "cannot be opened")


class Failing(mfusepy.Operations):
    use_ns = True

    def getattr(self, path, fh=None):
        name = path.rpartition("/")[2]
        if path == "/" or name in FOLDERS:
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if name.startswith("film"):
            return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": 0}
        raise mfusepy.FuseOSError(errno.ENOENT)

    def opendir(self, path):
        if path == "/cannot be opened":
            raise mfusepy.FuseOSError(errno.EIO)
        return 0

    def readdir_with_offset(self, path, offset, fh):
        names = FOLDERS if path == "/" else [f"film {number:04}" for number in range(FILES)]
        stop = {"/fails half-way": FILES // 2, "/fails at its start": 0}.get(path, len(names))
        if offset == stop < len(names):
            raise mfusepy.FuseOSError(errno.EIO)
        for place in range(offset, stop):
            yield names[place], None, place + 1


mfusepy.FUSE(Failing(), sys.argv[1], foreground=True, nothreads=True, ro=True, allow_other=True)
PYTHON

cat >"$folder/look.py" <<'PYTHON'
import os
import subprocess
import sys
import time
from pathlib import Path

folder, port = Path(sys.argv[1]), sys.argv[2]
root = folder / "root"
EXPECTED = {
    "whole": ("3000", "3000, exit code 0", "3000"),
    "fails half-way": ("an error", "1500, exit code 0", "1500"),
    "fails at its start": ("an error", "0, exit code 0", "0"),
    "cannot be opened": ("an error", "0, exit code 1", "0"),
}


def inside(*command, **options):
    return subprocess.Popen(["chroot", root, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def listed(place):
    try:
        return str(len(os.listdir(place)))
    except OSError:
        return "an error"


def by_samba(*names):
    client = inside("smbclient", "//127.0.0.1/library", "-p", port, "-N", "-c", " ".join(names), text=True)
    said = client.communicate()[0]
    return f"{said.count('  film ')}, exit code {client.returncode}"


def until(condition):
    end = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


[library] = root.glob("**/libfuse3.so.3")
subprocess.Popen(
    [sys.executable, folder / "failing.py", root / "data"], env={**os.environ, "FUSE_LIBRARY_PATH": str(library)}
)
until((root / "data").is_mount)
inside("mergerfs", "/data", "/union")
until((root / "union").is_mount)
inside("smbd", "--foreground", "--no-process-group")
until(lambda: by_samba("pwd").endswith("code 0"))
changed = False
for name, expected in EXPECTED.items():
    found = (listed(root / "data" / name), by_samba("ls", f'"{name}\\*"'), listed(root / "union" / name))
    print(f"{name:24}{found[0]:10}{found[1]:24}{found[2]}")
    changed |= found != expected
sys.exit(changed)
PYTHON

# All mounts and processes end with this one.
code=0
unshare --mount --propagation private --pid --fork --kill-child sh -c '
    mount -t proc proc /proc
    mount -t proc proc "$2/root/proc"
    mount --rbind /dev "$2/root/dev"
    "$1" "$2/look.py" "$2" "$3"
' sh "$folder/venv/bin/python" "$folder" "$port" || code=$?
exit $code
