#!/bin/sh
# A demo library: mounted, shown, materialized, compared. Leaves nothing behind but .demo/, which it starts afresh.
#
#   scripts/demo.sh            all of it; Ctrl-C ends it anywhere, unmounted
#   scripts/demo.sh about      only says what it will do, and how long that takes
#   scripts/demo.sh unmount    only what an earlier one may have left mounted, when it was killed
#
# With STAY=1 in the environment it stays mounted until Enter is pressed.
set -eu
cd -P "$(dirname "$0")/.."

vod2strmfs=$PWD/.venv/bin/vod2strmfs
demo=$PWD/.demo
mount=$demo/mount
output=$demo/output

# umount needs no /etc/mtab, where fusermount3 does; fusermount3 also takes away what is in use.
unmount() {
    findmnt --mountpoint "$mount" >/dev/null || return 0
    umount "$mount" 2>/dev/null || fusermount3 -uz "$mount" 2>/dev/null || umount -l "$mount"
}

about() {
    long="about 10 seconds"
    [ -x "$vod2strmfs" ] || long="about a minute, since it first installs packages (with apt, by sudo) and compiles a part"
    cat <<END
This shows vod2strmfs with invented films, in this folder alone: a database as Dispatcharr has it, the library mounted
at .demo/mount, one film's way from the database to the media server, and the same library as real files.
It takes $long. Ctrl-C ends it at any time, and unmounts.
END
}

[ "${1:-}" != about ] || {
    about
    exit 0
}
unmount
[ "${1:-}" != unmount ] || exit 0
# A shell that a signal ends runs no EXIT trap, unless the signal has a trap of its own.
trap unmount EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

rm -rf "$demo"
mkdir -p "$mount"
cd "$demo"
# Nobody's settings file counts here.
export VOD2STRMFS_CONFIG='' VOD2STRMFS_DATABASE="sqlite:///$demo/dispatcharr.db" VOD2STRMFS_STATE_DIR="$demo/state" \
    VOD2STRMFS_BASE_URL=http://192.168.1.10:9191

step() {
    printf '\n== %s\n' "$1"
}

count() {
    printf '%s directories, %s .strm files, %s .nfo files\n' "$(find "$1" -type d | wc -l)" \
        "$(find "$1" -name '*.strm' | wc -l)" "$(find "$1" -name '*.nfo' | wc -l)"
}

python() {
    "${PYTHON:-python3}" -c "$@"
}

step "1. A database in Dispatcharr's form"
"$vod2strmfs" demo dispatcharr.db --movies 200 --series 20 --episodes 400

step "2. The library, mounted at .demo/mount"
page=127.0.0.1:$(python 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$vod2strmfs" mount "$mount" --daemon --status-listen "$page"
count mount

strm=$(find mount/Movies -name '*.strm' | LC_ALL=C sort | sed -n 1p)
film=$(dirname "$strm")
step "3. One film's way, from its row in the database …"
python '
import sqlite3, sys, urllib.parse
uuid = urllib.parse.urlsplit(open(sys.argv[1]).read()).path.rpartition("/")[2]
database = sqlite3.connect("dispatcharr.db")
columns = "name, year, genre, rating, tmdb_id, uuid"
find = f"SELECT {columns} FROM vod_movie WHERE replace(uuid, char(45), char()) = ?"
for name, value in zip(columns.split(", "), database.execute(find, [uuid.replace("-", "")]).fetchone()):
    print(f"  {name:8} {value}")
' "$strm"
printf '\n… over what a player opens, %s:\n' "$strm"
sed 's/^/  /' "$strm"
printf '\n… and what a media server reads, %s/movie.nfo (its first lines):\n' "$film"
sed -n '1,9s/^/  /p' "$film/movie.nfo"
printf '\n… to the page that shows the mount while it is there, http://%s/ (its first lines):\n' "$page"
python '
import re, sys, time, urllib.request
for _ in range(50):
    try:
        html = urllib.request.urlopen(f"http://{sys.argv[1]}/", timeout=5).read().decode()
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit("  the page did not come up: see .demo/state/logs/vod2strm.log")
lines = (" ".join(line.split()) for line in re.sub(r"<[^>]*>", " ", html.partition("<main>")[2]).split("\n"))
print("\n".join(["  " + line for line in lines if line][:7]))
' "$page"

step "4. The same library as real files, in .demo/output"
"$vod2strmfs" materialize "$output"
diff -r --exclude=.stats.csv "$mount" "$output"
echo "no difference between the two (diff -r mount output)"

if [ -n "${STAY:-}" ]; then
    step "Look around in .demo/mount, or at http://$page/; Enter ends it"
    read -r _ || true
fi
unmount
step "Unmounted"
cat <<END
What next?
  ls .demo/output/Movies          look around in the real files
  make demo STAY=1                the same, and it stays mounted until you press Enter
  sudo make install               install it, and then \`sudo vod2strmfs init\` for your own library
  make clean                      take away what this has made here (.demo, .venv)
END
