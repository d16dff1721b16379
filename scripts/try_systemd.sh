#!/bin/sh
# Runs the mount's unit under a real systemd, with all its limits: start, reload, a crash, a hang, stop.
# systemd is booted in namespaces of its own, with no units but this one. Needs root, and the project's .venv.
#
#   scripts/try_systemd.sh
set -eu
cd "$(dirname "$0")/.."
program=$PWD/.venv/bin/vod2strmfs
folder=$(mktemp -d /tmp/vod2strmfs-systemd-XXXXXX)
mkdir "$folder/mount" "$folder/lib" "$folder/units"
"$program" demo "$folder/demo.db" >/dev/null
"$program" install-service "$folder/mount" --root "$folder" --database "sqlite:///$folder/demo.db" \
    --base-url http://dispatcharr.example:9191 >/dev/null
sed -e "s#/etc/vod2strmfs.toml#$folder/etc/vod2strmfs.toml#" -e 's#^WatchdogSec=.*#WatchdogSec=3#' \
    "$folder/etc/systemd/system/vod2strmfs.service" >"$folder/units/vod2strmfs.service"
mkdir "$folder/units/vod2strmfs.service.d"
printf '[Unit]\nDefaultDependencies=no\n[Service]\nStandardError=append:%s/log\nStandardOutput=null\n' "$folder" \
    >"$folder/units/vod2strmfs.service.d/alone.conf"
printf '[Unit]\nDefaultDependencies=no\n' >"$folder/units/alone.target"

cat >"$folder/boot" <<END
mount -t tmpfs none /run
mkdir /run/systemd
mount --bind $folder/lib /var/lib
exec /lib/systemd/systemd --system --unit=alone.target --log-target=console --show-status=0
END
cat >"$folder/inside" <<'END'
set -eu
property() { systemctl show -P "$1" vod2strmfs.service; }
seen() { [ -d "$mount/Movies" ] && [ "$(property ActiveState)" = active ]; }
wait_for() {
    for _ in $(seq 300); do
        if "$@" 2>/dev/null; then return; fi
        sleep 0.2
    done
    echo "this did not come: $*" >&2
    exit 1
}
restarted() { [ "$(property NRestarts)" = "$1" ] && seen; }
systemctl start vod2strmfs.service
seen && echo "start returned when the library could be seen"
grep -E '^(CapBnd|NoNewPrivs|Seccomp):' "/proc/$(property MainPID)/status"
systemctl reload vod2strmfs.service && echo "reloaded"
kill -KILL "$(property MainPID)"
wait_for restarted 1 && echo "killed, restarted, mounted again"
kill -STOP "$(property MainPID)"
wait_for restarted 2 && echo "hung, restarted by the watchdog, mounted again"
systemctl stop vod2strmfs.service
[ "$(property Result)" = success ] && ! grep -q " $mount " /proc/self/mountinfo && echo "stopped and unmounted"
END

export SYSTEMD_UNIT_PATH="$folder/units"
env -i container=alone SYSTEMD_UNIT_PATH="$SYSTEMD_UNIT_PATH" PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    unshare --pid --fork --kill-child --mount --uts --ipc --cgroup --mount-proc sh "$folder/boot" >"$folder/boot.log" 2>&1 &
unshare=$!
finish() {
    kill -KILL "${systemd:-$unshare}" 2>/dev/null || true
    wait "$unshare" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
for _ in $(seq 100); do
    systemd=$(cat "/proc/$unshare/task/$unshare/children" 2>/dev/null | tr -d ' ')
    [ -n "$systemd" ] && nsenter -t "$systemd" -m -p test -S /run/systemd/private 2>/dev/null && break
    sleep 0.1
done
if ! mount="$folder/mount" nsenter -t "$systemd" -m -p -C -u -i sh "$folder/inside"; then
    cat "$folder/boot.log" "$folder/log" >&2
    exit 1
fi
