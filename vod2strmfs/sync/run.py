"""Bringing the index up to date with the catalogue: the next generation, in one transaction."""

import json
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Set
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from vod2strmfs import __version__
from vod2strmfs.catalog.queries import KINDS, Kind
from vod2strmfs.catalog.source import Snapshot, Source
from vod2strmfs.errors import CatalogError, FilteredOutError, IndexFileError
from vod2strmfs.host.room import is_full, which_is_full
from vod2strmfs.host.set_aside import LOOKS_AT_DAMAGE
from vod2strmfs.index.art import shows_art
from vod2strmfs.index.changes import GENERATIONS_REMEMBERED, arrivals, differences
from vod2strmfs.index.file import (
    HELD_INDEXES,
    INDEXES,
    PAST,
    RENAMED,
    connect,
    create,
    is_damage,
    replace,
    writing,
)
from vod2strmfs.index.held import Held
from vod2strmfs.index.merge import OF_NEW, explain_merge, merge_made_with, remember_merge
from vod2strmfs.index.store import Store, arrived_nodes, node_in
from vod2strmfs.index.trial_folder import clear_trial_folder
from vod2strmfs.library.contents import provider_url
from vod2strmfs.library.kinds import WAITING_NODE, NodeKind
from vod2strmfs.settings import MAX_SHRINK, LibrarySettings
from vod2strmfs.status.progress import noting
from vod2strmfs.sync import collisions
from vod2strmfs.sync.brake import HELD_GONE, HELD_NAME, WINDOW, Brake
from vod2strmfs.sync.compare import nodes_of
from vod2strmfs.sync.convert_many import ManyRows
from vod2strmfs.sync.counts import count, count_changes, count_shelves, find_held, with_filtered
from vod2strmfs.sync.digests import Digests
from vod2strmfs.sync.draft import Draft
from vod2strmfs.sync.folders import name_versions, render_series, settle_folders
from vod2strmfs.sync.identity import KEPT_OUT
from vod2strmfs.sync.intake import Intake
from vod2strmfs.sync.last_comparison import Comparison, ComparisonCache, LastComparison
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

_log = logging.getLogger("vod2strmfs")


