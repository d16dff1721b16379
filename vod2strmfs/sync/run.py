"""Bringing the index up to date with the catalogue: the next generation, in one transaction."""

import json
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from vod2strmfs import __version__
from vod2strmfs.catalog.queries import BLOCK_BITS, KINDS, Kind, in_blocks
from vod2strmfs.catalog.source import Row, Snapshot, Source
from vod2strmfs.catalog.written import Look, Seen, decode, encode
from vod2strmfs.errors import CatalogError, FilteredOutError, IndexFileError
from vod2strmfs.extract.incoming import Incoming
from vod2strmfs.host.room import is_full, which_is_full
from vod2strmfs.index.art import shows_art
from vod2strmfs.index.changes import GENERATIONS_REMEMBERED, arrivals, differences
from vod2strmfs.index.file import (
    HELD_INDEXES,
    INDEXES,
    PAST,
    RENAMED,
    SEEN,
    connect,
    create,
    is_damage,
    replace,
    writing,
)
from vod2strmfs.index.held import Held
from vod2strmfs.index.merge import OF_NEW, explain_merge, merge_made_with, remember_merge
from vod2strmfs.index.store import Store, arrived_nodes, node_in
from vod2strmfs.library.contents import provider_url
from vod2strmfs.library.kinds import WAITING_NODE, NodeKind
from vod2strmfs.settings import MAX_SHRINK, LibrarySettings
from vod2strmfs.status.progress import noting
from vod2strmfs.sync import collisions
from vod2strmfs.sync.brake import HELD_GONE, HELD_NAME, WINDOW, Brake, Place, emptied_series, other_versions
from vod2strmfs.sync.compare import NODE_KINDS, Known, known_items, merge
from vod2strmfs.sync.convert_many import ManyRows
from vod2strmfs.sync.counts import count, count_changes, count_shelves, find_held, with_filtered
from vod2strmfs.sync.draft import Draft
from vod2strmfs.sync.folders import name_versions, render_series, settle_folders
from vod2strmfs.sync.identity import KEPT_OUT, name_kept_out, reunite
from vod2strmfs.sync.joining import Joiner
from vod2strmfs.sync.joining_episodes import EpisodeJoiner
from vod2strmfs.sync.mtimes import settle_mtimes
from vod2strmfs.sync.pictures import hide_pictures
from vod2strmfs.sync.placing import Placer
from vod2strmfs.sync.progress import Tell
from vod2strmfs.sync.result import Counts, SyncResult
from vod2strmfs.sync.shelf_changes import ShelfChanges
from vod2strmfs.sync.shelf_plans import Plans
from vod2strmfs.sync.shelves import ShelfSync

_ELIGIBLE: dict[Kind, str] = {"movie": "movies_eligible", "series": "series_eligible", "episode": "episodes_eligible"}
"""What the source counts of a kind."""
_ROWS_TOLD = 500
_PATIENCE = 20
"""While the counters stand still, comparing may take one part in so many of the time."""
_NOTED_WITHIN = 600 * 10**9
"""Nanoseconds after which a comparison that found nothing is noted in the index all the same."""
_DAY = 86_400 * 10**9
"""Nanoseconds after which all blocks are compared, and not only those that were written: when there are few of these,
as a rule, and when there are many, after a week."""

_log = logging.getLogger("vod2strmfs")

_ABOVE: dict[Kind, NodeKind] = {"version": NodeKind.MOVIE, "episode": NodeKind.SERIES}
"""What holds the files of a row of each kind."""


class Comparison(NamedTuple):
    """A comparison of the catalogue with the index: columns of the table `attempt`."""

    compared: int = 0
    """When, nanoseconds since the epoch."""
    took: int = 0
    """Nanoseconds."""
    quiet: str = ""
    """The source's marker then, with `written`."""
    written: str = ""
    position: str = ""
    """Where the database stood; see `Source.snapshot`."""


class Memory(NamedTuple):
    """What a comparison saw of the catalogue's tables. It may be older than the digests in the index, never newer."""

    noted: int
    """`attempt.compared` as it stood in the index then: with another, the digests are others as well."""
    whole: int
    """When all blocks were compared the last time, nanoseconds since the epoch."""
    seen: Seen


@dataclass
class Looks:
    """The last comparison, for whoever looks again and again: one that finds nothing is noted here and not on disk."""

    last: Comparison = field(default_factory=Comparison)
    memory: Memory | None = None


