#!/bin/sh
# Runs the image and the compose files under a real Docker engine, and looks at what containers see through each kind
# of restart. The engine runs on a Debian of its own, in namespaces. Images of the same names stand in for the others:
# a real PostgreSQL with a demo catalogue for Dispatcharr, a real Redis, and containers that only look at the library
# for the media servers.
#
# Needs root, debootstrap, slirp4netns, 4 GB in /tmp, and Debian's and Python's package registries.
#
#   scripts/try_containers.sh
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d /tmp/vod2strmfs-containers-XXXXXX)
root=$folder/root
machine= network=
power_off() {
    [ -z "$machine" ] || kill -KILL "$machine" "$network" 2>/dev/null || true
    wait
    machine=
    find /sys/fs/cgroup -depth -type d -path '*/docker*' -exec rmdir {} + 2>/dev/null || true
}
finish() {
    power_off
    rm -rf --one-file-system "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

boot() {
    unshare --mount --propagation=private --pid --fork --net --uts --ipc --cgroup \
        sh "$root/try/boot" "$root" 2>>"$folder/log" &
    until [ -n "$machine" ] && [ -d "/proc/$machine" ]; do
        sleep 0.1
        machine=$(tr -d ' ' <"/proc/$!/task/$!/children")
    done
    # A way out for the build, and for nothing else.
    slirp4netns --configure --disable-host-loopback "$machine" tap0 >>"$folder/log" 2>&1 &
    network=$!
    inside engine
}
inside() { nsenter --target "$machine" --all sh -eu "/try/$1"; }

mkdir -p "$root/try"
cat >"$root/try/boot" <<'END'
set -eu
cd "$1"
mount --bind . .
cd "$1"
for place in dev proc sys; do mount --rbind "/$place" "$place"; done
pivot_root . outside
exec chroot . sh -euc '
    umount -l /outside
    mount -t proc proc /proc
    mount -t tmpfs tmpfs /run
    # Everybody may open it, as on most machines.
    mknod -m 666 /run/fuse c 10 229
    mount --bind /run/fuse /dev/fuse
    mount --make-rshared /
    ip link set lo up
    touch /run/booted
    exec sleep infinity'
END
cat >"$root/try/engine" <<'END'
until [ -e /run/booted ]; do sleep 0.1; done
dockerd >>/dockerd.log 2>&1 &
for _ in $(seq 600); do
    docker info >/dev/null 2>&1 && exit
    sleep 0.1
done
cat /dockerd.log >&2
exit 1
END
cat >"$root/try/stand-ins" <<'END'
FROM base AS media-server
CMD ["sleep", "infinity"]
FROM base AS redis
RUN apt-get update && apt-get install -y --no-install-recommends redis-server
CMD ["redis-server", "--protected-mode", "no"]
FROM base AS dispatcharr
# A PostgreSQL with an empty database, unless another container has it.
RUN apt-get update && apt-get install -y --no-install-recommends postgresql
COPY --chmod=755 dispatcharr /app/docker/entrypoint.celery.sh
CMD ["/app/docker/entrypoint.celery.sh"]
END
cat >"$root/try/dispatcharr" <<'END'
#!/bin/sh
set -eu
[ "${DISPATCHARR_ENV:-aio}" = aio ] || exec sleep infinity
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
ln -sf /usr/lib/postgresql/*/bin/pg_isready /usr/local/bin/
data=$([ -z "${DISPATCHARR_ENV:-}" ] && echo /var/lib/postgresql/data || echo /data/db)
as() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
if [ ! -s "$data/PG_VERSION" ]; then
    install -d -o postgres -m 700 "$data"
    echo "$POSTGRES_PASSWORD" >/tmp/password
    as initdb --pgdata "$data" --encoding UTF8 --username dispatch --pwfile /tmp/password \
        --auth-local trust --auth-host scram-sha-256
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    as pg_ctl --pgdata "$data" --options "-c listen_addresses=" --wait start
    createdb --username dispatch dispatcharr
    as pg_ctl --pgdata "$data" --wait stop
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -D "$data" -c "listen_addresses=*"
END
cat >"$root/try/helpers" <<'END'
cd /vod2strmfs/compose
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
look='if names=$(ls /library/STRM/Movies 2>&1); then
        echo "$(echo "$names" | grep -c .) titles"
    else
        echo "${names##*: }"
    fi'
# The same all the time, until told to end.
watch() {
    there "$1" "rm -f /tmp/end; until [ -e /tmp/end ]; do $look; sleep 0.02; done >/tmp/seen" &
    sleep 1
}
watched() {
    there "$1" 'touch /tmp/end'
    wait
    echo "    $1 saw: $(there "$1" 'uniq /tmp/seen' | paste -s -d , | sed 's/,/, /g')"
    ! there "$1" 'grep -qx "0 titles" /tmp/seen' || fail "$1 saw an empty library"
}
# The program itself, which the container's first process starts.
program() { awk '{print $1}' "/proc/$(inspect vod2strmfs State.Pid)/task/$(inspect vod2strmfs State.Pid)/children"; }
crash() { kill -KILL "$(inspect "$1" State.Pid)"; }
demo() { docker compose exec -T vod2strmfs vod2strmfs demo "postgresql://dispatch:secret@$1/dispatcharr"; }
use() {
    sed -e "s/^COMPOSE_FILE=.*/COMPOSE_FILE=$1:try.yaml/" -e "s/^COMPOSE_PROFILES=.*/COMPOSE_PROFILES=$2/" \
        -e 's/^POSTGRES_PASSWORD=/&secret/' .env.example >.env
    # So that nobody has to wait for half a minute each time.
    printf 'services:\n  vod2strmfs:\n    healthcheck:\n      interval: 2s\n      retries: 1\n' >try.yaml
}
END
cat >"$root/try/build" <<'END'
. /try/helpers
docker import /base.tar base >/dev/null
docker build --quiet --network host --build-arg BASE=base --tag vod2strmfs .. >/dev/null
for name in ghcr.io/dispatcharr/dispatcharr=dispatcharr postgres:17=dispatcharr redis:7=redis \
    jellyfin/jellyfin=media-server emby/embyserver=media-server; do
    docker build --quiet --network host --target "${name#*=}" --tag "${name%=*}" --file /try/stand-ins /try >/dev/null
