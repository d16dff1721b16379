#!/bin/sh
# On an exFAT disk of exfat-fuse, a file that is moved into a folder or out of it leaves the folder's time as it was.
#
# Versions: exfat-fuse 1.3.0 (Debian 12, 1.3.0+git20220115-2), exfatprogs 1.2.0. Needs root, and a loop device.
#
# Programs that go through large trees, such as media servers, look at the time of each folder first, and look into it
# only if that has changed. It changes when a file is made or deleted, and one would expect the same when one is moved,
# as POSIX has it and other file systems do. With exfat-fuse neither folder's time moves, nor does it when a file gets
# another name in its folder. So a film that is moved into the library's folder from another one on that disk is not
# seen, however often it is scanned, until something else is made there.
#
# By the way, a file has two inode numbers, one for each spelling of its name: `Heat.mkv` and `HEAT.MKV` are one file on
# such a disk, and `test -ef` and Python's `samefile` say that they are two.
#
# Seen, whether the time of a folder moves (exfat-fuse; the folder for temporary files):
#   a file is made in it        yes   yes
#   a file gets another name    no    yes
#   a file is moved out of it   no    yes
#   a file is moved into it     no    yes
#   a file is deleted from it   yes   yes
# and two spellings of a name: both found, two inode numbers.
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
disk=
end() {
    [ -z "$disk" ] || losetup --detach "$disk"
    rm -rf "$folder"
}
trap end EXIT
root=$folder/root
mkdir -p "$folder/archives/partial" "$folder/plain" "$root/disk" "$root/dev" "$root/proc" "$root/etc"
ln -s /proc/mounts "$root/etc/mtab"
: >"$folder/status"
apt-get -qq -o Debug::NoLocking=1 -o Dir::State::status="$folder/status" -o Dir::Cache::archives="$folder/archives" \
    -o APT::Sandbox::User=root --no-install-recommends --download-only --yes \
    install 'exfat-fuse=1.3.0+git20220115*' 'exfatprogs=1.2.0*' >"$folder/fetched"
for package in "$folder"/archives/*.deb; do dpkg -x "$package" "$root"; done
truncate --size 64M "$root/image"
disk=$(losetup --find --show "$root/image")

cat >"$folder/look.py" <<'PYTHON'
import os
import sys
from pathlib import Path

PAST = 1_000_000_000
EXPECTED = {
    "a file is made in it": (True, True),
    "a file gets another name": (False, True),
    "a file is moved out of it": (False, True),
    "a file is moved into it": (False, True),
    "a file is deleted from it": (True, True),
}


def moves(folder, change):
    """Whether a change gives a folder another time."""
    os.utime(folder, (PAST, PAST))
    assert folder.stat().st_mtime == PAST
    change()
    return folder.stat().st_mtime != PAST


def look(disk):
    movies, downloads = disk / "Movies", disk / "Downloads"
    movies.mkdir()
    downloads.mkdir()
    film, renamed, moved = movies / "Heat.mkv", movies / "Heat (1995).mkv", downloads / "Heat.mkv"
    yield moves(movies, film.touch)
    yield moves(movies, lambda: film.rename(renamed))
    yield moves(movies, lambda: renamed.rename(moved))
    yield moves(movies, lambda: moved.rename(film))
    yield moves(movies, film.unlink)


disk, plain = map(Path, sys.argv[1:])
found = dict(zip(EXPECTED, zip(look(disk), look(plain)), strict=True))
for change, (here, elsewhere) in found.items():
    print(f"{change:28}{'yes' if here else 'no':6}{'yes' if elsewhere else 'no'}")
film, other = disk / "Heat.mkv", disk / "HEAT.MKV"
film.write_bytes(b"film")
is_one = other.read_bytes() == b"film" and len(list(disk.glob("[Hh]*"))) == 1
is_same = film.samefile(other)
print("two spellings:", "one file," if is_one else "two files,", "one inode number" if is_same else "two inode numbers")
sys.exit(not (found == EXPECTED and is_one and not is_same))
PYTHON

# The mount and its process end with this one.
code=0
unshare --mount --propagation private --pid --fork --kill-child sh -c '
    mount -t proc proc /proc
    mount -t proc proc "$1/root/proc"
    mount --rbind /dev "$1/root/dev"
    chroot "$1/root" mkfs.exfat "$2" >"$1/made" 2>&1
    chroot "$1/root" mount.exfat-fuse "$2" /disk >"$1/mounted"
    code=0
    python3 "$1/look.py" "$1/root/disk" "$1/plain" || code=$?
    umount "$1/root/disk"
    exit $code
' sh "$folder" "$disk" || code=$?
exit $code
