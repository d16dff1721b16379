"""Taking the catalogue's rows into the next generation, one kind after the other: what is added, changed, or gone."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import closing
from pathlib import Path

from vod2strmfs.catalog.queries import BLOCK_BITS, KINDS, Kind, Part, are_few
from vod2strmfs.catalog.source import Row, Snapshot
from vod2strmfs.extract.incoming import Incoming
from vod2strmfs.index.file import connect
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.sync.brake import HELD_GONE, HELD_NAME, Brake, Place, emptied_series, other_versions
from vod2strmfs.sync.compare import NODE_KINDS, Known, known_items, merge, nodes_of
from vod2strmfs.sync.digests import Digests
from vod2strmfs.sync.draft import Draft
from vod2strmfs.sync.identity import name_kept_out, reunite
from vod2strmfs.sync.joining import Joiner
from vod2strmfs.sync.joining_episodes import EpisodeJoiner
from vod2strmfs.sync.placing import Placer
from vod2strmfs.sync.progress import Tell
from vod2strmfs.sync.result import Counts

_ROWS_TOLD = 500
_MOST_RANGES = 500
"""So many ranges of blocks are asked for; beyond that, all rows are read. SQLite takes no condition of 1,000."""
_MOST_TITLES = 1_000
"""Of so many movies or series, versions or episodes are looked up; beyond that, all of them are read."""
_MOST_ALONE = 20_000
"""So many rows are read one by one; beyond that, all of them are, one after the other."""

_ABOVE: dict[Kind, NodeKind] = {"version": NodeKind.MOVIE, "episode": NodeKind.SERIES}
"""What holds the files of a row of each kind."""


class Intake:
    """The rows of the catalogue on their way into a draft.

    Args:
        state_dir: where the index is.
        draft: the generation being made.
        snapshot: of the catalogue.
        placer: makes items of rows, in their places.
        digests: say which rows have to be read.
        limit: says what is held back.
        accept_shrink: whether nothing is.
        eligible: how many rows there are of each kind.
        tell: called now and then with how many rows have been read, and of how many, or 0.
    """

    def __init__(
        self,
        state_dir: Path,
        draft: Draft,
        snapshot: Snapshot,
        placer: Placer,
        digests: Digests,
        limit: Brake,
        *,
        accept_shrink: bool,
        eligible: Mapping[Kind, int],
        tell: Tell,
    ) -> None:
        self.counts: Counts = Counter()
        """What happened to how many items."""
        self.lost: dict[Kind, set[int]] = {}
        """The nodes whose items are no longer in the catalogue, by kind."""
        self._state_dir = state_dir
        self._draft = draft
        self._connection = draft.connection
        self._snapshot = snapshot
        self._placer = placer
        self._digests = digests
        self._limit = limit
        self._accept_shrink = accept_shrink
        self._eligible = eligible
        self._tell = tell
        self._read = 0
        """How many rows have been read."""
        self._all_versions = draft.settings.versions == "all"
        # With a file for each version, more rows are read than were counted.
        self._expected = sum(eligible.values()) if draft.everything and not self._all_versions else 0
        """How many rows will be read, if that is all of them; else 0."""
        self._joiner = Joiner(draft, placer.groups.priorities, placer.groups.accounts)
        placer.labels = self._joiner.label_of

    def take_all(self) -> None:
        """Take all rows in, and remove what is gone, or hold it back; but series, until it is known what is left of
        them."""
        for kind in KINDS:
            kept = nodes_of(self._connection, kind, f"held = {HELD_NAME}")
            gone = self.lost[kind] = self._take(kind)
            waiting: Set[int] = set()
            if kind != "version":
                waiting = self._join(kind, gone, kept)
            self._digests.look_again(kind)
            if kind != "series":
                self._let_go(kind, waiting)
        self._draft.settle_released()

    def _join(self, kind: Kind, gone: set[int], kept: Set[int]) -> Set[int]:
        """Join the rows of one kind to titles, once all of them are in the draft.

        Args:
            kind: of the rows.
            gone: the nodes whose items are no longer in the catalogue; those that are removed here are taken out.
            kept: nodes whose names or places were held before.

        Returns:
            Those of what is gone that wait for others that are gone, too.
        """
        joiner, counts = self._joiner, self.counts
        waiting = joiner.drop(gone)
        episodes = EpisodeJoiner(self._draft, joiner)
        if kind == "episode":
            counts[kind, "merged"] += episodes.settle(gone)
            return waiting
        joined, stay = joiner.settle(NODE_KINDS[kind], gone, self._limit, kept, accept=self._accept_shrink)
        counts[kind, "merged"] += joined
        counts[kind, "not_renamed"] += stay
        if kind == "series":
            episodes.arrange()
        return waiting

    def _take(self, kind: Kind) -> set[int]:
        """Compare one kind of row with the index and write what differs; returns the nodes whose items are no longer in
        the catalogue."""
        draft, snapshot, placer, counts = self._draft, self._snapshot, self._placer, self.counts
        if kind == "version" and not self._all_versions:
            return set() if draft.first else nodes_of(self._connection, kind)
        digests = None if draft.first or draft.everything else self._digests.now(kind)
        part = None if digests is None else self._differing(kind, digests)
        gone = nodes_of(self._connection, kind, f"held = {HELD_GONE}")
        arrived: set[int] = set()
        again: dict[int, int] = {}
        """Nodes added for items that the index has, by the node of each."""
        if part is None or part:
            where = "" if part is None else "AND " + part.condition().format(id="source")
            self._connection.execute(f"DELETE FROM filtered WHERE kind = ? {where}", (kind,))
            placer.prepare(kind, self.lost, self._joiner.hosts(_ABOVE[kind]) if kind in _ABOVE else {})
            with closing(connect(self._state_dir)) as before:
                arriving = placer.take(self._told(snapshot.rows(kind, part)), self._number(kind, part))
                for incoming, known in merge(arriving, known_items(before, kind, part)):
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
                    if self._is_to_be_judged(known, incoming):
                        again[draft.add(incoming)] = known.node
                        continue
                    differs = known.differs(incoming)
                    if differs or known.held == HELD_GONE or draft.everything:
                        draft.update(known.node, incoming)
                        counts[kind, "changed"] += differs
                    elif known.held:
                        draft.release(known.node)
        draft.flush()
        self._digests.note(kind, snapshot.digests(kind) if digests is None else digests)
        if gone and arrived:
            recognised = reunite(self._connection, gone, arrived)
            gone -= set(recognised.values())
            counts[kind, "added"] -= len(recognised)
            again |= recognised
        if gone and kind != "version":
            again |= self._joiner.take_over(gone)
        if gone and placer.filter.active:
            name_kept_out(self._connection, NODE_KINDS[kind], gone)
        self._rename(kind, again)
        return gone

    def _differing(self, kind: Kind, digests: dict[int, str]) -> Part | None:
        """The rows that are to be read, since they are others than before, or their titles are; None if that is best
        done by reading all."""
        blocks = self._digests.differing(kind, digests)
        if not are_few(blocks, _MOST_RANGES):
            return None
        if kind not in _ABOVE:
            return Part(blocks)
        lost = self.lost["movie" if kind == "version" else "series"]
        with closing(connect(self._state_dir)) as before:
            titles = self._placer.other_titles(_ABOVE[kind], before, lost)
        if len(titles) > _MOST_TITLES:
            return None
        ids = self._snapshot.below(kind, titles) if titles else set()
        alone = {number for number in ids if number >> BLOCK_BITS not in blocks}
        return None if len(alone) > _MOST_ALONE else Part(blocks, alone)

    def _is_to_be_judged(self, known: Known, incoming: Incoming) -> bool:
        """Whether an item would get another name, or place, for no reason that the settings give."""
        if self._accept_shrink or incoming.kind == NodeKind.VERSION:
            return False
        if self._draft.everything:
            return known.held == HELD_NAME
        return self._draft.moves(Place(known.parent, known.name), incoming)

    def _rename(self, kind: Kind, again: Mapping[int, int]) -> None:
        """Have items become what was added for them, or keep their names.

        Args:
            kind: of the items.
            again: the node of each by the one that was added for it.
        """
        draft = self._draft
        keep: Set[int] = set()
        if again and kind != "version" and not self._accept_shrink:
            judged = again.items()
            if draft.everything:
                pending = nodes_of(self._connection, kind, f"held = {HELD_NAME}")
                judged = {new: old for new, old in again.items() if old in pending}.items()
            moves = [move for new, old in judged if (move := draft.move(old, new))]
            keep = self._limit.holds_renames(NODE_KINDS[kind], moves)
        for new, old in again.items():
            if old in keep:
                draft.keep_name(old, new)
                self.counts[kind, "not_renamed"] += 1
            else:
                draft.absorb(old, new)
                self.counts[kind, "changed"] += 1

    def _told(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            yield row
            self._read += 1
            if self._read % _ROWS_TOLD == 0:
                self._tell(self._read, self._expected)

    def _number(self, kind: Kind, part: Part | None) -> int:
        """About how many rows will be read; with a file for each version, there are more of them than counted."""
        eligible = self._eligible["movie" if kind == "version" else kind]
        return eligible if part is None else min(eligible, (len(part.blocks) << BLOCK_BITS) + len(part.ids))

    def _let_go(self, kind: Kind, waiting: Set[int]) -> None:
        """Remove what is gone, or hold it back. What of it waits out of sight goes with the rest."""
        draft, limit, counts = self._draft, self._limit, self.counts
        gone: Set[int] = self.lost[kind]
        added = counts[kind, "added"]
        if kind != "version":
            added -= self._joiner.waiting(NODE_KINDS[kind])
        if kind == "episode" and draft.everything and not self._all_versions:
            surplus = other_versions(self._connection, gone - waiting)
            draft.remove(surplus)
            counts[kind, "removed"] += len(surplus)
            gone = gone - surplus
        held: Set[int] = set()
        if kind == "version":
            # They go with their movie, and are held with it, but where it has a .strm of its own now.
            of_held = f"SELECT id FROM node WHERE held = {HELD_GONE} AND strm_size = 0"
            held = gone & nodes_of(self._connection, kind, f"parent IN ({of_held})")
        elif self._accept_shrink or draft.first or not (gone or added):
            pass  # To count all items, as the brake does, takes a while.
        elif limit.holds(NODE_KINDS[kind], gone - waiting, added):
            held = gone
        elif kind == "episode":
            held = emptied_series(self._connection, gone - waiting, self.lost["series"])
            held = held | {node for node in waiting if self._joiner.host_of(node) in held}
        if draft.everything:
            draft.renew(held)
        draft.hold(held)
        draft.remove(gone - held)
        if not self._accept_shrink and kind != "version":
            limit.note(NODE_KINDS[kind], gone - held - waiting)
        counts[kind, "removed"] += len(gone - held - waiting)
        counts[kind, "held"] += len(held - waiting)
