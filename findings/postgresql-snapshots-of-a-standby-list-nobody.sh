#!/bin/sh
# pg_current_snapshot() of a PostgreSQL standby lists no open transaction, so it says that rows are there which are not.
#
# Versions: pgserver 0.1.4 (PyPI), which brings PostgreSQL 16.2; Python 3.11.
#
# On a primary, a snapshot's text is `xmin:xmax:` and the transactions between them that are open; whether something was
# committed since can be told by two of them, and `pg_visible_in_snapshot` says of a transaction whether its rows are
# seen. On a standby the same text, of the same moment, has no list. What queries see is right all the same. But
#
# * `pg_visible_in_snapshot` says that the rows of an open transaction are seen, and
# * the text stays the same while one commits, if an older one is still open: who compares two snapshots to learn
#   whether there is something new to read does not see that there is.
#
# `pg_last_wal_replay_lsn()` tells the second.
#
# Seen, three transactions: `older` and `film` are open, and another one that began later has committed.
#   primary   731:734:731,732    film's row is there: no     said to be: no
#   standby   731:734:           film's row is there: no     said to be: yes
# `film` commits:
#   primary   731:734:731        film's row is there: yes    said to be: yes
#   standby   731:734:           film's row is there: yes    said to be: yes
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
chmod 755 "$folder"
as=
if [ "$(id -u)" = 0 ]; then as='setpriv --reuid=65534 --regid=65534 --clear-groups'; fi # PostgreSQL refuses root
bin=
end() {
    exec 7>&- 8>&-
    for server in standby primary; do
        [ -z "$bin" ] || $as "$bin/pg_ctl" -D "$folder/server/$server" -m immediate stop >"$folder/stopped" 2>&1 || true
    done
    rm -rf "$folder"
}
trap end EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pgserver==0.1.4
bin=$(echo "$folder"/venv/lib/python3*/site-packages/pgserver/pginstall/bin)
mkdir "$folder/server"
[ -z "$as" ] || chown 65534:65534 "$folder/server"
cd "$folder/server"
at="-k $folder/server -c listen_addresses='' -c fsync=off -c autovacuum=off"
$as "$bin/initdb" -D primary -U tester --auth=trust --no-sync >"$folder/made" 2>&1
$as "$bin/pg_ctl" -D primary -w -o "$at" -l primary.log start >"$folder/started" 2>&1
$as "$bin/pg_basebackup" -D standby -R -h "$folder/server" -U tester --checkpoint=fast --no-sync
$as "$bin/pg_ctl" -D standby -w -o "$at -c port=5433" -l standby.log start >"$folder/started" 2>&1

ask() { # ask SERVER SQL
    port=5432
    [ "$1" = primary ] || port=5433
    "$bin/psql" -h "$folder/server" -p $port -U tester -d postgres -AtqF ' ' -c "$2"
}
begin() { # begin NAME: what opens a transaction, which inserts a row of that name, and says its number
    echo "BEGIN; INSERT INTO films VALUES ('$1'); SELECT pg_current_xact_id();"
}
wait_for() { # wait_for SQL: until it is true on the standby
    tries=0
    while [ "$(ask standby "SELECT $1")" != t ]; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || { echo "the standby does not follow" >&2; exit 1; }
        sleep 0.1
    done
}
follow() { wait_for "pg_last_wal_replay_lsn() >= '$(ask primary 'SELECT pg_current_wal_flush_lsn()')'"; }

ask primary "CREATE TABLE films (name text)"
mkfifo older film
for name in older film; do
    "$bin/psql" -h "$folder/server" -U tester -d postgres -Atq <"$name" >"$name.number" &
done
exec 7>older 8>film
begin older >&7
while [ ! -s older.number ]; do sleep 0.1; done
begin film >&8
while [ ! -s film.number ]; do sleep 0.1; done
ask primary "INSERT INTO films VALUES ('later')" # which also writes out what the others did
follow
number=$(head -n 1 film.number)
look() {
    for server in primary standby; do
        ask $server "SELECT '$server', pg_current_snapshot(), EXISTS (SELECT FROM films WHERE name = 'film'),
            pg_visible_in_snapshot('$number', pg_current_snapshot())"
    done
}
look >before
echo "COMMIT;" >&8
exec 8>&-
until [ "$(ask primary "SELECT EXISTS (SELECT FROM films WHERE name = 'film')")" = t ]; do sleep 0.1; done
follow
look >after
echo "server, snapshot, whether the row is there, whether the snapshot says so:"
cat before after
older=$(head -n 1 older.number)
next=$((number + 2))
[ "$(cat before after)" = "primary $older:$next:$older,$number f f
standby $older:$next: f t
primary $older:$next:$older t t
standby $older:$next: t t" ]
