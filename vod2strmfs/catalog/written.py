"""Which blocks of rows a PostgreSQL server has written since a comparison, by the transactions that wrote the rows.

Each row says which transaction wrote it (`xmin`), and a snapshot says which was the oldest that was still open. A row
of an older one was there in that snapshot, as it is now; and if a block has none but such rows, and as many as there
were, it has the very same rows. Everything else counts as written. What was written is hashed, table by table and
without a join, since Dispatcharr's scans write all relations anew and change none.

What cannot be told so is left to `Queries.digests`. See docs/decisions/0020-what-was-written.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from vod2strmfs.catalog.queries import BLOCK_BITS, COUNTED, Dialect, Kind, Queries, are_few, in_blocks
from vod2strmfs.catalog.schema import readable

Execute = Callable[[str], list[tuple[Any, ...]]]
Blocks = dict[int, tuple[int, str]]
"""How many rows a block has, and a digest of them, empty if it is not known."""
Counts = dict[str, dict[int, tuple[int, ...]]]
"""What there is of something, by block; see `Queries.count`."""


class Baseline(msgspec.Struct, array_like=True):
    """The tables as a comparison saw them, with which the next one compares."""

    server: str
    """Tells one server's life, and the form of the tables in it, from any other; and what of them is read."""
    oldest: int
    """The oldest transaction that was open, in 64 bits."""
    next: int
    """The first one that had not begun."""
    location: int
    """In the write-ahead log."""
    groups: str
    """A digest of the small tables on which all rows depend."""
    parts: dict[str, Blocks]
    counts: Counts


class WrittenBlocks(NamedTuple):
    """Blocks of rows that were written since a baseline, and the baseline for the next time."""

    baseline: Baseline
    blocks: dict[Kind, set[int]] | None
    """Those that may differ from the baseline before; None if that cannot be told."""
    few: bool
    """Whether most rows were not written."""


class _Part(NamedTuple):
    """Rows of a table, in blocks of one of their columns."""

    name: str
    table: str
    key: str
    kind: Kind | None = None
    """The one whose rows come from rows of the same block; None if that has to be looked up."""
    columns: frozenset[str] | None = None
    """Those that count, if not all that are read."""


_PARTS = (
    _Part("movie", "vod_movie", "id", "movie"),
    _Part("movie relation", "vod_m3umovierelation", "movie_id", "movie"),
    _Part("series", "vod_series", "id", "series"),
    _Part("series relation", "vod_m3useriesrelation", "series_id", "series"),
    _Part("episode", "vod_episode", "id", "episode"),
    _Part("episode relation", "vod_m3uepisoderelation", "episode_id", "episode"),
    _Part("logo", "vod_vodlogo", "id"),
    # Whether a series' relation is open, and wanted, decides about its episodes; what it says of the series does not.
    _Part(
        "choice of series", "vod_m3useriesrelation", "series_id",
        columns=frozenset(["id", "series_id", "m3u_account_id", "category_id"]),
    ),
)  # fmt: skip
WRITTEN = frozenset(part.table for part in _PARTS)
"""The tables whose `xmin` is read."""
_GROUPS = ("m3u_m3uaccount", "vod_vodcategory", "vod_m3uvodcategoryrelation")

_LONGEST = 1 << 30
"""So many transactions later, numbers are not compared any more; they come around after four times as many."""

# Whatever can put back what was there, or show it otherwise, without any transaction's writing it: a restart, after
# which a volume may have been put back and what was not flushed is lost, and numbers are given anew; the restart of all
# sessions after a crash, which resets the statistics (PostgreSQL 15); a promotion; another server; another role; other
# tables, or columns. Only rows of a heap (2) are certain to say who wrote them.
_SERVER = """
    SELECT concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), d.oid, current_user, pg_is_in_recovery(),
            extract(epoch FROM pg_postmaster_start_time()), extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()),
            string_agg(concat_ws(':', c.oid, pg_relation_filenode(c.oid), a.attnum, a.attname, a.atttypid), ' '
                ORDER BY c.oid, a.attnum)),
        bool_and(CASE WHEN c.relkind = 'r' AND c.relam = 2 AND NOT c.relhassubclass AND NOT row_security_active(c.oid)
            THEN c.relname != ALL({written}) OR has_column_privilege(c.oid, 'xmin', 'SELECT') ELSE false END),
        pg_snapshot_xmin(pg_current_snapshot())::text, pg_snapshot_xmax(pg_current_snapshot())::text
    FROM pg_database d, unnest({tables}) name
    JOIN pg_class c ON c.oid = to_regclass(name)
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE d.datname = current_database() GROUP BY d.oid"""


_WORKERS = """
    SELECT set_config(name, ({})::text, true) FROM pg_settings WHERE name = 'max_parallel_workers_per_gather'"""