done
layers=$(docker history --human=false --format '{{.Size}}' vod2strmfs | head -n -1)
size=$(echo "$layers" | awk '{sum += $1} END {print int(sum / 1e6)}')
docker version --format 'Docker {{.Server.Version}}'
docker compose version
echo "built: $(docker run --rm vod2strmfs --version), $size MB above the base image"
# What is below is not there yet, and nothing makes it by mistake.
use all-in-one.yaml:mount.yaml:media-servers.yaml jellyfin
docker compose up --detach 2>&1 | grep -q 'srv/vod2strmfs' || fail "a folder that is not there is no error"
docker compose down --volumes 2>/dev/null
install -d -o 1000 -g 1000 /srv/vod2strmfs /srv/vod2strmfs/STRM
END

cat >"$root/try/restarts" <<'END'
. /try/helpers
use all-in-one.yaml:mount.yaml:media-servers.yaml jellyfin
echo "all-in-one, mount, jellyfin:"
docker compose up --detach 2>/try/up.log &
wait_for is vod2strmfs Running true
wait_for docker compose exec -T dispatcharr pg_isready --quiet --username=dispatch --dbname=dispatcharr --host=localhost
echo "    before the first sync: $(ls /srv/vod2strmfs/STRM 2>&1 | sed 's/.*: //'); vod2strmfs is" \
    "$(inspect vod2strmfs State.Health.Status), jellyfin is $(inspect jellyfin State.Status)"
demo dispatcharr
wait_for is jellyfin Running true
wait
is vod2strmfs Health.Status healthy || fail "jellyfin did not wait"
echo "    after it: jellyfin is running, and sees $(there jellyfin "$look")"
grep -E '^Cap(Eff|Bnd)' "/proc/$(program)/status" | sed 's/^/    /'

echo "vod2strmfs restarted:"
watch jellyfin
docker compose restart vod2strmfs 2>/dev/null
wait_for sees jellyfin
watched jellyfin

echo "vod2strmfs killed:"
watch jellyfin
crash vod2strmfs
wait_for is vod2strmfs Health.Status healthy
wait_for sees jellyfin
watched jellyfin

echo "vod2strmfs killed, and not started again for a while:"
docker update --restart no "$(docker compose ps --quiet vod2strmfs)" >/dev/null
watch jellyfin
crash vod2strmfs
wait_for is vod2strmfs Running false
sleep 2
docker compose up --detach vod2strmfs 2>/dev/null
wait_for sees jellyfin
watched jellyfin

echo "vod2strmfs made anew (docker compose up --force-recreate):"
watch jellyfin
docker compose up --detach --no-deps --force-recreate vod2strmfs 2>/dev/null
wait_for sees jellyfin
watched jellyfin

