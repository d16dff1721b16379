"""Joining the rows of one title: one of them stands in the tree, the others wait, and the best film plays.

Episodes of joined series are joined in turn: see `joining_episodes`.

Who is the same title is decided by `same_title`; here it is decided who stands for them, and that as little as possible
moves: what a media server knows of a title stays when rows come and go. Only rows that were touched are looked at, with
all that share a name or an id with them.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from vod2strmfs.extract.titles import TitleCleaner
from vod2strmfs.extract.versions import Facts, Wish, facts, label, tags
from vod2strmfs.index import joined as tables
from vod2strmfs.library.contents import decode
from vod2strmfs.library.items import TaggedMovie, TaggedSeries
from vod2strmfs.library.kinds import WAITING_NODE, NodeKind
from vod2strmfs.library.names import CutName
from vod2strmfs.sync.brake import HELD_NAME, Brake, Move, Place
from vod2strmfs.sync.draft import Draft
from vod2strmfs.sync.same_title import TitleRow, labels, reason

_ROW = "node, name, tmdb, imdb"
_SHARED = " OR ".join(
    f"{column} IN (SELECT {column} FROM title WHERE kind = :kind AND {column} != {nothing}"
    f" GROUP BY 1 HAVING count(*) > 1)"
    for column, nothing in (("name", "0"), ("tmdb", "''"), ("imdb", "''"))
)
_ALL = f"SELECT {_ROW} FROM title WHERE kind = :kind AND ({_SHARED} OR node IN (SELECT node FROM joined))"
"""Every row that shares a name or an id with another one, or did."""

_MEMBERS = """
    SELECT id, parent, coalesce(plain, node.name), cut, plain, account, stream, item, height, host
    FROM node JOIN content USING (id) JOIN title ON title.node = id LEFT JOIN joined ON joined.node = id
    WHERE id IN (SELECT value FROM json_each(?))"""
_AT_ONCE = 500
"""So many members are asked for at once: each by itself takes three times as long."""


class _Member(NamedTuple):
    """A row of a title that has several."""

    row: TitleRow
    standing: tuple[object, ...]
    """The less, the rather it stands for them in the tree."""
    rank: tuple[object, ...]
    """The less, the rather it plays."""
    place: Place
    """Where it stands, or waits."""
    host: int
    """The node that has stood for it."""
    known: Facts | None
    """What is known of its version, as far as it is of use."""


class Joiner:
    """Joins movies in a draft.

    Args:
        draft: the generation that is being made.
        priorities: of the accounts, by their ids.
        names: of the accounts.
    """

    def __init__(self, draft: Draft, priorities: Mapping[int, int], names: Mapping[int, str]) -> None:
        self._draft = draft
        self._connection = draft.connection
        self._priorities = priorities
        self._first_new = draft.next_node
        self.series: set[int] = set()
        """The nodes of series rows that were looked at, and may have been joined or parted."""
        for statement in tables.TABLES:
            self._connection.execute(statement)
        others = self._connection.execute("SELECT id FROM played")
        draft.others_play.update(node for (node,) in others)
        known = self._connection.execute("SELECT 1 FROM title UNION ALL SELECT 1 FROM joined LIMIT 1").fetchone()
        draft.titles.are_known = draft.merging or known is not None
        renewed = self._renew_priorities(names)
        self.everything = draft.first or draft.everything or renewed
        """Whether all titles are looked at."""
        settings = draft.settings
        self._cleaner = TitleCleaner(settings.clean_titles, settings.name_regex)
        self._wish = Wish.of(settings.prefer_languages, settings.prefer_quality)

    def _renew_priorities(self, names: Mapping[int, str]) -> bool:
        """Keep the accounts' priorities, by which titles may be chosen; returns whether they are others than before."""
        now = {(account, names.get(account, ""), priority) for account, priority in self._priorities.items()}
        if now == set(self._connection.execute("SELECT account, name, priority FROM priority")):
            return False
        self._connection.execute("DELETE FROM priority")
        self._connection.executemany("INSERT INTO priority VALUES (?, ?, ?)", sorted(now))
        return True

    def waiting(self, kind: NodeKind) -> int:
        """How many rows of a kind wait that were added to this draft."""
        query = "SELECT count(*) FROM joined JOIN node ON id = node WHERE id >= ? AND kind = ? AND id != host"
        return int(self._connection.execute(query, (self._first_new, kind)).fetchone()[0])

    def host_of(self, node: int) -> int:
        """The node that stands in the tree for another one's title."""
        found = self._connection.execute("SELECT host FROM joined WHERE node = ?", (node,)).fetchone()
        return int(found[0]) if found else node

    def hosts(self, kind: NodeKind) -> dict[int, int]:
        """The nodes that stand in the tree for joined rows of a kind, by the rows' nodes."""
        query = "SELECT node, host FROM content CROSS JOIN joined ON node = id WHERE kind = ? ORDER BY node"
        return dict(self._connection.execute(query, (kind,)))

    def take_over(self, gone: set[int]) -> dict[int, int]:
        """Have titles outlive the rows that stood for them.

        Args:
            gone: nodes that are no longer in the catalogue. Hosts of which another row is left are taken out.

        Returns:
            Those hosts, by the node of the row that each is to become.
        """
        heirs: dict[int, int] = {}
        for host in [node for node in gone if self.host_of(node) == node]:
            if heir := min((node for node in self._waiting_for(host) if node not in gone), default=0):
                heirs[heir] = host
        gone.difference_update(heirs.values())
        return heirs

    def _waiting_for(self, host: int) -> list[int]:
        query = "SELECT node FROM joined WHERE host = ? AND node != host"
        return [node for (node,) in self._connection.execute(query, (host,))]

    def drop(self, gone: set[int]) -> set[int]:
        """Remove rows that waited and are gone, where what stood for them is still there.

        Args:
            gone: nodes that are no longer in the catalogue; those that are removed are taken out.

        Returns:
            Those of the rest that wait: nobody misses them but with their hosts.
        """
        hosts = {node: host for node in gone if (host := self.host_of(node)) != node}
        dropped = {node for node, host in hosts.items() if host not in gone}
        self._draft.remove(dropped)
        gone -= dropped
        return hosts.keys() - dropped

    def settle(self, kind: NodeKind, gone: Set[int], limit: Brake, held: Set[int], *, accept: bool) -> tuple[int, int]:
        """Join what belongs together, and part what does not any more.

        Args:
            kind: of the titles.
            gone: nodes that are no longer in the catalogue; they stay as they are.
            limit: what may be taken out of sight at once, beside what is renamed.
            held: nodes that kept their names and places before.
            accept: whether an operator has accepted all that.

        Returns:
            How many titles that were to be seen are no longer, and how many are still though they should not be.
        """
        draft = self._draft
        if not draft.merging:
            self._part_all(kind)
            return 0, 0
        if self.everything:
            for statement in tables.INDEXES:
                self._connection.execute(statement)
        rows = {row.node: row for row in self._affected(kind) if row.node not in gone}
        draft.titles.touched.clear()
        by_title: defaultdict[object, list[int]] = defaultdict(list)
        by_name = self._draft.settings.merge == "titles"
        for node, title in labels(rows.values(), by_name=by_name).items():
            by_title[title].append(node)
        members = self._members(kind, [rows[node] for nodes in by_title.values() if len(nodes) > 1 for node in nodes])
        groups = []
        for nodes in by_title.values():
            if len(nodes) > 1:
                groups.append(sorted((members[node] for node in nodes), key=lambda each: each.standing))
            else:
                self._part(kind, nodes[0])
        moves = [
            Move(member.row.node, member.place, Place(WAITING_NODE, member.place.name))
            for members in groups
            for member in members[1:]
            if member.place.parent != WAITING_NODE and member.row.node not in draft.added
        ]
        stay: set[int] = set()
        if not draft.first and not accept:
            judged = [move for move in moves if move.node in held] if draft.everything else moves
            stay = limit.holds_renames(kind, judged)
        for group in groups:
            for part in _apart(group, stay):
                self._join(kind, part)
        draft.hold(stay, HELD_NAME)
        self._settle_below(kind, rows)
        number = sum(len(group) - 1 for group in groups) if draft.first else len(moves)
        return number - len(stay), len(stay)

    def _settle_below(self, kind: NodeKind, nodes: Iterable[int]) -> None:
        """Have what is below nodes that were joined, or parted, stand where it belongs."""
        if kind == NodeKind.MOVIE:
            self._move_versions(nodes)
        else:
            self.series = set(nodes)

    def _part_all(self, kind: NodeKind) -> None:
        joined = list(self.hosts(kind))
        for node in joined:
            self._part(kind, node)
        self._settle_below(kind, joined)
        self._connection.execute("DELETE FROM title WHERE kind = ?", (kind,))

    def _move_versions(self, movies: Iterable[int]) -> None:
        """Have the files of rows' versions stand in the folders where those rows are, and be called as they are."""
        if self._draft.settings.versions != "all" or self._draft.first:
            return
        folders: dict[str, int] = {}
        labels: dict[str, str] = {}
        found: list[tuple[int, int, str]] = []
        for movie in movies:
            [uuid] = self._connection.execute("SELECT uuid FROM content WHERE id = ?", (movie,)).fetchone()
            folders[uuid] = self.host_of(movie)
            labels[uuid] = self.label_of(movie)
            query = "SELECT id, parent, uuid FROM node JOIN content USING (id) WHERE parent = ?"
            found += self._connection.execute(query, (movie,))
        for version, parent, uuid in found:
            if folders.get(uuid, parent) != parent:
                self._draft.put(version, folders[uuid])
            if uuid in labels:
                self._draft.relabel(version, labels[uuid])

    def _affected(self, kind: NodeKind) -> Iterator[TitleRow]:
        if self.everything:
            yield from map(TitleRow._make, self._connection.execute(_ALL, {"kind": kind}).fetchall())
            return
        seen: set[int] = set()
        keys: set[tuple[str, object]] = set()
        todo = list(self._draft.titles.touched)
        while todo:
            row = todo.pop()
            for column, value in zip(("name", "tmdb", "imdb", "node"), (*row[1:], row.node), strict=True):
                if not value or (column, value) in keys:
                    continue
                keys.add((column, value))
                for found in self._with(kind, column, value):
                    if found.node not in seen:
                        seen.add(found.node)
                        todo.append(found)
                        yield found

    def _with(self, kind: NodeKind, column: str, value: object) -> Iterable[TitleRow]:
        """The rows that have something in common."""
        nothing = {"name": "0", "node": "0"}.get(column, "''")
        query = f"SELECT {_ROW} FROM title WHERE kind = ? AND {column} = ? AND {column} != {nothing}"
        return map(TitleRow._make, self._connection.execute(query, (kind, value)).fetchall())

    def _members(self, kind: NodeKind, rows: Sequence[TitleRow]) -> dict[int, _Member]:
        """What there is to know of rows that belong to titles of several, by their nodes."""
        by_node = {row.node: row for row in rows}
        nodes = sorted(by_node)
        found: dict[int, _Member] = {}
        for first in range(0, len(nodes), _AT_ONCE):
            some = json.dumps(nodes[first : first + _AT_ONCE])
            for node, *known in self._connection.execute(_MEMBERS, (some,)):
                found[node] = self._member(kind, by_node[node], *known)
        return found

    def _member(
        self,
        kind: NodeKind,
        row: TitleRow,
        parent: int,
        name: str,
        cut: int,
        plain: str | None,
        account: int,
        stream: str,
        item: bytes,
        height: int,
        host: int | None,
    ) -> _Member:
        waits = parent == WAITING_NODE and (host or row.node) != row.node
        standing = self.standing(row.node, (account, stream), waits=waits, marked=plain is not None)
        known: Facts | None = None
        rank: tuple[object, ...] = ()
        if kind == NodeKind.MOVIE:
            known = facts(decode(item, TaggedMovie), self._cleaner, height)
            rank = self.rank(known, row.node, account, stream)
        elif self._draft.settings.version_tags:
            known = self.facts_of_series(row.node)
        return _Member(row, standing, rank, Place(parent, CutName(name) if cut else name), host or row.node, known)

    def standing(self, node: int, stream: tuple[int, str], *, waits: bool, marked: bool) -> tuple[object, ...]:
        """The less, the rather a row stands in the tree: who did, then who has a name of its own, then the first one.

        Args:
            node: the row's.
            stream: account and stream id; of what is new, the lowest comes first.
            waits: whether it was out of sight.
            marked: whether its name has a mark, since another one has that name.
        """
        if self._draft.first or node in self._draft.added:
            account, name = stream
            return (2, False, account, len(name), name, node)
        return (int(waits), marked, node)

    def rank(self, known: Facts, node: int, account: int, stream: str) -> tuple[object, ...]:
        """The less, the rather a row plays."""
        return (*self._wish.rank(known), -self._priorities.get(account, 0), account, len(stream), stream, node)

    def facts_of_series(self, node: int) -> Facts:
        """What is known of the versions of a series' episodes, but for what was measured."""
        [item] = self._connection.execute("SELECT item FROM content WHERE id = ?", (node,)).fetchone()
        return facts(decode(item, TaggedSeries), self._cleaner)

    def label_of(self, movie: int) -> str:
        """What tells a movie's versions from those of other rows of its title; "" where its account does."""
        if not self._draft.merging:
            return ""
        [item] = self._connection.execute("SELECT item FROM content WHERE id = ?", (movie,)).fetchone()
        return label(facts(decode(item, TaggedMovie), self._cleaner))

    def note(self, node: int, host: int, why: str) -> None:
        """Note that a row is joined."""
        self._connection.execute(
            "INSERT INTO joined VALUES (?1, ?2, ?3) ON CONFLICT (node) DO UPDATE SET host = ?2, why = ?3"
            " WHERE (host, why) != (?2, ?3)",
            (node, host, why),
        )

    def _join(self, kind: NodeKind, members: list[_Member]) -> None:
        """Have the first of them stand for all, and the best film play."""
        host = members[0].row
        if len(members) == 1:
            self._part(kind, host.node)
            return
        for member in members:
            node = member.row.node
            self.note(node, host.node, "" if node == host.node else reason(member.row, host))
            if node != host.node:
                self._draft.play(node, node)
                self._draft.place(node, WAITING_NODE, member.place.name)
        of_title: tuple[str, ...] = ()
        if self._draft.settings.version_tags:
            of_title = tags(member.known for member in members if member.known)
        if kind == NodeKind.MOVIE:
            self._show(host.node)
            self._draft.play(host.node, min(members, key=lambda each: each.rank).row.node, of_title)
        else:
            self._draft.play(host.node, host.node, of_title)

    def _part(self, kind: NodeKind, node: int) -> None:
        """Have a row stand for itself alone. A series is shown when it has episodes."""
        is_joined = self._connection.execute("DELETE FROM joined WHERE node = ?", (node,)).rowcount > 0
        if is_joined:
            self._draft.play(node, node)
            if kind == NodeKind.MOVIE:
                self._show(node)

    def _show(self, node: int) -> None:
        [parent] = self._connection.execute("SELECT parent FROM node WHERE id = ?", (node,)).fetchone()
        if parent == WAITING_NODE:
            self._draft.show(node)


def _apart(group: Iterable[_Member], stay: Set[int]) -> Iterable[list[_Member]]:
    """The rows of one title, as long as some of them must stay in the tree: those keep the rows that they stand for."""
    parts: defaultdict[int, list[_Member]] = defaultdict(list)
    for member in group:
        parts[member.host if member.host in stay else 0].append(member)
    return parts.values()
