#!/bin/sh
# PostgreSQL's hashes of jsonb and of rows stay the same when certain values change places.
#
# Versions: pgserver 0.1.4 (PyPI), which brings PostgreSQL 16.2; Python 3.11.
#
# `jsonb_hash_extended` and `hash_record_extended` have 64 bits and a seed, so they look fit to tell whether a document
# or a table is what it was. They are made for hash joins, which compare afterwards, and mix little:
#
# * jsonb: the hash so far is rotated by one bit for each value, in each half of 32 bits by itself, and then xored with
#   the value's. So two values that stand 32 apart in the document may change places. No seed helps.
# * a row: 31 times the hash so far, plus the column's. That is linear: added up over a table (in 64 bits), as it is
#   natural to do since rows have no order, it does not say which row has which value. Two titles that change names go
#   unnoticed.
#
# The hash of the text, and a second hash over each row's before they are added, see both.
#
# Seen: the hashes before and after are equal in both cases, with seeds 0 and 7; those of the text, and the sums of
# hashes that were hashed once more, differ.
#
# Ends with 1 if that changes.
set -eu
folder=$(mktemp -d)
chmod 755 "$folder"
as=
if [ "$(id -u)" = 0 ]; then as='setpriv --reuid=65534 --regid=65534 --clear-groups'; fi # PostgreSQL refuses root
bin=
end() {
    [ -z "$bin" ] || $as "$bin/pg_ctl" -D "$folder/server/data" -m immediate stop >"$folder/stopped" 2>&1 || true
    rm -rf "$folder"
}
trap end EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pgserver==0.1.4
bin=$(echo "$folder"/venv/lib/python3*/site-packages/pgserver/pginstall/bin)
mkdir "$folder/server"
[ -z "$as" ] || chown 65534:65534 "$folder/server"
cd "$folder/server"
$as "$bin/initdb" -D data -U tester --auth=trust --no-sync >"$folder/made" 2>&1
$as "$bin/pg_ctl" -D data -w -o "-k $folder/server -c listen_addresses=''" -l log start >"$folder/started" 2>&1
"$bin/psql" -h "$folder/server" -U tester -d postgres -At -F ' ' >"$folder/said" <<'SQL'
WITH document(before, after) AS (
    SELECT jsonb_agg('value ' || n ORDER BY n),
           jsonb_agg('value ' || CASE n WHEN 3 THEN 35 WHEN 35 THEN 3 ELSE n END ORDER BY n)
    FROM generate_series(1, 40) AS n
)
SELECT 'jsonb, seed ' || seed || ':',
       jsonb_hash_extended(before, seed) = jsonb_hash_extended(after, seed),
       hashtextextended(before::text, seed) = hashtextextended(after::text, seed)
FROM document, (VALUES (0), (7)) AS seeds(seed);

WITH film(id, before, after) AS (VALUES (1, 'Heat', 'Ronin'), (2, 'Ronin', 'Heat')),
hashed AS (
    SELECT seed, hash_record_extended(ROW(id, before), seed) AS before, hash_record_extended(ROW(id, after), seed) AS after
    FROM film, (VALUES (0), (7)) AS seeds(seed)
)
SELECT 'rows, seed ' || seed || ':',
       mod(sum(before) - sum(after), 18446744073709551616) = 0,
       mod(sum(hashint8extended(before, seed)) - sum(hashint8extended(after, seed)), 18446744073709551616) = 0
FROM hashed GROUP BY seed ORDER BY seed;
SQL
echo "what was hashed: equal after the exchange? equal by the text, or hashed once more?"
cat "$folder/said"
[ "$(cat "$folder/said")" = "jsonb, seed 0: t f
jsonb, seed 7: t f
rows, seed 0: t f
rows, seed 7: t f" ]