echo "vod2strmfs hung:"
# Until it was healthy once, a failure says only that it is still starting.
wait_for is vod2strmfs Health.Status healthy
kill -STOP "$(program)"
wait_for is vod2strmfs Health.Status unhealthy
echo "    vod2strmfs is unhealthy: $(docker compose exec -T vod2strmfs vod2strmfs status 2>&1 || true)"
kill -CONT "$(program)"
wait_for is vod2strmfs Health.Status healthy
sees jellyfin && echo "    continued: healthy, and jellyfin sees the library"

echo "Dispatcharr stopped for a while:"
watch jellyfin
docker compose stop dispatcharr 2>/dev/null
until docker compose exec -T vod2strmfs vod2strmfs status 2>&1 | grep -q 'cannot be read since'; do sleep 1; done
sleep 5
is vod2strmfs Health.Status healthy && echo "    vod2strmfs is healthy"
docker compose restart vod2strmfs 2>/dev/null
wait_for is vod2strmfs Health.Status healthy
echo "    vod2strmfs restarted meanwhile: healthy"
docker compose start dispatcharr 2>/dev/null
wait_for docker compose exec -T vod2strmfs vod2strmfs status
watched jellyfin

echo "jellyfin restarted:"
docker compose restart jellyfin 2>/dev/null
sees jellyfin && echo "    it sees $(there jellyfin "$look")"

echo "jellyfin started before vod2strmfs:"
docker compose stop vod2strmfs 2>/dev/null
docker compose restart --no-deps jellyfin 2>/dev/null
watch jellyfin
docker compose start vod2strmfs 2>/dev/null
wait_for sees jellyfin
watched jellyfin

echo "everything stopped and started:"
docker compose stop 2>/dev/null
docker compose start 2>/dev/null
sees jellyfin && echo "    jellyfin sees $(there jellyfin "$look")"
END

cat >"$root/try/rebooted" <<'END'
. /try/helpers
echo "power cut, and the host booted again:"
wait_for is jellyfin Running true
wait_for sees jellyfin
echo "    jellyfin sees $(there jellyfin "$look")"
docker compose down --volumes 2>/dev/null
! grep -q ' /srv/' /proc/self/mountinfo && echo "    docker compose down: nothing is mounted"
END

cat >"$root/try/others" <<'END'
. /try/helpers
use modular.yaml:mount.yaml:media-servers.yaml emby
echo "modular, mount, emby:"
docker compose up --detach 2>/try/up.log &
wait_for is vod2strmfs Running true
wait_for demo db
wait
echo "    emby sees $(there emby "$look")"
docker compose down --volumes 2>/dev/null

use modular.yaml:materialize.yaml:media-servers.yaml jellyfin
echo "modular, materialize, jellyfin:"
docker compose up --detach 2>/try/up.log &
wait_for is vod2strmfs Running true
wait_for demo db
wait
echo "    jellyfin sees $(there jellyfin "$look")"
grep -E '^(CapBnd|NoNewPrivs)' "/proc/$(inspect vod2strmfs State.Pid)/status" | sed 's/^/    /'
docker compose restart vod2strmfs 2>/dev/null
sees jellyfin && echo "    vod2strmfs restarted: jellyfin sees $(there jellyfin "$look")"
docker compose down --volumes 2>/dev/null
rm -r /srv/vod2strmfs/STRM/*

use all-in-one.yaml:mount.yaml:media-servers.yaml jellyfin
echo "where / is not shared:"
mount --make-rprivate /
echo "    $(docker compose up --detach vod2strmfs 2>&1 | grep -o 'path .*shared mount' | head -1)"
mount --bind /srv/vod2strmfs /srv/vod2strmfs
mount --make-shared /srv/vod2strmfs
docker compose up --detach 2>/try/up.log &
wait_for is vod2strmfs Running true
wait_for demo dispatcharr
wait
echo "    /srv/vod2strmfs made shared: jellyfin sees $(there jellyfin "$look")"
docker compose down --volumes 2>/dev/null
END

echo "making a machine"
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv trixie "$root" >>"$folder/log" 2>&1
# pip in there trusts and asks what pip out here does.
for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
    [ ! -f "$file" ] || cp -L "$file" "$root$file"
done
tar -C "$root" --exclude=./try -cf "$folder/base.tar" .
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    docker.io docker-cli docker-buildx docker-compose iptables iproute2 procps >>"$folder/log" 2>&1
mv "$folder/base.tar" "$root/base.tar"
mkdir "$root/vod2strmfs" "$root/outside"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$root/vod2strmfs"

boot
inside build
inside restarts
power_off
boot
inside rebooted
inside others