def sync(
    source: Source,
    settings: LibrarySettings,
    state_dir: Path,
    *,
    max_shrink: int = MAX_SHRINK,
    accept_shrink: bool = False,
    patient: bool = False,
    thorough: bool = False,
    looks: Looks | None = None,
    tell: Tell = lambda done, total: None,
) -> SyncResult:
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
        looks: of the same caller with the same arguments before.
        tell: called now and then with how many rows have been read.

    Raises:
        CatalogError: the catalogue cannot be read; the index says so from now on, and keeps its generation.
        IndexFileError: the index cannot be written.
    """
    try:
        with writing(state_dir):
            settings = _with_merge(settings, state_dir)  # before an index that is damaged is moved aside
            create(state_dir, thorough=thorough)
            with noting(state_dir, "Reading the catalogue", "titles", tell) as told:
                run = partial(_sync, source, settings, state_dir, max_shrink, accept_shrink, patient, looks, told)
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


def _with_merge(settings: LibrarySettings, state_dir: Path) -> LibrarySettings:
    """The settings, with what is joined said in any case."""
    made_with = merge_made_with(state_dir)
    _log.debug("merge is %s.", explain_merge(settings.merge, made_with))
    return settings if settings.merge else settings.model_copy(update={"merge": made_with or OF_NEW})


def _sync(
    source: Source,
    settings: LibrarySettings,
    state_dir: Path,
    max_shrink: int,
    accept_shrink: bool,
    patient: bool,
    looks: Looks | None,
    tell: Tell,
) -> SyncResult:
    with closing(connect(state_dir, writable=True)) as connection:
        started = time.time_ns()
        assert settings.merge is not None
        remember_merge(connection, settings.merge)
        try:
            run = _Run(connection, state_dir, settings, max_shrink, accept_shrink, started, looks, tell)
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


def _without_shelves(settings: str) -> object:
    """What decides names and bytes in the library itself, of settings as the index has them."""
    kept = json.loads(settings) if settings else {}
    kept.pop("shelf", None)
    return kept


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
    looks: Looks | None
    tell: Tell
    _read: int = 0
    """How many rows have been read."""
    _expected: int = 0
    """How many there are, if all are read; else 0."""
    _eligible: dict[Kind, int] = field(default_factory=dict)
    """How many there are of a kind, as far as they are counted."""
    _look: Look | None = None
    _whole: bool = True
    """Whether all blocks are compared, and not only those that were written."""
    _digests_differ: bool = False
    """Whether the index has other digests than before."""

    def sync(self, source: Source, patient: bool) -> SyncResult:
        """See the function of this name."""
        number, next_node, settings, version = self.connection.execute(
            "SELECT number, next_node, settings, version FROM generation"
        ).fetchone()
        form = (self.settings.model_dump_json(), __version__)
        same_form = (_without_shelves(form[0]), form[1]) == (_without_shelves(settings), version)
        plans = Plans(self.connection, self.settings.shelf)
        quiet, written = source.marker()
        may_be_quiet = same_form and not self.accept_shrink and not plans.differ and not plans.may_let_go(self.started)
        if may_be_quiet and self._is_quiet(quiet, written, patient):
            self.connection.execute("UPDATE attempt SET failing_since = 0, error = '' WHERE failing_since != 0")
            held, notes = plans.number_held(), tuple(plans.notes())
            return SyncResult(number, counts=self._held(), kept=self._kept(), held_on_shelves=held, notes=notes)

        started = self.started
        self.connection.execute("BEGIN IMMEDIATE")
        counts: Counts = Counter()
        after = "" if self.accept_shrink else self._last_comparison().position
        with source.snapshot(versions=self._all_versions, after=after) as snapshot:
            position = snapshot.position()
            same_form &= not self._renew_providers(snapshot)
            draft = Draft(
                self.connection, self.settings, number == 0, started, next_node, not same_form, self._providers()
            )
            rendered = draft.first or draft.everything
            with ManyRows(self.settings, draft.providers, render=rendered) as many_rows:
                if rendered:
                    many_rows.prepare(snapshot)
                memory = self._memory()
                self._look_at(snapshot, memory)
                in_database = snapshot.counts()
                self._eligible = {kind: in_database[metric] for kind, metric in _ELIGIBLE.items()}
                if draft.everything and not self._all_versions:
                    self._expected = sum(self._eligible.values())
                shelves = ShelfSync(draft, plans, self.max_shrink, self.accept_shrink)
                unmatched = self._take_all(snapshot, draft, Placer(draft, many_rows, snapshot), counts)
            shelves.settle(snapshot, draft.retimed)
            changed = bool(draft.first or draft.added or draft.changed or shelves.changed or not same_form)
        remade = number > 0 and form != (settings, version)
        outcome = SyncResult(number, changed, remade, counts, (*unmatched, *shelves.unmatched))
        outcome.kept = find_held(self.connection, self.settings, self.max_shrink) if outcome.held else []
        outcome.kept = (*outcome.kept, *shelves.kept)
        outcome.held_on_shelves, outcome.on_shelves = shelves.held, shelves.told
        outcome.notes = (*plans.notes(), *shelves.notes)
        decided = {"held": [list(each) for each in outcome.kept], "max_shrink": self.max_shrink}
        if outcome.changed:
            self._refuse_empty()
            outcome.generation = number + 1
            self._log_changes(draft, outcome.generation, next_node, shelves.moved)
            counted = json.dumps({"database": in_database} | self._count(draft, plans, next_node) | decided)
            self.connection.execute(
                "UPDATE generation SET number = ?, made = ?, settings = ?, version = ?, next_node = ?, stats = ?",
                (outcome.generation, started, *form, draft.next_node, counted),
            )
            self.connection.execute("INSERT OR REPLACE INTO past VALUES (?, ?)", (outcome.generation, started))
        else:
            index = with_filtered(self.connection, self._counted()["index"])
            self._renew_counts({"database": in_database, "index": index} | decided)
        now = Comparison(started, time.time_ns() - started, quiet, written, position)
        is_noted = self._note(now, outcome.changed)
        noted = started if is_noted else self._noted()
        whole = started if self._whole or not memory else memory.whole
        remembered = Memory(noted, whole, self._look.seen) if self._look else None
        if is_noted:
            self._remember(remembered)
        self.connection.execute("COMMIT")
        if self.looks is not None:
            # Not before: if this sync cannot be written, the next one has to compare again.
            self.looks.last, self.looks.memory = now, remembered
        return outcome

    def _count(self, draft: Draft, plans: Plans, first_new: int) -> dict[str, dict[str, int]]:
        """What there is in the index, by scope and metric; of a large one, from what there was and what differs, if
        that was counted without shelves."""
        media_server = self.settings.media_server
        if draft.first or draft.everything or plans.each or plans.gone:
            return count_shelves(self.connection, media_server, count(self.connection, media_server))
        gone = {node for node in draft.changed if node < first_new}
        come = draft.changed | draft.added
        return count_changes(self.connection, self.state_dir, media_server, self._counted(), gone, come)

    def _note(self, comparison: Comparison, changed: bool) -> bool:
        """Note a comparison; returns whether on disk. Whatever is written has a mount look at its index, and a disk
        turn."""
        compared, failing_since = self.connection.execute("SELECT compared, failing_since FROM attempt").fetchone()
        differs = changed or self._digests_differ
        is_due = differs or failing_since or not 0 <= comparison.compared - compared < _NOTED_WITHIN
        if is_due or self.looks is None:
            columns = ", ".join(f"{column} = ?" for column in Comparison._fields)
            self.connection.execute(f"UPDATE attempt SET {columns}, failing_since = 0, error = ''", comparison)
            return True
        return False

    def _noted(self) -> int:
        [compared] = self.connection.execute("SELECT compared FROM attempt").fetchone()
        return int(compared)

    def _memory(self) -> Memory | None:
        """What the last comparison saw, or an earlier one since which the digests in the index are the same."""
        self.connection.execute(SEEN)
        noted = self._noted()
        if self.looks and self.looks.memory and self.looks.memory.noted == noted:
            return self.looks.memory
        row = self.connection.execute("SELECT whole, data FROM seen WHERE compared = ?", (noted,)).fetchone()
        seen = decode(row[1]) if row else None
        return Memory(noted, row[0], seen) if seen else None

    def _remember(self, memory: Memory | None) -> None:
        self.connection.execute("DELETE FROM seen")
        if memory:
            row = (memory.noted, memory.whole, encode(memory.seen))
            self.connection.execute("INSERT INTO seen VALUES (?, ?, ?)", row)

    def _look_at(self, snapshot: Snapshot, memory: Memory | None) -> None:
        """Find out which blocks were written, if the catalogue tells."""
        if self._all_versions:
            return
        self._look = look = snapshot.look(memory.seen if memory else None)
        if look is None or look.blocks is None or memory is None or self.accept_shrink:
            return
        age = self.started - memory.whole
        # A clock that was set back must not make it wait.
        self._whole = not 0 <= age < (_DAY if look.few else 7 * _DAY)

    def _last_comparison(self) -> Comparison:
        query = f"SELECT {', '.join(Comparison._fields)} FROM attempt"
        noted = Comparison(*self.connection.execute(query).fetchone())
        # Of an index that was made anew, nothing is remembered.
        return max(self.looks.last, noted) if self.looks and noted.compared else noted

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
        seen = f"parent != {WAITING_NODE}"
        gone = {
            (kind, "held"): len(self._nodes(kind, f"held = {HELD_GONE} AND {seen}"))
            for kind in KINDS
            if kind != "series"
        }
        return Counter(gone | {(kind, "not_renamed"): len(self._nodes(kind, f"held = {HELD_NAME}")) for kind in KINDS})

    def _is_quiet(self, quiet: str, written: str, patient: bool) -> bool:
        """Whether there is nothing to compare; see `Source.marker`."""
        last = self._last_comparison()
        if self._may_let_go():
            return False
        if quiet == last.quiet:
            return True
        # A clock that was set back must not make it wait.
        return patient and written == last.written and 0 <= time.time_ns() - last.compared < _PATIENCE * last.took

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
        self, snapshot: Snapshot, draft: Draft, placer: Placer, counts: Counts
    ) -> tuple[tuple[str, str], ...]:
        """Bring everything up to date; returns what `SyncResult.unmatched` is."""
        lost: dict[Kind, set[int]] = {}
        for statement in (RENAMED, PAST, KEPT_OUT, *HELD_INDEXES):
            self.connection.execute(statement)
        limit = Brake(self.connection, draft.now, draft.next_node, self.max_shrink)
        if self.accept_shrink:
            limit.release()
        elif draft.everything:
            limit.forget_names()
        joiner = Joiner(draft, placer.groups.priorities, placer.groups.accounts)
        placer.labels = joiner.label_of
        for kind in KINDS:
            kept = self._nodes(kind, f"held = {HELD_NAME}")
            lost[kind] = self._take(kind, snapshot, draft, placer, joiner, counts, limit, lost)
            waiting: Set[int] = set()
            if kind != "version":
                waiting = self._join(kind, draft, joiner, lost[kind], kept, counts, limit)
            self._look_again(kind)
            if kind == "series":
                # An episode's row says nothing of its series: whether that is filtered, or has another title.
                draft.series_moved |= bool(lost[kind]) or (counts[kind, "added"] > 0 and placer.filter.active)
            else:
                self._let_go(kind, draft, lost, waiting, joiner, counts, limit)
        draft.settle_released()
        if draft.first or draft.everything:
            for statement in INDEXES:
                self.connection.execute(statement)
        settle_folders(draft, lost["series"])
        collisions.settle(draft)
        if self._all_versions:
            name_versions(draft)
            collisions.settle(draft)
        render_series(draft)
        if self.settings.artwork != "files":
            hide_pictures(draft)
        settle_mtimes(draft)
        return tuple(placer.filter.unmatched()) if draft.everything else ()

    def _join(
        self, kind: Kind, draft: Draft, joiner: Joiner, gone: set[int], kept: Set[int], counts: Counts, limit: Brake
    ) -> Set[int]:
        """Join the rows of one kind to titles.

        Args:
            kind: of the rows.
            draft: with all of them.
            joiner: which joins them.
            gone: the nodes whose items are no longer in the catalogue; those that are removed here are taken out.
            kept: nodes whose names or places were held before.
            counts: of this sync.
            limit: the brake.

        Returns:
            Those of what is gone that wait for others that are gone, too.
        """
        waiting = joiner.drop(gone)
        episodes = EpisodeJoiner(draft, joiner)
        if kind == "episode":
            counts[kind, "merged"] += episodes.settle(gone)
            return waiting
        joined, stay = joiner.settle(NODE_KINDS[kind], gone, limit, kept, accept=self.accept_shrink)
        counts[kind, "merged"] += joined
        counts[kind, "not_renamed"] += stay
        if kind == "series":
            episodes.arrange()
        return waiting

    def _take(
        self, kind: Kind, snapshot: Snapshot, draft: Draft, placer: Placer, joiner: Joiner, counts: Counts,
        limit: Brake, lost: Mapping[Kind, Set[int]],
    ) -> set[int]:  # fmt: skip
        """Compare one kind of row with the index and write what differs.

        Args:
            lost: what was returned of the kinds before.

        Returns:
            The nodes whose items are no longer in the catalogue.
        """
        if kind == "version" and not self._all_versions:
            return set() if draft.first else self._nodes(kind)
        digests = self._digests_now(kind, snapshot, draft)
        blocks = None if digests is None else {block for block, _ in self._digests(kind).items() ^ digests.items()}
        gone = self._nodes(kind, f"held = {HELD_GONE}")
        where = "AND " + in_blocks(blocks).format(id="source") if blocks else ""
        if blocks is None or blocks:
            self.connection.execute(f"DELETE FROM filtered WHERE kind = ? {where}", (kind,))
        arrived: set[int] = set()
        again: dict[int, int] = {}
        """Nodes added for items that the index has, by the node of each."""
        if blocks is None or blocks:
            placer.prepare(kind, lost, joiner.hosts(_ABOVE[kind]) if kind in _ABOVE else {})
            with closing(connect(self.state_dir)) as before:
                arriving = placer.take(self._told(snapshot.rows(kind, blocks)), self._number(kind, blocks))
                for incoming, known in merge(arriving, known_items(before, kind, blocks)):
                    if known is not None and (incoming is None or incoming.keys.uuid != known.uuid):
                        gone.add(known.node)
                        known = None
                    if incoming is None:
                        continue
                    if known is None:
                        node = draft.add(incoming)
                        counts[kind, "added"] += 1
                        if not draft.first:
                            arrived.add(node)
                        continue
                    gone.discard(known.node)
                    if self._is_to_be_judged(known, incoming, draft):
                        again[draft.add(incoming)] = known.node
                        continue
                    differs = known.differs(incoming)
                    if differs or known.held == HELD_GONE or draft.everything:
                        draft.update(known.node, incoming)
                        counts[kind, "changed"] += differs
                    elif known.held:
                        draft.release(known.node)
        draft.flush()
        self._note_digests(kind, snapshot.digests(kind) if digests is None else digests)
        if gone and arrived:
            recognised = reunite(self.connection, gone, arrived)
            # The row of before may be kept out by now, and its episodes, which are as they were, with it.
            draft.series_moved |= kind == "series" and bool(recognised) and placer.filter.active
            gone -= set(recognised.values())
            counts[kind, "added"] -= len(recognised)
            again |= recognised
        if gone and kind != "version":
            again |= joiner.take_over(gone)
        if gone and placer.filter.active:
            name_kept_out(self.connection, NODE_KINDS[kind], gone)
        self._rename(kind, again, draft, counts, limit)
        return gone

    def _is_to_be_judged(self, known: Known, incoming: Incoming, draft: Draft) -> bool:
        """Whether an item would get another name, or place, for no reason that the settings give."""
        if self.accept_shrink or incoming.kind == NodeKind.VERSION:
            return False
        if draft.everything:
            return known.held == HELD_NAME
        return draft.moves(Place(known.parent, known.name), incoming)

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
            keep = limit.holds_renames(NODE_KINDS[kind], moves)
        for new, old in again.items():
            if old in keep:
                draft.keep_name(old, new)
                counts[kind, "not_renamed"] += 1
            else:
                draft.absorb(old, new)
                counts[kind, "changed"] += 1

    def _look_again(self, kind: Kind) -> None:
        """Have what is not as the catalogue has it looked at again each time."""
        self.connection.execute(
            f"UPDATE block SET digest = '' WHERE kind = ? AND block IN (SELECT source >> {BLOCK_BITS}"
            f" FROM node JOIN content USING (id) WHERE node.kind = ? AND held = {HELD_NAME})",
            (kind, NODE_KINDS[kind]),
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

    def _digests_now(self, kind: Kind, snapshot: Snapshot, draft: Draft) -> dict[int, str] | None:
        """The digests of blocks of rows; None if all rows are to be read."""
        if draft.first or draft.everything or (kind == "episode" and draft.series_moved):
            return None
        if self._look is None or self._look.blocks is None:
            return snapshot.digests(kind)
        known = self._digests(kind)
        written = self._look.blocks[kind] | {block for block, digest in known.items() if not digest}
        if not self._whole:
            unwritten = {block: digest for block, digest in known.items() if block not in written}
            return unwritten | (snapshot.digests(kind, written) or {})
        digests = snapshot.digests(kind) or {}
        if missed := {block for block, _ in known.items() ^ digests.items()} - written:
            _log.warning(
                "%d blocks of the catalogue (%s) had changed without a transaction that had written them: please report"
                " this. They are up to date now.", len(missed), kind,
            )  # fmt: skip
        return digests

    def _digests(self, kind: Kind) -> dict[int, str]:
        return dict(self.connection.execute("SELECT block, digest FROM block WHERE kind = ?", (kind,)))

    def _note_digests(self, kind: Kind, digests: dict[int, str] | None) -> None:
        if (digests or {}) == self._digests(kind):
            return
        self._digests_differ = True
        self.connection.execute("DELETE FROM block WHERE kind = ?", (kind,))
        rows = [(kind, block, digest) for block, digest in (digests or {}).items()]
        self.connection.executemany("INSERT INTO block VALUES (?, ?, ?)", rows)

    def _nodes(self, kind: Kind, condition: str = "true") -> set[int]:
        query = f"SELECT id FROM node WHERE kind = ? AND {condition}"
        return {node for (node,) in self.connection.execute(query, (NODE_KINDS[kind],))}

    def _let_go(
        self,
        kind: Kind,
        draft: Draft,
        lost: Mapping[Kind, Set[int]],
        waiting: Set[int],
        joiner: Joiner,
        counts: Counts,
        limit: Brake,
    ) -> None:
        """Remove what is gone, or hold it back. What of it waits out of sight goes with the rest."""
        gone = lost[kind]
        added = counts[kind, "added"]
        if kind != "version":
            added -= joiner.waiting(NODE_KINDS[kind])
        if kind == "episode" and draft.everything and not self._all_versions:
            surplus = other_versions(self.connection, gone - waiting)
            draft.remove(surplus)
            counts[kind, "removed"] += len(surplus)
            gone = gone - surplus
        held: Set[int] = set()
        if kind == "version":
            # They go with their movie, and are held with it, but where it has a .strm of its own now.
            of_held = f"SELECT id FROM node WHERE held = {HELD_GONE} AND strm_size = 0"
            held = gone & self._nodes(kind, f"parent IN ({of_held})")
        elif self.accept_shrink or draft.first:
            pass
        elif limit.holds(NODE_KINDS[kind], gone - waiting, added):
            held = gone
        elif kind == "episode":
            held = emptied_series(self.connection, gone - waiting, lost["series"])
            held = held | {node for node in waiting if joiner.host_of(node) in held}
        if draft.everything:
            draft.renew(held)
        draft.hold(held)
        draft.remove(gone - held)
        if not self.accept_shrink and kind != "version":
            limit.note(NODE_KINDS[kind], gone - held - waiting)
        counts[kind, "removed"] += len(gone - held - waiting)
        counts[kind, "held"] += len(held - waiting)

    def _refuse_empty(self) -> None:
        kinds = [NodeKind.MOVIE, NodeKind.SERIES if self.settings.empty_series == "show" else NodeKind.EPISODE]
        shown = "SELECT 1 FROM node WHERE kind IN (?, ?) LIMIT 1"
        if self.connection.execute(shown, kinds).fetchone():
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

    def _log_changes(self, draft: Draft, number: int, first_new: int, on_shelves: Set[int]) -> None:
        """Note what differs from the generation before, which had only nodes below `first_new`, for those who cached
        it; also `on_shelves`."""
        if draft.first:
            return
        art = shows_art(self.connection)
        with closing(Store(self.state_dir)) as before:
            known = sorted(node for node in draft.changed if node < first_new)
            nodes = ((before.node(node), node_in(self.connection, node, art=art)) for node in known)
            shelves = ShelfChanges(before, self.connection, self.settings, on_shelves)
            rows = (
                (number, *change)
                for old, new in nodes
                for change in chain(differences(old, new, before.settings, self.settings), shelves.of(old, new))
            )
            self.connection.executemany("INSERT INTO change VALUES (?, ?, ?, ?, ?)", rows)
            arrived = arrived_nodes(self.connection, first_new)
            rows = (
                (number, *change)
                for node in arrived
                for change in chain(arrivals(node, self.settings), shelves.arrived(node))
            )
            self.connection.executemany("INSERT INTO change VALUES (?, ?, ?, ?, ?)", rows)
            rows = ((number, *change) for change in shelves.moved())
            self.connection.executemany("INSERT INTO change VALUES (?, ?, ?, ?, ?)", rows)
        forgotten = (number - GENERATIONS_REMEMBERED,)
        self.connection.execute("DELETE FROM change WHERE generation <= ?", forgotten)
        self.connection.execute("DELETE FROM past WHERE number <= ?", forgotten)
