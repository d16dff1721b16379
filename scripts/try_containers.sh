#!/bin/sh
# Runs the image and the compose files under a real Docker engine, and looks at what containers see through each kind
# of restart. The engine runs on a Debian of its own, in namespaces. Images of the same names stand in for the others:
# a real PostgreSQL with a demo catalogue for Dispatcharr's, a real Redis, and containers that only look at the library
# for the media servers.
#
# Needs root, debootstrap, slirp4netns, 4 GB in /tmp, and Debian's and Python's package registries.
#
#   scripts/try_containers.sh
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d /tmp/vod2strmfs-containers-XXXXXX)
root=$folder/root
finish() {
    kill -KILL "${network:-}" "${machine:-}" 2>/dev/null || true
    wait 2>/dev/null || true
    find /sys/fs/cgroup -depth -type d -path '*/docker*' -exec rmdir {} + 2>/dev/null || true
    umount -l "$root" 2>/dev/null || true
    rm -rf --one-file-system "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

echo "making a machine"
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv trixie "$root" >"$folder/log" 2>&1
# pip in there trusts and asks what pip out here does.
for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
    [ ! -f "$file" ] || cp -L "$file" "$root$file"
done
tar -C "$root" -cf "$folder/base.tar" .
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    docker.io docker-cli docker-buildx docker-compose iptables iproute2 procps >>"$folder/log" 2>&1
mv "$folder/base.tar" "$root/base.tar"
mkdir "$root/vod2strmfs" "$root/outside"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$root/vod2strmfs"

cat >"$root/boot" <<'END'
set -eu
cd "$1"
mount --bind . .
cd "$1"
for place in dev proc sys; do mount --rbind "/$place" "$place"; done
pivot_root . outside
exec chroot . sh -c '
    umount -l /outside
    mount -t proc proc /proc
    mount -t tmpfs tmpfs /run
    # As it is on most machines.
    mknod -m 666 /run/fuse c 10 229
    mount --bind /run/fuse /dev/fuse
    mount --make-rprivate /
    ip link set lo up
    touch /booted
    exec sleep infinity'
END

cat >"$root/engine" <<'END'
set -eu
# Starts the engine, as a host does when it boots.
rm -f /run/docker.pid
dockerd >>/dockerd.log 2>&1 &
for _ in $(seq 300); do
    docker info >/dev/null 2>&1 && exit
    sleep 0.1
done
cat /dockerd.log >&2
exit 1
END

cat >"$root/stand-ins" <<'END'
FROM base
RUN apt-get update && apt-get install -y --no-install-recommends postgresql redis-server curl \
    && install -d /app/docker && printf '#!/bin/sh\nexec sleep infinity\n' >/app/docker/entrypoint.celery.sh \
    && chmod +x /app/docker/entrypoint.celery.sh \
    && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/
COPY <<'EOF' /database
set -eu
# A PostgreSQL with an empty database, as the official image makes it.
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
    install -d -o postgres -m 700 $data
    su postgres -c "echo $POSTGRES_PASSWORD >/tmp/password; \
        /usr/local/bin/initdb -D $data -U dispatch -A scram-sha-256 --pwfile=/tmp/password"
    echo "host all all all scram-sha-256" >>$data/pg_hba.conf
    su postgres -c "/usr/local/bin/pg_ctl -D $data -o '-c listen_addresses=localhost' -w start"
    PGPASSWORD=$POSTGRES_PASSWORD createdb -h localhost -U dispatch dispatcharr
    su postgres -c "/usr/local/bin/pg_ctl -D $data -m fast -w stop"
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -D $data -c listen_addresses='*'
EOF
CMD ["sleep", "infinity"]
END

cat >"$root/helpers" <<'END'
set -eu
cd /vod2strmfs/compose
say() { echo "$*"; }
fail() {
    echo "FAILED: $*" >&2
    docker compose ps --all >&2
    docker compose logs --tail 20 vod2strmfs >&2
    exit 1
}
wait_for() {
    for _ in $(seq 600); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    fail "this did not come: $*"
}
inspect() { docker inspect --format "{{.$2}}" "$(docker compose ps --all --quiet "$1")"; }
is() { [ "$(inspect "$1" "State.$2")" = "$3" ]; }
there() { docker compose exec -T "$1" sh -c "$2"; }
sees() { there "$1" 'cat /library/STRM/Movies/*/*.strm | grep -q http'; }
# What a media server gets that lists its library folder.
look='if names=$(ls /library/STRM/Movies 2>&1); then echo "$(ls /library/STRM/Movies | grep -c .) titles"; else echo "${names##*: }"; fi'
# The same all the time, until told to end.
watch() {
    there "$1" "rm -f /tmp/end; until [ -e /tmp/end ]; do $look; sleep 0.02; done >/tmp/seen" &
    sleep 1
}
watched() {
    there "$1" 'touch /tmp/end'
    wait
    say "    $1 saw: $(there "$1" 'uniq /tmp/seen' | paste -s -d , | sed 's/,/, /g')"
    ! there "$1" 'grep -qx "0 titles" /tmp/seen' || fail "$1 saw an empty library"
}
crash() { kill -KILL "$(inspect "$1" State.Pid)"; }
demo() { docker compose exec -T vod2strmfs vod2strmfs demo "postgresql://dispatch:secret@$1/dispatcharr"; }
use() {
    sed -e "s/^COMPOSE_FILE=.*/COMPOSE_FILE=$1/" -e "s/^COMPOSE_PROFILES=.*/COMPOSE_PROFILES=$2/" \
        -e 's/^POSTGRES_PASSWORD=/&secret/' .env.example >.env
}
END

cat >"$root/build" <<'END'
. /helpers
docker import /base.tar base >/dev/null
docker build --quiet --network host --build-arg BASE=base --tag vod2strmfs .. >/dev/null
docker build --quiet --network host --tag stand-in - </stand-ins >/dev/null
for name in ghcr.io/dispatcharr/dispatcharr:latest postgres:17 redis:7 jellyfin/jellyfin emby/embyserver plexinc/pms-docker; do
    docker tag stand-in "$name"
done
say "built: $(docker run --rm vod2strmfs --version), $(docker version --format 'Docker {{.Server.Version}}')," \
    "$(docker compose version), $(($(docker history --format '{{.Size}}' --human=false vod2strmfs | head -n -1 | paste -s -d +) / 1000000)) MB above the base"
END
