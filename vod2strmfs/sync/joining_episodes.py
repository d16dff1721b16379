"""Joining the episodes of joined series by their numbers.

The episodes of all rows of a series stand below the row that stands for them. Where several rows have the same episode,
one of them stands in the tree, the others wait, and the best one plays. Only series of which something was touched are
looked at, each as a whole. In the table `title`, an episode of a joined series has the node of its own series' row.
"""

from collections import defaultdict
from collections.abc import Iterable, Set
from typing import NamedTuple

from vod2strmfs.extract.versions import Quality, quality_of
from vod2strmfs.library.contents import decode
from vod2strmfs.library.items import Episode, Series
from vod2strmfs.library.kinds import WAITING_NODE, NodeKind
from vod2strmfs.sync.draft import Draft
from vod2strmfs.sync.joining import Joiner

_EPISODES = f"""
    SELECT id, parent, coalesce(plain, node.name), alias, plain IS NOT NULL, account, stream, item, height,
        joined.node IS NOT NULL
    FROM title JOIN node ON id = title.node JOIN content USING (id) LEFT JOIN joined ON joined.node = id
    WHERE title.kind = {NodeKind.EPISODE:d} AND title.name = ? AND title.name != 0"""
_UNNOTED = f"""
    INSERT OR IGNORE INTO title SELECT episode.id, {NodeKind.EPISODE:d}, ?1, '', '', 0
    FROM node AS season JOIN node AS episode ON episode.parent = season.id
    WHERE season.parent = ?1 AND episode.kind = {NodeKind.EPISODE:d}"""
_ELSEWHERE = f"""
    SELECT episode.id, content.source FROM title JOIN node AS episode ON episode.id = title.node
    JOIN node AS season ON season.id = episode.parent JOIN content ON content.id = season.id
    WHERE title.kind = {NodeKind.EPISODE:d} AND title.name = ?1 AND title.name != 0 AND season.parent != ?2"""


class _Member(NamedTuple):
    """An episode of a joined series."""

    node: int
    own: int
    """The node of its own series' row."""
    parent: int
    name: str
    alias: str
    item: Episode
    standing: tuple[object, ...]
    """See `Joiner.standing`."""
    rank: tuple[object, ...]
    is_joined: bool