def sync(
    source: Source,
    settings: LibrarySettings,
    state_dir: Path,
    *,
    max_shrink: int = MAX_SHRINK,
    accept_shrink: bool = False,
    patient: bool = False,
    thorough: bool = False,
    cache: ComparisonCache | None = None,
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
        cache: of the same caller with the same arguments before, if it looks again and again.
        tell: called now and then with how many rows have been read.

    Raises:
        CatalogError: the catalogue cannot be read; the index says so from now on, and keeps its generation.
        IndexFileError: the index cannot be written.
    """
    try:
        with writing(state_dir):
            clear_trial_folder(state_dir)
            settings = _with_merge(settings, state_dir)  # before an index that is damaged is moved aside
            create(state_dir, thorough=thorough)
            with noting(state_dir, "Reading the catalogue", "titles", tell) as told:
                run = partial(_sync, source, settings, state_dir, max_shrink, accept_shrink, patient, cache, told)
                for _ in range(LOOKS_AT_DAMAGE):
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
    cache: ComparisonCache | None,
    tell: Tell,
) -> SyncResult:
    with closing(connect(state_dir, writable=True)) as connection:
        started = time.time_ns()
        assert settings.merge is not None
        remember_merge(connection, settings.merge)
        try:
            run = _Run(connection, state_dir, settings, max_shrink, accept_shrink, started, cache, tell)
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
    cache: ComparisonCache | None
    tell: Tell

    def sync(self, source: Source, patient: bool) -> SyncResult:
        """See the function of this name."""
        number, next_node, settings, version = self.connection.execute(
            "SELECT number, next_node, settings, version FROM generation"
        ).fetchone()
        form = (self.settings.model_dump_json(), __version__)
        same_form = (_without_shelves(form[0]), form[1]) == (_without_shelves(settings), version)
        plans = Plans(self.connection, self.settings.shelf)
        quiet, written = source.marker()
        last = LastComparison(self.connection, self.cache)
        may_be_quiet = same_form and not self.accept_shrink and not plans.differ and not plans.may_let_go(self.started)
        if may_be_quiet and not self._may_let_go() and last.comparison().still_holds(quiet, written, patient=patient):
            self.connection.execute("UPDATE attempt SET failing_since = 0, error = '' WHERE failing_since != 0")
            held, notes = plans.number_held(), tuple(plans.notes())
            return SyncResult(number, counts=self._held(), kept=self._kept(), held_on_shelves=held, notes=notes)

        started = self.started
        self.connection.execute("BEGIN IMMEDIATE")
        after = "" if self.accept_shrink else last.comparison().position
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
                baseline = last.baseline()
                digests = Digests(self.connection, snapshot)
                if not self._all_versions:
                    digests.find_written(baseline, started, all_at_once=self.accept_shrink)
                in_database = snapshot.counts()
                shelves = ShelfSync(draft, plans, self.max_shrink, self.accept_shrink)
                placer = Placer(draft, many_rows, snapshot)
                counts = self._take_all(snapshot, draft, placer, digests, in_database)
            unmatched = tuple(placer.filter.unmatched()) if draft.everything else ()
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
            counted = {"database": in_database} | self._count(draft, plans, next_node) | decided
            self._describe(outcome.generation, form, draft.next_node, counted)
        else:
            index = with_filtered(self.connection, self._counted()["index"])
            self._renew_counts({"database": in_database, "index": index} | decided)
        now = Comparison(started, time.time_ns() - started, quiet, written, position)
        whole = started if digests.are_whole or not baseline else baseline.whole
        baseline = last.note(now, whole, digests.baseline, differs=outcome.changed or digests.differ)
        self.connection.execute("COMMIT")
        # Not before: if this sync cannot be written, the next one has to compare again.
        last.keep(now, baseline)
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

    def _describe(self, number: int, form: tuple[str, str], next_node: int, counted: dict[str, object]) -> None:
        """Note what the next generation is.

        Args:
            number: its own.
            form: the settings and the program's version.
            next_node: the first free node id after it.
            counted: its metrics, and what the brake decided.
        """
        self.connection.execute(
            "UPDATE generation SET number = ?, made = ?, settings = ?, version = ?, next_node = ?, stats = ?",
            (number, self.started, *form, next_node, json.dumps(counted)),
        )
        self.connection.execute("INSERT OR REPLACE INTO past VALUES (?, ?)", (number, self.started))

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
            (kind, "held"): len(nodes_of(self.connection, kind, f"held = {HELD_GONE} AND {seen}"))
            for kind in KINDS
            if kind != "series"
        }
        stay = {(kind, "not_renamed"): len(nodes_of(self.connection, kind, f"held = {HELD_NAME}")) for kind in KINDS}
        return Counter(gone | stay)

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
        self, snapshot: Snapshot, draft: Draft, placer: Placer, digests: Digests, in_database: Mapping[str, int]
    ) -> Counts:
        """Bring everything up to date; returns what happened to how many items."""
        for statement in (RENAMED, PAST, KEPT_OUT, *HELD_INDEXES):
            self.connection.execute(statement)
        limit = Brake(self.connection, draft.now, draft.next_node, self.max_shrink)
        if self.accept_shrink:
            limit.release()
        elif draft.everything:
            limit.forget_names()
        eligible = {kind: in_database[metric] for kind, metric in _ELIGIBLE.items()}
        intake = Intake(
            self.state_dir, draft, snapshot, placer, digests, limit,
            accept_shrink=self.accept_shrink, eligible=eligible, tell=self.tell,
        )  # fmt: skip
        intake.take_all()
        if draft.first or draft.everything:
            for statement in INDEXES:
                self.connection.execute(statement)
        settle_folders(draft, intake.lost["series"])
        collisions.settle(draft)
        if self._all_versions:
            name_versions(draft)
            collisions.settle(draft)
        render_series(draft)
        if self.settings.artwork != "files":
            hide_pictures(draft)
        settle_mtimes(draft)
        return intake.counts

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
