"""Bringing the index up to date with the catalogue: the next generation, in one transaction."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from vod2strmfs import __version__
from vod2strmfs.catalog.queries import BLOCK_BITS, KINDS, Kind, in_blocks
from vod2strmfs.catalog.source import Row, Snapshot, Source
from vod2strmfs.errors import CatalogError, FilteredOutError, IndexFileError
from vod2strmfs.extract.incoming import Fresh
from vod2strmfs.host.room import is_full, which_is_full
from vod2strmfs.index.changes import GENERATIONS_REMEMBERED, arrivals, differences
from vod2strmfs.index.file import INDEXES, RENAMED, connect, create, is_damage, replace, writing
from vod2strmfs.index.held import Held
from vod2strmfs.index.store import Store, arrived_nodes, node_in
from vod2strmfs.library.contents import provider_url
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync import collisions as naming
from vod2strmfs.sync.brake import HELD_GONE, HELD_NAME, WINDOW, Brake, Place, emptied_series
from vod2strmfs.sync.convert_many import Extraction
from vod2strmfs.sync.counts import count, find_held
from vod2strmfs.sync.draft import Draft
from vod2strmfs.sync.folders import name_versions, render_series, settle_folders
from vod2strmfs.sync.identity import reunite
from vod2strmfs.sync.mtimes import settle_mtimes
from vod2strmfs.sync.placing import Intake
from vod2strmfs.sync.progress import Tell

_NODE_KINDS: dict[Kind, NodeKind] = {
    "movie": NodeKind.MOVIE,
    "version": NodeKind.VERSION,
    "series": NodeKind.SERIES,
    "episode": NodeKind.EPISODE,
}
_ELIGIBLE: dict[Kind, str] = {"movie": "movies_eligible", "series": "series_eligible", "episode": "episodes_eligible"}
"""What the source counts of a kind."""
_ROWS_TOLD = 500
_PATIENCE = 20
"""While the counters stand still, comparing may take one part in so many of the time."""

Counts = Counter[tuple[Kind, str]]
"""How many items of a kind were `added`, `changed`, `removed`, or are `held`, or (under their names) `not_renamed`."""


@dataclass
class Outcome:
    """What a sync did."""

    generation: int
    changed: bool = False
    """Whether this generation is new."""
    remade: bool = False
    """Whether the one before was made with other settings, or by another version."""
    counts: Counts = field(default_factory=Counter)
    unmatched: tuple[tuple[str, str], ...] = ()
    """Setting and pattern of each filter that matched nothing in all the catalogue."""

    kept: Sequence[Held] = ()
    """What is held, and why."""

    @property
    def held(self) -> int:
        """How many items the shrink brake keeps in the tree."""
        return sum(number for (_, what), number in self.counts.items() if what in ("held", "not_renamed"))

    def warnings(self) -> Iterator[str]:
        """What the user should look at, beside what is held."""
        for setting, pattern in self.unmatched:
            effect = "keeps nothing out" if pattern.startswith("!") else "lets nothing in"
            yield f"{setting}: {pattern} matches nothing in the catalogue, so it {effect}."

    def describe(self) -> str:
        """What changed, in words: `12 movies added, 1 episode held`."""
        plural = {"movie": "movies", "version": "versions", "series": "series", "episode": "episodes"}
        parts = [
            f"{number} {kind if number == 1 else plural[kind]} {what.replace('_', ' ')}"
            for (kind, what), number in sorted(self.counts.items())
            if number
        ]
        return ", ".join(parts) or ("names or contents changed" if self.changed else "nothing changed")


def sync(
    source: Source,
    settings: LibrarySettings,
    state_dir: Path,
    *,
    max_shrink: int = 20,
    accept_shrink: bool = False,
    patient: bool = False,
    thorough: bool = False,
    tell: Tell = lambda done, total: None,
) -> Outcome:
    """One refresh of the index.

    Args:
        source: the catalogue.
        settings: the library's.
        state_dir: where the index is; made if need be.
        max_shrink: the percentage of items beyond which removals are held back; see `brake`.
        accept_shrink: whether to remove what is held back.
        patient: whether a comparison may be put off when it is costly and nothing says that the catalogue
            changed, as in regular looks.
        thorough: whether to look for damage in all of the index first. What is found on the way is mended anyhow.
        tell: called now and then with how many rows have been read.

    Raises:
        CatalogError: the catalogue cannot be read; the index says so from now on, and keeps its generation.
        IndexFileError: the index cannot be written.
    """
    try:
        with writing(state_dir):
            create(state_dir, thorough=thorough)
            run = partial(_sync, source, settings, state_dir, max_shrink, accept_shrink, patient, tell)
            try:
                return run()
            except (sqlite3.Error, IndexFileError) as error:
                if not is_damage(error):
                    raise
            replace(state_dir)
            return run()
    except (sqlite3.Error, OSError) as error:
        why = f": {which_is_full(state_dir)}" if is_full(error) else f" ({error})."
        raise IndexFileError(f"state directory {state_dir}: the index cannot be written{why}") from error


def _sync(
    source: Source,
    settings: LibrarySettings,
    state_dir: Path,
    max_shrink: int,
    accept_shrink: bool,
    patient: bool,
    tell: Tell,
) -> Outcome:
    with closing(connect(state_dir, writable=True)) as connection:
        started = time.time_ns()
        try:
            run = _Run(connection, state_dir, settings, max_shrink, accept_shrink, started, tell)
            return run.sync(source, patient)
        except Exception as error:
            if not is_damage(error):
                _note_failure(connection, started, str(error))
            raise


def _note_failure(connection: sqlite3.Connection, started: int, error: str) -> None:
    """Note that a sync failed, and since when they do: some fail only after having waited for long."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute(
        "UPDATE attempt SET failing_since = ?, error = ? WHERE failing_since = 0", (started // 10**9, error)
    )
    # Written only when it differs: whatever is written makes a mount read its index anew.
    connection.execute("UPDATE attempt SET error = ? WHERE error != ?", (error, error))


