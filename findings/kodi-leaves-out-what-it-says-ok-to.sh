#!/bin/sh
# Kodi leaves out an episode by the first line of its NFO, and what was not scanned yet when a second scan is asked for.
#
# Versions: Kodi 20.1 of Debian 12. Needs root, and some 500 MB in the folder for temporary files.
#
# * An NFO may give an episode other numbers than its file's name, as for another order of episodes. One would expect
#   Kodi to take either. It takes the name's, if the NFO begins with an XML declaration (`<?xml version="1.0"?>`). If it
#   begins with `<episodedetails>` at once, which Kodi reads as well (several episodes may stand so in one file), the
#   episode is left out. At its usual level, the log says nothing of it.
# * `VideoLibrary.Scan` while a scan is running is answered "OK", as each of them is. One would expect it to be done
#   then, or afterwards. What it does is to end the scan that is running, and nothing else: what that had not come to is
#   not added, and nobody is told. Asked for once more, when nothing runs, it is.
#
# Seen, episodes after a scan of three, each called `S01E0N.strm`:
#   1, NFO with the declaration, which says 11    there
#   2, NFO without, which says 12                 missing
#   3, NFO without, which says 3                  there
# and films after the second scan of 1,500: fewer than 1,500; after a third one: 1,500.
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The packages, and all that they need, beside the system's own.
root=$folder/root
mkdir -p "$folder/archives/partial" "$root/tmp" "$root/dev" "$root/proc" "$root/etc" "$root/home"
: >"$folder/status"
apt-get -qq -o Debug::NoLocking=1 -o Dir::State::status="$folder/status" -o Dir::Cache::archives="$folder/archives" \
    -o APT::Sandbox::User=root --no-install-recommends --download-only --yes \
    install 'kodi=2:20.1*' xvfb dash tzdata >"$folder/fetched"
for package in "$folder"/archives/*.deb; do dpkg -x "$package" "$root" && rm "$package"; done
[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh" # with which Xvfb runs its compiler of keymaps
echo "root:x:0:0::/home:/bin/sh" >"$root/etc/passwd"
echo "127.0.0.1 localhost" >"$root/etc/hosts"
ln -s /usr/share/zoneinfo/Etc/UTC "$root/etc/localtime"

cat >"$folder/scan.py" <<'PYTHON'
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

root = Path(sys.argv[1]) / "root"
FILMS = 1500
EPISODES = {1: ('<?xml version="1.0" encoding="UTF-8"?>\n', 11), 2: ("", 12), 3: ("", 3)}
SETTINGS = """<settings version="2">
    <setting id="general.addonupdates">2</setting>
    <setting id="services.esenabled">true</setting>
    <setting id="services.esallinterfaces">false</setting>
    <setting id="services.upnp">false</setting>
    <setting id="services.zeroconf">false</setting>
    <setting id="myvideos.extractthumb">false</setting>
</settings>
"""
ADVANCED = """<advancedsettings version="1.0">
    <jsonrpc><tcpport>{port}</tcpport></jsonrpc>
    <splash>false</splash>
</advancedsettings>
"""
SOURCES = """<sources><video><default pathversion="1"></default>
    <source><name>Movies</name><path pathversion="1">/media/Movies/</path></source>
    <source><name>TV</name><path pathversion="1">/media/TV/</path></source>
</video></sources>
"""
CONTENT = """
    INSERT INTO path (strPath, strContent, strScraper, strHash, scanRecursive, useFolderNames, strSettings, noUpdate,
        exclude, allAudio)
    VALUES (?, ?, 'metadata.local', '', ?, ?, '', 0, 0, 0)"""


def write(place, text):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def make_library():
    for number in range(FILMS):
        film = root / f"media/Movies/Film {number:04} (2001)"
        write(film / f"{film.name}.strm", f"http://127.0.0.1:9/{number}\n")
        write(film / "movie.nfo", f"<movie><title>Film {number:04}</title><year>2001</year></movie>\n")
    series = root / "media/TV/Lost (2004)"
    write(series / "tvshow.nfo", "<tvshow><title>Lost</title><premiered>2004-09-22</premiered></tvshow>\n")
    for number, (declaration, said) in EPISODES.items():
        write(series / f"Season 01/S01E0{number}.strm", f"http://127.0.0.1:9/e{number}\n")
        numbers = f"<season>1</season><episode>{said}</episode>"
        nfo = f"{declaration}<episodedetails><title>Part {number}</title>{numbers}</episodedetails>\n"
        write(series / f"Season 01/S01E0{number}.nfo", nfo)


def until(condition):
    end = time.monotonic() + 240
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def start(port):
    """Kodi on a screen of its own; a connection to it."""
    userdata = root / "home/.kodi/userdata"
    write(userdata / "guisettings.xml", SETTINGS)
    write(userdata / "advancedsettings.xml", ADVANCED.format(port=port))
    write(userdata / "sources.xml", SOURCES)
    write(root / "home/.asoundrc", "pcm.!default null\n")
    [program] = root.glob("usr/lib/*/kodi/kodi.bin")
    inside = f"/{program.parent.relative_to(root)}"
    libraries = sorted({f"/{each.parent.relative_to(root)}" for each in root.glob("**/lib*.so*")})
    environment = {
        "PATH": os.environ["PATH"], "HOME": "/home", "LD_LIBRARY_PATH": ":".join(libraries), "LANG": "C.UTF-8",
        "KODI_HOME": "/usr/share/kodi", "KODI_BIN_HOME": inside, "LIBGL_ALWAYS_SOFTWARE": "1",
    }  # fmt: skip
    output = (root / "output").open("w")
    read, written = os.pipe()
    subprocess.Popen(
        ["chroot", root, "Xvfb", "-displayfd", str(written), "-screen", "0", "320x240x24", "-nolisten", "tcp"],
        env=environment, pass_fds=[written], stdout=output, stderr=output,
    )  # fmt: skip
    os.close(written)
    display = os.fdopen(read).readline().strip()
    subprocess.Popen(
        ["chroot", root, f"{inside}/kodi.bin", "--standalone", "--audio-backend=alsa"],
        env={**environment, "DISPLAY": f":{display}"}, stdout=output, stderr=output,
    )  # fmt: skip

    def connected():
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            return None

    connection = until(connected)
    [database] = (userdata / "Database").glob("MyVideos*.db")
    with sqlite3.connect(database, timeout=60) as opened:
        rows = [("/media/Movies/", "movies", 0x7FFFFFFF, 1), ("/media/TV/", "tvshows", 0, 0)]
        opened.executemany(CONTENT, rows)
    return connection


