#!/bin/sh
# A demo library: mounted, shown, materialized, compared. Leaves nothing behind but .demo/, which it starts afresh.
#
#   scripts/demo.sh            all of it; Ctrl-C ends it anywhere, unmounted
#   scripts/demo.sh unmount    only what an earlier one may have left mounted, when it was killed
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
export VOD2STRMFS_DATABASE="sqlite:///$demo/dispatcharr.db" VOD2STRMFS_STATE_DIR="$demo/state"

step() {
    printf '\n== %s\n' "$1"
}

step "A demo catalogue in Dispatcharr's own schema"
"$vod2strmfs" demo dispatcharr.db --movies 200 --series 20 --episodes 400

step "The library, mounted at .demo/mount"
"$vod2strmfs" mount "$mount" --daemon
find mount | LC_ALL=C sort | sed -n -e '1,12p'
echo "…"
printf '%s directories, %s .strm files, %s .nfo files\n' "$(find mount -type d | wc -l)" \
    "$(find mount -name '*.strm' | wc -l)" "$(find mount -name '*.nfo' | wc -l)"

strm=$(find mount/Movies -name '*.strm' | LC_ALL=C sort | sed -n 1p)
step "$strm"
cat "$strm"
nfo=$(dirname "$strm")/movie.nfo
step "$nfo"
cat "$nfo"
step "mount/.stats.csv"
cat mount/.stats.csv

step "The same library as real files in .demo/output"
"$vod2strmfs" materialize "$output"

step "diff -r mount output"
diff -r --exclude=.stats.csv "$mount" "$output"
echo "no difference"

unmount
step "Unmounted"