class _Known(NamedTuple):
    """An item as the index has it."""

    source: int
    node: int
    parent: int
    held: int
    uuid: str
    account: int
    stream: str
    item: bytes
    name: str
    """Before a collision changed it."""

    def differs(self, fresh: Fresh) -> bool:
        """Whether the catalogue has it otherwise."""
        moved = self.parent != fresh.parent and fresh.kind != NodeKind.SERIES
        known = (self.uuid, self.account, self.stream, self.item)
        keys = fresh.keys
        return moved or known != (keys.uuid, keys.account, keys.stream, keys.item)


@dataclass
class _Run:
    """One run of `sync`."""

    connection: sqlite3.Connection
    state_dir: Path
    settings: LibrarySettings
    max_shrink: int
    accept_shrink: bool
    started: int
    """When, in nanoseconds since the epoch."""
    tell: Tell
    _read: int = 0
    """How many rows have been read."""
    _expected: int = 0
    """How many there are, if all are read; else 0."""
    _eligible: dict[Kind, int] = field(default_factory=dict)
    """How many there are of a kind, as far as they are counted."""

    def sync(self, source: Source, patient: bool) -> Outcome:
        """See the function of this name."""
        number, next_node, settings, version = self.connection.execute(
            "SELECT number, next_node, settings, version FROM generation"
        ).fetchone()
        form = (self.settings.model_dump_json(), __version__)
        same_form = form == (settings, version)
        quiet, written = source.marker()
        if same_form and not self.accept_shrink and self._is_quiet(quiet, written, patient):
            self.connection.execute("UPDATE attempt SET failing_since = 0, error = '' WHERE failing_since != 0")
            return Outcome(number, counts=self._held(), kept=self._kept())

        started = self.started
        self.connection.execute("BEGIN IMMEDIATE")
        counts: Counts = Counter()
        after = "" if self.accept_shrink else self._position()
        with source.snapshot(versions=self._all_versions, after=after) as snapshot:
            position = snapshot.position()
            same_form &= not self._renew_providers(snapshot)
            draft = Draft(
                self.connection, self.settings, number == 0, started, next_node, not same_form, self._providers()
            )
            in_database = snapshot.counts()
            self._eligible = {kind: in_database[metric] for kind, metric in _ELIGIBLE.items()}
            if draft.everything and not self._all_versions:
                self._expected = sum(self._eligible.values())
            rendered = draft.first or draft.everything
            with Extraction(self.settings, draft.providers, render=rendered) as extraction:
                unmatched = self._take_all(snapshot, draft, Intake(draft, extraction, snapshot), counts)
            changed = bool(draft.first or draft.added or draft.changed or not same_form)
        remade = number > 0 and form != (settings, version)
        outcome = Outcome(number, changed, remade, counts, unmatched)
        outcome.kept = find_held(self.connection, self.settings, self.max_shrink) if outcome.held else ()
        decided = {"held": [list(each) for each in outcome.kept], "max_shrink": self.max_shrink}
        if outcome.changed:
            self._refuse_empty()
            outcome.generation = number + 1
            self._log_changes(draft, outcome.generation, next_node)
            counted = json.dumps(count(self.connection, in_database, self.settings.media_server) | decided)
            self.connection.execute(
                "UPDATE generation SET number = ?, made = ?, settings = ?, version = ?, next_node = ?, stats = ?",
                (outcome.generation, started, *form, draft.next_node, counted),
            )
        else:
            self._renew_counts({"database": in_database} | decided)
        self.connection.execute(
            "UPDATE attempt SET compared = ?, took = ?, quiet = ?, written = ?, position = ?, failing_since = 0,"
            " error = ''",
            (started, time.time_ns() - started, quiet, written, position),
        )
        self.connection.execute("COMMIT")
        return outcome

    def _position(self) -> str:
        """Where the database stood when it was last compared."""
        return str(self.connection.execute("SELECT position FROM attempt").fetchone()[0])

    def _renew_counts(self, counted: dict[str, object]) -> None:
        """Without a new generation, what is not eligible may have changed, and the limit."""
        stats = self._counted()
        if stats | counted != stats:
            self.connection.execute("UPDATE generation SET stats = ?", (json.dumps(stats | counted),))

    def _kept(self) -> list[Held]:
        return [Held(*each) for each in self._counted().get("held", ())]

    def _counted(self) -> dict[str, Any]:
        """What is noted of the generation: its metrics by scope, and what the brake decided."""
        [text] = self.connection.execute("SELECT stats FROM generation").fetchone()
        counted: dict[str, Any] = json.loads(text)
        return counted

    @property
    def _all_versions(self) -> bool:
        return self.settings.versions == "all"

    def _held(self) -> Counts:
        gone = {(kind, "held"): len(self._nodes(kind, "held = 1")) for kind in KINDS if kind != "series"}
        return Counter(gone | {(kind, "not_renamed"): len(self._nodes(kind, "held = 2")) for kind in KINDS})

    def _is_quiet(self, quiet: str, written: str, patient: bool) -> bool:
        """Whether there is nothing to compare; see `Source.marker`."""
        compared, took, quiet_then, written_then = self.connection.execute(
            "SELECT compared, took, quiet, written FROM attempt"
        ).fetchone()
        if self._may_let_go():
            return False
        if quiet == quiet_then:
            return True
        # A clock that was set back must not make it wait.
        return patient and written == written_then and 0 <= time.time_ns() - compared < _PATIENCE * took

    def _may_let_go(self) -> bool:
        """Whether something is held, perhaps for what is older than a day by now, or for a limit that was another."""
        for table, held in (("mark", HELD_GONE), ("renamed", HELD_NAME)):
            if not self.connection.execute(f"SELECT 1 FROM node WHERE held = {held} LIMIT 1").fetchone():
                continue
            if self._counted().get("max_shrink") != self.max_shrink:
                return True
            query = f"SELECT 1 FROM {table} WHERE at <= ? LIMIT 1"
            if self.connection.execute(query, (self.started - WINDOW,)).fetchone():
                return True
        return False

    def _renew_providers(self, snapshot: Snapshot) -> bool:
        """Keep what direct URLs are made from, if they are wanted; returns whether that changed."""
        before = self._providers()
        now = {}
        if self.settings.direct_urls:
            now = {known[0]: provider_url(*known[1:]) for known in snapshot.credentials()}
        if before == now:
            return False
        self.connection.execute("DELETE FROM provider")
        self.connection.executemany("INSERT INTO provider VALUES (?, ?)", now.items())
        return True

    def _providers(self) -> dict[int, str]:
        return dict(self.connection.execute("SELECT account, url FROM provider"))

    def _take_all(
        self, snapshot: Snapshot, draft: Draft, intake: Intake, counts: Counts
    ) -> tuple[tuple[str, str], ...]:
        """Bring everything up to date; returns what `Outcome.unmatched` is."""
        lost: dict[Kind, set[int]] = {}
        self.connection.execute(RENAMED)
        limit = Brake(self.connection, draft.now, draft.next_node, self.max_shrink)
        if self.accept_shrink:
            limit.release()
        elif draft.everything:
            limit.forget_names()
        for kind in KINDS:
            intake.prepare(kind, lost)
            lost[kind] = self._take(kind, snapshot, draft, intake, counts, limit)
            if kind == "series":
                # An episode's row says nothing of its series: whether that is filtered, or has another title.
                draft.series_moved |= bool(lost[kind]) or (counts[kind, "added"] > 0 and intake.filter.active)
            else:
                self._let_go(kind, draft, lost, counts, limit)
        if draft.first or draft.everything:
            for statement in INDEXES:
                self.connection.execute(statement)
        settle_folders(draft, lost["series"])
        naming.settle(draft)
        if self._all_versions:
            name_versions(draft)
            naming.settle(draft)
        render_series(draft)
        settle_mtimes(draft)
        return tuple(intake.filter.unmatched()) if draft.everything else ()

    def _take(
        self, kind: Kind, snapshot: Snapshot, draft: Draft, intake: Intake, counts: Counts, limit: Brake
    ) -> set[int]:
        """Compare one kind of row with the index and write what differs.

        Returns:
            The nodes whose items are no longer in the catalogue.
        """
        if kind == "version" and not self._all_versions:
            return self._nodes(kind)
        blocks = self._blocks_to_read(kind, snapshot, draft)
        gone = self._nodes(kind, "held = 1")
        where = "AND " + in_blocks(blocks).format(id="source") if blocks else ""
        if blocks is None or blocks:
            self.connection.execute(f"DELETE FROM filtered WHERE kind = ? {where}", (kind,))
        arrived: set[int] = set()
        again: dict[int, int] = {}
        """Nodes added for items that the index has, by the node of each."""
        if blocks is None or blocks:
            with closing(connect(self.state_dir)) as before:
                arriving = intake.take(self._told(snapshot.rows(kind, blocks)), self._number(kind, blocks))
                for fresh, known in _merge(arriving, _known(before, kind, blocks)):
                    if known is not None and (fresh is None or fresh.keys.uuid != known.uuid):
                        gone.add(known.node)
                        known = None
                    if fresh is None:
                        continue
                    if known is None:
                        node = draft.add(fresh)
                        counts[kind, "added"] += 1
                        if not draft.first:
                            arrived.add(node)
                        continue
                    gone.discard(known.node)
                    if self._is_to_be_judged(known, fresh, draft):
                        again[draft.add(fresh)] = known.node
                        continue
                    differs = known.differs(fresh)
                    if differs or known.held or draft.everything:
                        draft.update(known.node, fresh)
                        counts[kind, "changed"] += differs
        draft.flush()
        self._note_digests(kind, snapshot.digests(kind))
        if gone and arrived:
            recognised = reunite(self.connection, gone, arrived)
            gone -= set(recognised.values())
            counts[kind, "added"] -= len(recognised)
            again |= recognised
        self._rename(kind, again, draft, counts, limit)
        return gone

    def _is_to_be_judged(self, known: _Known, fresh: Fresh, draft: Draft) -> bool:
        """Whether an item would get another name, or place, for no reason that the settings give."""
        if self.accept_shrink or fresh.kind == NodeKind.VERSION:
            return False
        if draft.everything:
            return known.held == HELD_NAME
        return draft.moves(Place(known.parent, known.name), fresh)

    def _rename(self, kind: Kind, again: Mapping[int, int], draft: Draft, counts: Counts, limit: Brake) -> None:
        """Have items become what was added for them, or keep their names.

        Args:
            kind: of the items.
            again: the node of each by the one that was added for it.
        """
        keep: Set[int] = set()
        if again and kind != "version" and not self.accept_shrink:
            judged = again.items()
            if draft.everything:
                pending = self._nodes(kind, f"held = {HELD_NAME}")
                judged = {new: old for new, old in again.items() if old in pending}.items()
            moves = [move for new, old in judged if (move := draft.move(old, new))]
            keep = limit.holds_renames(_NODE_KINDS[kind], moves)
        for new, old in again.items():
            if old in keep:
                draft.keep_name(old, new)
                counts[kind, "not_renamed"] += 1
            else:
                draft.absorb(old, new)
                counts[kind, "changed"] += 1
        # What is not as the catalogue has it is looked at again each time.
        self.connection.execute(
            f"DELETE FROM block WHERE kind = ? AND block IN (SELECT source >> {BLOCK_BITS}"
            f" FROM node JOIN content USING (id) WHERE node.kind = ? AND held = {HELD_NAME})",
            (kind, _NODE_KINDS[kind]),
        )

    def _told(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            yield row
            self._read += 1
            if self._read % _ROWS_TOLD == 0:
                self.tell(self._read, self._expected)

    def _number(self, kind: Kind, blocks: Set[int] | None) -> int:
        """About how many rows will be read; with a file for each version, there are more of them than counted."""
        eligible = self._eligible["movie" if kind == "version" else kind]
        return eligible if blocks is None else min(eligible, len(blocks) << BLOCK_BITS)

    def _blocks_to_read(self, kind: Kind, snapshot: Snapshot, draft: Draft) -> Set[int] | None:
        """The blocks of rows that differ from the last time; None for all."""
        if draft.first or draft.everything or (kind == "episode" and draft.series_moved):
            return None
        digests = snapshot.digests(kind)
        if digests is None:
            return None
        before = dict(self.connection.execute("SELECT block, digest FROM block WHERE kind = ?", (kind,)))
        return {block for block, _ in before.items() ^ digests.items()}

    def _note_digests(self, kind: Kind, digests: dict[int, str] | None) -> None:
        self.connection.execute("DELETE FROM block WHERE kind = ?", (kind,))
        rows = [(kind, block, digest) for block, digest in (digests or {}).items()]
        self.connection.executemany("INSERT INTO block VALUES (?, ?, ?)", rows)

    def _nodes(self, kind: Kind, condition: str = "true") -> set[int]:
        query = f"SELECT id FROM node WHERE kind = ? AND {condition}"
        return {node for (node,) in self.connection.execute(query, (_NODE_KINDS[kind],))}

    def _let_go(self, kind: Kind, draft: Draft, lost: Mapping[Kind, Set[int]], counts: Counts, limit: Brake) -> None:
        """Remove what is gone, or hold it back."""
        gone = lost[kind]
        held: Set[int] = set()
        if kind == "version":
            # They go with their movie, and are held with it, but where it has a .strm of its own now.
            held = gone & self._nodes(kind, "parent IN (SELECT id FROM node WHERE held = 1 AND strm_size = 0)")
        elif self.accept_shrink:
            pass
        elif limit.holds(_NODE_KINDS[kind], gone, counts[kind, "added"]):
            held = gone
        elif kind == "episode":
            held = emptied_series(self.connection, gone, lost["series"])
        if draft.everything:
            draft.renew(held)
        draft.hold(held)
        draft.remove(gone - held)
        if not self.accept_shrink and kind != "version":
            limit.note(_NODE_KINDS[kind], gone - held)
        counts[kind, "removed"] += len(gone) - len(held)
        counts[kind, "held"] += len(held)

    def _refuse_empty(self) -> None:
        shown = "SELECT 1 FROM node WHERE kind IN (?, ?) LIMIT 1"
        if self.connection.execute(shown, (NodeKind.MOVIE, NodeKind.EPISODE)).fetchone():
            return
        [filtered] = self.connection.execute("SELECT count(*) FROM filtered").fetchone()
        if filtered:
            raise FilteredOutError(
                f"the filters keep out all {filtered} titles of the catalogue, so there is no library to make.\n"
                "Check accounts, categories, genres, languages, ids, years and adult: an include that matches nothing"
                " lets nothing in."
            )
        raise CatalogError(
            "the catalogue holds no movie and no episode that could be shown, so there is no library to make.\n"
            "Check in Dispatcharr that an account is active, has VOD enabled and has been refreshed,"
            " and that its categories are enabled."
        )

    def _log_changes(self, draft: Draft, number: int, first_new: int) -> None:
        """Note what differs from the generation before, which had only nodes below `first_new`, for those who cached
        it."""
        if draft.first:
            return
        with closing(Store(self.state_dir)) as before:
            known = sorted(node for node in draft.changed if node < first_new)
            nodes = ((before.node(node), node_in(self.connection, node)) for node in known)
            rows = (
                (number, *change)
                for old, new in nodes
                for change in differences(old, new, before.settings, self.settings)
            )
            self.connection.executemany("INSERT INTO change VALUES (?, ?, ?, ?, ?)", rows)
        arrived = arrived_nodes(self.connection, first_new)
        rows = ((number, *change) for node in arrived for change in arrivals(node, self.settings))
        self.connection.executemany("INSERT INTO change VALUES (?, ?, ?, ?, ?)", rows)
        self.connection.execute("DELETE FROM change WHERE generation <= ?", (number - GENERATIONS_REMEMBERED,))


def _known(connection: sqlite3.Connection, kind: Kind, blocks: Set[int] | None) -> Iterator[_Known]:
    where = "AND " + in_blocks(blocks).format(id="source") if blocks else ""
    rows = connection.execute(
        f"""SELECT source, id, parent, held, uuid, account, stream, item, coalesce(plain, name)
        FROM content JOIN node USING (id) WHERE content.kind = ? {where} ORDER BY source, held = {HELD_GONE}""",
        (_NODE_KINDS[kind],),
    )
    return map(_Known._make, rows)


def _merge(
    arriving: Iterable[tuple[int, Fresh]], known: Iterator[_Known]
) -> Iterator[tuple[Fresh | None, _Known | None]]:
    """Pair two sequences, each in ascending order of the catalogue's id."""
    item = next(known, None)
    for source, fresh in arriving:
        while item is not None and item.source < source:
            yield None, item
            item = next(known, None)
        if item is not None and item.source == source:
            yield fresh, item
            item = next(known, None)
        else:
            yield fresh, None
    while item is not None:
        yield None, item
        item = next(known, None)