class Kodi:
    def __init__(self, connection):
        self._connection = connection
        self._unread = ""
        self._calls = 0

    def call(self, method, **parameters):
        self._calls += 1
        asked = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": parameters}
        self._connection.sendall(json.dumps(asked).encode())
        while True:
            try:
                answer, end = json.JSONDecoder().raw_decode(self._unread)
            except ValueError:
                self._unread += self._connection.recv(1 << 16).decode("ascii", "replace")
                continue
            self._unread = self._unread[end:].lstrip()
            if answer.get("id") == self._calls:
                return answer["result"]

    def scan(self, place):
        return self.call("VideoLibrary.Scan", directory=place, showdialogs=False)

    def is_scanning(self):
        name = "Library.IsScanningVideo"
        return self.call("XBMC.GetInfoBooleans", booleans=[name])[name]

    def rest(self):
        """Wait until nothing is scanned, and nothing is about to be."""
        quiet = 0
        while quiet < 15:
            quiet = 0 if self.is_scanning() else quiet + 1
            time.sleep(0.2)

    def films(self):
        return self.call("VideoLibrary.GetMovies", limits={"start": 0, "end": 1})["limits"]["total"]

    def episodes(self):
        found = self.call("VideoLibrary.GetEpisodes", properties=["episode"]).get("episodes", [])
        return sorted(episode["episode"] for episode in found)


make_library()
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
kodi = Kodi(start(port))
kodi.scan("/media/TV/")
kodi.rest()
episodes = kodi.episodes()
print("episodes that are there:", *episodes)
counts, answers = [], [kodi.scan("/media/Movies/")]
until(lambda: kodi.is_scanning() and kodi.films())
answers.append(kodi.scan("/media/Movies/"))
kodi.rest()
counts.append(kodi.films())
answers.append(kodi.scan("/media/Movies/"))
kodi.rest()
counts.append(kodi.films())
print(f"scans were answered: {', '.join(answers)}")
print(f"films after a second scan: {counts[0]}; after a third: {counts[1]}")
sys.exit(not (episodes == [1, 3] and answers == ["OK"] * 3 and counts[0] < counts[1] == FILMS))
PYTHON

# All mounts and processes end with this one.
code=0
unshare --mount --propagation private --pid --fork --kill-child sh -c '
    mount -t proc proc /proc
    mount -t proc proc "$1/root/proc"
    mount --rbind /dev "$1/root/dev"
    python3 "$1/scan.py" "$1"
' sh "$folder" || code=$?
exit $code