class EpisodeJoiner:
    """Joins episodes in a draft.

    Args:
        draft: the generation that is being made.
        joiner: which joined their series.
    """

    def __init__(self, draft: Draft, joiner: Joiner) -> None:
        self._draft = draft
        self._connection = draft.connection
        self._joiner = joiner
        self._seasons: dict[tuple[int, int | None], int] = {}

    def arrange(self) -> None:
        """Have episodes stand below the series that stand for theirs now, before any are compared."""
        if self._draft.first:
            return
        joined = self._joiner.hosts(NodeKind.SERIES)
        for own in self._joiner.series:
            if own in joined:
                self._connection.execute(_UNNOTED, (own,))
            host = joined.get(own, own)
            for node, number in self._connection.execute(_ELSEWHERE, (own, host)).fetchall():
                self._draft.put(node, self._season(host, number))
        self._draft.titles.regroup |= self._joiner.series
        self._draft.flush()

    def settle(self, gone: Set[int]) -> int:
        """Join the episodes that have the same number, and part those that do not any more.

        Args:
            gone: nodes that are no longer in the catalogue; they stay as they are.

        Returns:
            How many episodes that were to be seen are no longer.
        """
        joined = self._joiner.hosts(NodeKind.SERIES)
        rows_of: defaultdict[int, list[int]] = defaultdict(list)
        for own, host in joined.items():
            rows_of[host].append(own)
        if self._joiner.everything:
            self._draft.titles.regroup |= joined.keys()
        hidden = 0
        for host in {joined.get(own, own) for own in self._draft.titles.regroup}:
            hidden += self._settle_series(host, rows_of.get(host, [host]), gone)
            if host not in joined:
                condition = f"kind = {NodeKind.EPISODE:d} AND name = ? AND name != 0"
                self._connection.execute(f"DELETE FROM title WHERE {condition}", (host,))
        self._draft.flush()
        return hidden

    def _settle_series(self, host: int, rows: Iterable[int], gone: Set[int]) -> int:
        by_number: defaultdict[object, list[_Member]] = defaultdict(list)
        for own in rows:
            for member in self._members(own):
                if member.node not in gone:
                    by_number[self._number(member)].append(member)
        hidden = 0
        for members in by_number.values():
            members.sort(key=lambda each: each.standing)
            apart = {member.own: member for member in reversed(members)}
            for member in members:
                # What one row has twice stays twice.
                if len(apart) == 1 or apart[member.own] is not member:
                    self._part(host, member)
            if len(apart) > 1:
                hidden += self._join(host, sorted(apart.values(), key=lambda each: each.standing))
        return hidden

    def _number(self, member: _Member) -> object:
        """What is equal for the same episodes of several rows."""
        item = member.item
        if item.number is None or self._draft.settings.versions == "all":
            return member.node, "alone"
        return item.season, item.number

    def _members(self, own: int) -> list[_Member]:
        rows = self._connection.execute(_EPISODES, (own,)).fetchall()
        if not rows:
            return []
        found = self._connection.execute("SELECT 1 FROM content WHERE id = ?", (own,)).fetchone()
        known = self._joiner.facts_of_series(own) if found else None
        members = []
        for node, parent, name, alias, marked, account, stream, data, height, is_joined in rows:
            item = decode(data, Episode)
            waits = parent == WAITING_NODE
            standing = self._joiner.standing(node, (account, stream), waits=waits, marked=bool(marked))
            rank: tuple[object, ...] = ()
            if known:
                measured = quality_of(height, item.video)
                facts = known if measured == Quality.UNKNOWN else known._replace(quality=measured)
                rank = self._joiner.rank(facts, node, account, stream)
            members.append(_Member(node, own, parent, name, alias, item, standing, rank, bool(is_joined)))
        return members

    def _join(self, host_series: int, members: list[_Member]) -> int:
        """Have the first of them stand for all, and the best one play; returns how many were to be seen before."""
        host, hidden = members[0], 0
        for member in members:
            self._joiner.note(member.node, host.node, "" if member is host else "season and number")
            if member is not host:
                hidden += member.parent != WAITING_NODE and (self._draft.first or member.node not in self._draft.added)
                self._draft.play(member.node, member.node)
                self._draft.place(member.node, WAITING_NODE, member.name, member.alias)
        self._show(host_series, host)
        self._draft.play(host.node, min(members, key=lambda each: each.rank).node)
        return hidden

    def _part(self, host_series: int, member: _Member) -> None:
        """Have an episode stand for itself alone."""
        if member.is_joined:
            self._connection.execute("DELETE FROM joined WHERE node = ?", (member.node,))
            self._draft.play(member.node, member.node)
        self._show(host_series, member)

    def _show(self, series: int, member: _Member) -> None:
        if member.parent == WAITING_NODE:
            self._draft.put(member.node, self._season(series, member.item.season))

    def _season(self, series: int, number: int | None) -> int:
        """The node of a season, which is made if there is none."""
        if (series, number) not in self._seasons:
            found = self._connection.execute(
                "SELECT id FROM node JOIN content USING (id) WHERE parent = ? AND node.kind = ? AND source IS ?",
                (series, NodeKind.SEASON, number),
            ).fetchone()
            if found is None:
                [item] = self._connection.execute("SELECT item FROM content WHERE id = ?", (series,)).fetchone()
                title = decode(item, Series).title
                node = self._draft.season(series, title, number, self._draft.now)
                self._draft.flush()
            else:
                [node] = found
            self._seasons[series, number] = node
        return self._seasons[series, number]
