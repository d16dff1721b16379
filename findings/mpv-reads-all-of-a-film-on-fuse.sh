#!/bin/sh
# mpv takes a file on any FUSE file system for one on a network, and reads on as fast as it can, also while it pauses.
#
# Versions: mpv 0.35.1 of Debian 12; mfusepy 3.1.1 (PyPI) with libfuse 3.14.0. Needs root.
#
# Of a local file mpv reads a second ahead, and of a network's up to 150 MiB. Which of the two it is, is not told by the
# address, or by how fast bytes come: among the types of file system that it takes for slow, beside NFS and SMB, is that
# of FUSE, whatever is behind it, so also NTFS on a disk of one's own. Who makes bytes only when they are read, by a
# decoder or from a provider who counts, has them asked for from wherever somebody jumps to, and of a film that was
# opened and never played. With `--cache=no` the same file is read as it is played.
#
# Seen, of 20 MB (ten minutes of sound), opened and paused at once, when mpv has come to rest:
#   on a disk                   2 seconds or less ahead
#   on FUSE                     all of it, 20 MB read
#   on FUSE, --cache=no         2 seconds or less ahead, less than 1 MB read
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mfusepy==3.1.1

# The packages, and all that they need, beside the system's own.
root=$folder/root
mkdir -p "$folder/archives/partial" "$root/data" "$root/tmp" "$root/dev" "$root/proc"
: >"$folder/status"
apt-get -qq -o Debug::NoLocking=1 -o Dir::State::status="$folder/status" -o Dir::Cache::archives="$folder/archives" \
    -o APT::Sandbox::User=root --no-install-recommends --download-only --yes \
    install 'mpv=0.35.1*' 'libfuse3-3=3.14.0*' >"$folder/fetched"
for package in "$folder"/archives/*.deb; do dpkg -x "$package" "$root"; done
mkdir "$root/films"

cat >"$folder/one_film.py" <<'PYTHON'
import errno
import os
import stat
import sys

import mfusepy

SIZE = os.stat(sys.argv[1]).st_size
film = open(sys.argv[1], "rb")
ends = open(sys.argv[3], "w", buffering=1)


class OneFilm(mfusepy.Operations):
    use_ns = True

    def getattr(self, path, fh=None):
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path == "/film.wav":
            return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": SIZE}
        raise mfusepy.FuseOSError(errno.ENOENT)

    def readdir(self, path, fh):
        return ["film.wav"]

    def read(self, path, size, offset, fh):
        content = os.pread(film.fileno(), size, offset)
        print(len(content), file=ends)
        return content


mfusepy.FUSE(OneFilm(), sys.argv[2], foreground=True, nothreads=True, ro=True, allow_other=True)
PYTHON

cat >"$folder/play.py" <<'PYTHON'
import json
import os
import socket
import subprocess
import sys
import time
import wave
from pathlib import Path

folder = Path(sys.argv[1])
root = folder / "root"
SECONDS = 625


def until(condition):
    end = time.monotonic() + 240
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def mount():
    """The film on a FUSE file system that nobody has read from; what it was asked for."""
    place, asked = root / "data", folder / "asked"
    [library] = root.glob("**/libfuse3.so.3")
    command = [sys.executable, folder / "one_film.py", root / "films/film.wav", place, asked]
    server = subprocess.Popen(command, env={**os.environ, "FUSE_LIBRARY_PATH": str(library)})
    until(place.is_mount)
    return server, asked


def connection(place):
    """A connection to a socket at which somebody listens; None if nobody does."""
    channel = socket.socket(socket.AF_UNIX)
    try:
        channel.connect(os.fspath(place))
    except OSError:
        channel.close()
        return None
    return channel


def ahead(film, *options):
    """How many seconds mpv has read of a film that it has opened and paused, when it reads no more."""
    place = root / "tmp/mpv"
    place.unlink(missing_ok=True)
    libraries = {f"/{each.parent.relative_to(root)}" for each in root.glob("**/lib*.so*")}
    player = subprocess.Popen(
        ["chroot", root, "mpv", "--no-config", "--no-video", "--ao=null", "--pause", "--input-ipc-server=/tmp/mpv",
         "--really-quiet", *options, film],
        env={"PATH": os.environ["PATH"], "HOME": "/tmp", "LD_LIBRARY_PATH": ":".join(sorted(libraries))},
    )  # fmt: skip
    with until(lambda: connection(place)) as channel:
        answers = channel.makefile("r")

        def value(name):
            channel.sendall(json.dumps({"command": ["get_property", name], "request_id": 7}).encode() + b"\n")
            while (answer := json.loads(answers.readline())).get("request_id") != 7:
                pass
            return answer.get("data")

        until(lambda: value("demuxer-cache-idle"))
        seconds = value("demuxer-cache-duration")
    player.terminate()
    player.wait()
    return seconds


with wave.open(str(root / "films/film.wav"), "wb") as film:
    film.setnchannels(1)
    film.setsampwidth(2)
    film.setframerate(16000)
    film.writeframes(bytes(2 * 16000 * SECONDS))

changed = False
for name, film, options, is_all in (
    ("on a disk", "/films/film.wav", (), False),
    ("on FUSE", "/data/film.wav", (), True),
    ("on FUSE, --cache=no", "/data/film.wav", ("--cache=no",), False),
):
    read = None
    if film.startswith("/data"):
        server, asked = mount()
    seconds = ahead(film, *options)
    if film.startswith("/data"):
        read = sum(map(int, asked.read_text().split()))
        subprocess.run(["umount", root / "data"], check=True)
        server.wait()
    print(f"{name}: {seconds:.0f} seconds ahead" + ("" if read is None else f", {read / 1e6:.1f} MB read"))
    changed |= seconds < SECONDS - 5 if is_all else seconds > 2
    changed |= read is not None and (read < 19e6 if is_all else read > 1e6)
sys.exit(changed)
PYTHON

# All mounts and processes end with this one.
code=0
unshare --mount --propagation private --pid --fork --kill-child sh -c '
    mount -t proc proc /proc
    mount -t proc proc "$2/root/proc"
    mount --rbind /dev "$2/root/dev"
    "$1" "$2/play.py" "$2"
' sh "$folder/venv/bin/python" "$folder" || code=$?
exit $code