class Written:
    """Finds what was written.

    Args:
        execute: runs a query in the snapshot.
        dialect: of the server.
        columns: the columns that can be read, by table.
    """

    def __init__(self, execute: Execute, dialect: Dialect, columns: Mapping[str, Set[str]]) -> None:
        self._execute = execute
        self._dialect = dialect
        self._columns = {table: found & readable(table) for table, found in columns.items()}
        self._parts = [part for part in _PARTS if part.key in self._columns.get(part.table, ())]
        self._series_relation = "series_relation_id" in self._columns["vod_m3uepisoderelation"]

    def since(self, before: Baseline | None, queries: Queries, location: int) -> WrittenBlocks | None:
        """What was written since a baseline, with the next one; None if rows do not say who wrote them.

        Args:
            before: of a comparison; None if nothing is known of any.
            queries: that count what there is.
            location: where the write-ahead log is now.
        """
        [[server, usable, oldest, following]] = self._execute(
            _SERVER.format(written=_array(WRITTEN), tables=_array(self._columns))
        )
        if not usable:
            return None
        # A right to a column that is granted writes no row, and shows all of them otherwise.
        read = (f" {table}.{column}" for table, columns in self._columns.items() for column in columns)
        server += "".join(sorted(read))
        baseline = Baseline(server, int(oldest), int(following), location, self._groups(), {}, {})
        with self._helped():
            blocks, few = self._find(before, baseline)
        known = before.counts if before and blocks is not None else {}
        return self._counted(WrittenBlocks(baseline, blocks, few), queries, known)

    @contextmanager
    def _helped(self) -> Iterator[None]:
        """Let a second process of the server go through tables, too, if its own settings allow that."""
        self._execute(_WORKERS.format("least(1, reset_val::int)"))
        yield
        self._execute(_WORKERS.format("0"))

    def _find(self, before: Baseline | None, baseline: Baseline) -> tuple[dict[Kind, set[int]] | None, bool]:
        """Look at all parts, and note them in the next baseline; returns what `WrittenBlocks` says of it."""
        names = {part.name for part in self._parts}
        if before is None or before.parts.keys() != names or not _may_tell(before, baseline):
            for part in self._parts:
                baseline.parts[part.name] = {
                    block: (rows, "") for block, rows, _ in self._execute(_count(part, "false"))
                }
            return None, False
        blocks: dict[Kind, set[int]] = {"movie": set(), "series": set(), "episode": set()}
        few = True
        is_written = _written_between(before.oldest, baseline.next)
        for part in self._parts:
            known = before.parts[part.name]
            now, written, digests = self._compare(part, is_written, known)
            few &= 4 * len(written) <= len(now)
            baseline.parts[part.name] = {
                block: (rows, digests[block] if block in written else known[block][1]) for block, rows in now.items()
            }
            changed = {block for block in written if block not in known or known[block][1] != digests.get(block)}
            for kind, reached in self._reached(part, changed):
                blocks[kind] |= reached
        return (blocks if baseline.groups == before.groups else None), few

    def _compare(self, part: _Part, is_written: str, known: Blocks) -> tuple[dict[int, int], set[int], dict[int, str]]:
        """The blocks of a part, each with its number of rows; those that may have other rows than before; digests of
        these.

        A row of long ago may look as if it were written: numbers come around. One that was written never looks old.
        """
        before = {block: rows for block, (rows, _) in known.items()}
        [[total, written]] = self._execute(f"SELECT count(*), count(*) FILTER (WHERE {is_written}) FROM {part.table}")
        if written == 0 and total == sum(before.values()):
            return before, set(), {}
        if 2 * written > total:
            found = self._execute(self._digest(part, "true"))
            now = {block: rows for block, rows, _ in found}
            return now, before.keys() | now.keys(), {block: f"{rows}:{digest}" for block, rows, digest in found}
        counted = self._execute(_count(part, is_written))
        now = {block: rows for block, rows, _ in counted}
        differing = {block for block in before.keys() | now.keys() if before.get(block) != now.get(block)}
        differing |= {block for block, _, written in counted if written}
        return now, differing, self._digests(part, differing, len(now))

    def _digests(self, part: _Part, blocks: Set[int], total: int) -> dict[int, str]:
        if not blocks:
            return {}
        where = in_blocks(blocks).format(id=part.key) if are_few(blocks) and 4 * len(blocks) <= total else "true"
        found = self._execute(self._digest(part, where))
        return {block: f"{rows}:{digest}" for block, rows, digest in found if block in blocks}

    def _digest(self, part: _Part, where: str) -> str:
        columns = sorted(part.columns or self._columns[part.table])
        return f"""
            SELECT {part.key} >> {BLOCK_BITS}, count(*), sum({self._hash(columns)})
            FROM {part.table} WHERE {where} GROUP BY 1"""

    def _hash(self, columns: Iterable[str]) -> str:
        read = (self._dialect.json.format(name) if name == "custom_properties" else name for name in columns)
        return self._dialect.hash.format(f"ROW({', '.join(read)})")

    def _groups(self) -> str:
        return " ".join(f"{rows}:{digest}" for table in _GROUPS for rows, digest in self._execute(self._group(table)))

    def _group(self, table: str) -> str:
        return f"SELECT count(*), sum({self._hash(sorted(self._columns[table]))}) FROM {table}"

    def _reached(self, part: _Part, changed: Set[int]) -> list[tuple[Kind, set[int]]]:
        """The blocks whose rows depend on those of a part's blocks."""
        if not changed:
            return []
        if part.kind:
            return [(part.kind, set(changed))]
        return [
            (kind, {block for (block,) in self._execute(query)})
            for kind, query in self._dependent(part, in_blocks(changed))
        ]

    def _dependent(self, part: _Part, where: str) -> list[tuple[Kind, str]]:
        """Queries of the blocks whose rows depend on rows of a part."""
        if part.name == "logo":
            return [
                (kind, f"SELECT DISTINCT id >> {BLOCK_BITS} FROM vod_{kind} WHERE {where.format(id='logo_id')}")
                for kind in ("movie", "series")
                if "logo_id" in self._columns[f"vod_{kind}"]
            ]
        queries: list[tuple[Kind, str]] = [
            ("episode", f"SELECT DISTINCT id >> {BLOCK_BITS} FROM vod_episode WHERE {where.format(id='series_id')}")
        ]
        if self._series_relation:
            related = f"""
                SELECT DISTINCT r.episode_id >> {BLOCK_BITS} FROM vod_m3uepisoderelation r
                JOIN vod_m3useriesrelation s ON s.id = r.series_relation_id WHERE {where.format(id="s.series_id")}"""
            queries.append(("episode", related))
        return queries

    def _counted(self, written: WrittenBlocks, queries: Queries, known: Counts) -> WrittenBlocks:
        """The same, with what there is counted anew where that may differ."""
        for name, kind in COUNTED.items():
            blocks = None if written.blocks is None or kind is None else written.blocks[kind]
            kept = {} if blocks is None else {block: n for block, n in known[name].items() if block not in blocks}
            written.baseline.counts[name] = kept | self.count(queries, name, blocks)
        return written

    def count(self, queries: Queries, name: str, blocks: Set[int] | None = None) -> dict[int, tuple[int, ...]]:
        """What there is of something, by block; see `Queries.count`."""
        if blocks is not None and not blocks:
            return {}
        few = blocks if blocks is not None and are_few(blocks) else None
        rows = self._execute(queries.count(name, few))
        return {row[0]: tuple(row[1:]) for row in rows if blocks is None or row[0] in blocks}

    def texts(self) -> list[str]:
        """Every query on the tables themselves, as examples."""
        looked_up = [part for part in self._parts if not part.kind]
        dependent = [query for part in looked_up for _, query in self._dependent(part, in_blocks([0]))]
        digests = [self._digest(part, in_blocks([0]).format(id=part.key)) for part in self._parts]
        counts = [_count(part, _written_between(1, 2)) for part in self._parts]
        return [*counts, *digests, *map(self._group, _GROUPS), *dependent]


def _count(part: _Part, is_written: str) -> str:
    return f"""
        SELECT {part.key} >> {BLOCK_BITS}, count(*), count(*) FILTER (WHERE {is_written})
        FROM {part.table} GROUP BY 1"""


def _written_between(first: int, end: int) -> str:
    """The condition that a row may be of a transaction that is neither before the first nor from the end on."""
    # SQL knows no order of their numbers, but one of bytes. (Their age would not do: only the first of several
    # processes may ask for that.)
    numbers = [f"decode('{number & 0xFFFFFFFF:08x}', 'hex')" for number in (first, end)]
    come_around = numbers[0] > numbers[1]
    return f"(xidsend(xmin) >= {numbers[0]} {'OR' if come_around else 'AND'} xidsend(xmin) < {numbers[1]})"


def _may_tell(before: Baseline, now: Baseline) -> bool:
    """Whether transaction numbers can tell what was written between two comparisons."""
    if before.server != now.server:
        return False
    # What goes back was put back.
    if now.oldest < before.oldest or now.next < before.next or now.location < before.location:
        return False
    return now.next - before.oldest <= _LONGEST


def _array(names: Iterable[str]) -> str:
    quoted = ", ".join(f"'{name}'" for name in sorted(names))
    return f"ARRAY[{quoted}]"


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Baseline)


def encode(baseline: Baseline) -> bytes:
    """A baseline as the index keeps it."""
    return _encoder.encode(baseline)


def decode(data: bytes) -> Baseline | None:
    """A baseline that `encode` encoded; None if it is none."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError:
        return None
