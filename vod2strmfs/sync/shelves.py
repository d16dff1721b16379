"""Which titles stand on which shelf: settled once the library itself is.

A shelf holds what its filters let in and what its file of picks names. It changes nothing in the library. The titles of
a shelf have a brake of their own, since a media server may know the shelf alone: what would be taken off is held beyond
`max_shrink`. What leaves the library leaves its shelves; see docs/decisions/0023-shelves.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal, NamedTuple

from vod2strmfs.catalog.source import Snapshot
from vod2strmfs.extract.filters import Filter
from vod2strmfs.extract.picks import Picked, PickedTitle, pick
from vod2strmfs.extract.titles import TitleCleaner
from vod2strmfs.extract.versions import known_language
from vod2strmfs.index.held import Held
from vod2strmfs.index.joined import has_titles
from vod2strmfs.index.remarks import RemarkKind
from vod2strmfs.index.shelves import SHELVES, has_shelves
from vod2strmfs.library.contents import decode
from vod2strmfs.library.items import Movie, Series, SpokenMovie, SpokenSeries
from vod2strmfs.library.kinds import (
    MOVIES_NODE,
    ROOT_NODE,
    TV_NODE,
    WAITING_NODE,
    NodeKind,
    shelved,
)
from vod2strmfs.settings import LibrarySettings, Shelf
from vod2strmfs.shrink import too_many
from vod2strmfs.sync.brake import HELD_GONE, WINDOW
from vod2strmfs.sync.draft import Draft
from vod2strmfs.sync.shelf_plans import Plan, Plans

_SECOND = 10**9
_TITLES = (NodeKind.MOVIE, NodeKind.SERIES)
_SECTIONS = {NodeKind.MOVIE: "Movies", NodeKind.SERIES: "TV"}
_OF_CATALOGUE: dict[int, Literal["movie", "series"]] = {NodeKind.MOVIE: "movie", NodeKind.SERIES: "series"}
_IS_TITLE = f"node.kind IN ({NodeKind.MOVIE:d}, {NodeKind.SERIES:d}) AND node.parent != {WAITING_NODE}"
_ROWS = f"""
    SELECT {{columns}} FROM node JOIN node AS own ON own.id = node.id JOIN content ON content.id = node.id
    WHERE {_IS_TITLE} {{among}}
    UNION ALL
    SELECT {{columns}} FROM joined JOIN node ON node.id = joined.host JOIN node AS own ON own.id = joined.node
    JOIN content ON content.id = joined.node WHERE joined.node != joined.host AND {_IS_TITLE} {{among}}"""
"""The rows of titles, `own` and `content`, beside the nodes that stand in the tree for them."""
_CANDIDATES = _ROWS.format(
    columns="node.id, node.parent, node.kind, own.held, content.uuid, content.item",
    among="AND ({every} OR node.id IN (SELECT id FROM temp.shelf_candidate))",
)
_PICKABLE = _ROWS.format(
    columns="node.id, node.kind, tmdb, imdb, uuid, coalesce(own.plain, own.name), node.name", among=""
)
_STRAY = """
    SELECT shelf, shelved.parent, shelved.node, node.parent FROM shelved LEFT JOIN node ON node.id = shelved.node
    WHERE node.id IS NULL OR node.parent != shelved.parent"""

_NAMESAKES = """
    SELECT coalesce(host, title.node) FROM title AS adult JOIN title ON title.name = ~adult.name AND title.name != 0
    LEFT JOIN joined ON joined.node = title.node WHERE adult.name < 0 AND title.kind = adult.kind"""
"""The titles that are called as one for adults is."""

_OF_SHELF = ("shelved", "shelf_folder", "unshelved", "shelf_remark")


class _Title(NamedTuple):
    """A row of a title. A title of several rows is on a shelf if any of them is let in, as in the library."""

    node: int
    """What stands in the tree for it."""
    parent: int
    kind: int
    held: int
    uuid: str
    item: bytes


class _Verdict(Enum):
    """What a shelf says to a row."""

    LET_IN = auto()
    NOT_MEANT = auto()
    """It does not pass, and another row of its title may."""
    EXCLUDED = auto()
    """Its title must not stand there."""


class _Member(NamedTuple):
    """A title that stands on a shelf."""

    parent: int
    since: int
    held: int


@dataclass
class ShelfSync:
    """Brings the shelves of a draft up to date.

    Args:
        draft: whose titles are not settled yet.
        plans: the shelves.
        max_shrink: the percentage of a shelf's titles that may be taken off within a day.
        accept: whether all may.
    """

    draft: Draft
    plans: Plans
    max_shrink: int
    accept: bool
    moved: set[int] = field(default_factory=set)
    """Nodes, as they stand on shelves, that are there and were not, or the other way round, or whose directory has
    another time."""
    changed: bool = False
    kept: list[Held] = field(default_factory=list)
    unmatched: list[tuple[str, str]] = field(default_factory=list)
    """As `SyncResult.unmatched`."""
    told: list[str] = field(default_factory=list)
    """As `SyncResult.on_shelves`."""
    notes: list[str] = field(default_factory=list)
    """What else a user should know."""

    @property
    def held(self) -> int:
        """How many titles are held."""
        return sum(held.number for held in self.kept)

    def __post_init__(self) -> None:
        """Take part in the draft's transaction."""
        self._connection = self.draft.connection
        self._cleaner = TitleCleaner(self.draft.settings.clean_titles, self.draft.settings.name_regex)
        self._dirty: set[tuple[int, int]] = set()
        self._lost: set[int] = set()
        """The shelves of which a title left the library."""
        self._new = {plan.number for plan in self.plans.each if plan.shown and plan.is_new}
        self._joined = self._read_joined()
        self._had_namesakes = self._read_namesakes()

    def _read_joined(self) -> set[tuple[int, int]]:
        """The rows that are joined, each with what stands in the tree for it."""
        if not self.plans.each or not has_titles(self._connection):
            return set()
        return set(self._connection.execute("SELECT node, host FROM joined"))

    def _read_namesakes(self) -> set[int]:
        """The titles that are called as one for adults is: another one, perhaps, and perhaps the same."""
        excludes = any(plan.shelf.adult == "exclude" for plan in self.plans.each)
        if not excludes or not has_titles(self._connection):
            return set()
        return {node for (node,) in self._connection.execute(_NAMESAKES)}

    def settle(self, snapshot: Snapshot, touched: Set[int]) -> None:
        """Settle what stands on each shelf.

        Args:
            snapshot: the catalogue.
            touched: the directories of the library that got another time.
        """
        if not self.plans.each and not has_shelves(self._connection):
            return
        for statement in SHELVES:
            self._connection.execute(statement)
        self.changed = self.plans.differ
        for name, number in self.plans.gone.items():
            self._take_away(number)
            self.notes.append(
                f"shelf {name} is not in the settings any more: mounts show no folder for it, and cleanup takes away"
                " what materialize wrote."
            )
        insert = "INSERT OR REPLACE INTO shelf VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._connection.executemany(insert, [plan.row for plan in self.plans.each])
        shown = [plan for plan in self.plans.each if plan.shown]
        self.moved |= {top for plan in self.plans.each if plan.is_new or plan.is_changed for top in _tops(plan.number)}
        self._forget_stray()
        if not shown:
            return
        titles = self._changed_titles()
        self._namesakes = self._read_namesakes()
        for plan in shown:
            self._settle(plan, snapshot, titles)
        self._settle_categories()
        self._settle_folders(touched)

    def _take_away(self, number: int) -> None:
        """A shelf that is in the settings no more; its number stays its own."""
        self._connection.execute("UPDATE shelf SET shown = 0 WHERE number = ?", (number,))
        for table in _OF_SHELF:
            self._connection.execute(f"DELETE FROM {table} WHERE shelf = ?", (number,))
        self.moved |= _tops(number)

    def _forget_stray(self) -> None:
        """Titles that are gone from the library are gone from its shelves; so is where they stood, if they moved."""
        for shelf, parent, node, now in self._connection.execute(_STRAY).fetchall():
            at = (shelf, parent, node)
            if now is None or now == WAITING_NODE:
                self._lost.add(shelf)
                self._connection.execute("DELETE FROM shelved WHERE shelf = ? AND parent = ? AND node = ?", at)
            else:
                statement = "UPDATE shelved SET parent = ? WHERE shelf = ? AND parent = ? AND node = ?"
                self._connection.execute(statement, (now, *at))
                self._note(shelf, now, node)
            self._note(*at)

    def _note(self, shelf: int, parent: int, node: int) -> None:
        self.changed = True
        if shelf not in self._new:  # Nobody has seen anything below it.
            self.moved.add(shelved(shelf, node))
        self._dirty.add((shelf, parent))

    def _changed_titles(self) -> set[int] | None:
        """The titles that the sync may have changed; None for all."""
        if self.draft.first or self.draft.everything:
            return None
        # A title is judged by all its rows, and may have lost one, or got one.
        nodes = (self.draft.added | self.draft.changed).union(*(self._joined ^ self._read_joined()))
        query = f"""SELECT id FROM node
            WHERE id = coalesce((SELECT host FROM joined WHERE joined.node = ?1), ?1) AND {_IS_TITLE}"""
        found = (self._connection.execute(query, (node,)).fetchone() for node in nodes)
        return {row[0] for row in found if row}

    def _settle(self, plan: Plan, snapshot: Snapshot, changed: Set[int] | None) -> None:
        """Settle the titles of a shelf."""
        connection, number = self._connection, plan.number
        query = f"""SELECT shelved.node, shelved.parent, since, shelved.held
            FROM shelved JOIN node ON node.id = shelved.node WHERE shelf = ? AND {_IS_TITLE}"""
        members = {node: _Member(*rest) for node, *rest in connection.execute(query, (number,))}
        judge = _Judge(plan.shelf, snapshot, self._in_categories, self._namesakes)
        every = changed is None or plan.is_changed
        candidates = set[int]() if changed is None else set(changed)
        candidates |= {node for node, member in members.items() if member.held}
        if plan.shelf.adult == "exclude":
            candidates |= self._namesakes ^ self._had_namesakes
        if judge.in_category is not None:
            candidates |= judge.in_category ^ members.keys()
        if not every and not candidates and number not in self._lost:
            return
        picked = self._pick(plan)
        candidates |= (picked.on - members.keys()) | (picked.off & members.keys())
        on = self._let_in(judge, picked, members, self._candidates(candidates, every=every))
        judged = candidates | on.keys() | (members.keys() if every else set())
        self._put_on(plan, {node: parent for node, parent in on.items() if node not in members})
        gone = {node for node in judged & members.keys() if node not in on}
        self._take_off(plan, members, gone, len((members.keys() - gone) | on.keys()))
        if back := [(number, members[node].parent, node) for node in on.keys() & members.keys() if members[node].held]:
            connection.executemany("UPDATE shelved SET held = 0 WHERE shelf = ? AND parent = ? AND node = ?", back)
            self.changed = True
        self._note_unmatched(plan, judge if every else None, picked)

    def _let_in(
        self, judge: "_Judge", picked: Picked, members: Mapping[int, _Member], rows: Iterable[_Title]
    ) -> dict[int, int]:
        """The titles that are to stand on a shelf, each with its directory.

        Of a title of several rows one has to be let in, and none may be excluded: nobody knows which plays tomorrow.
        """
        on: dict[int, int] = {}
        out: set[int] = set()
        for row in rows:
            verdict = judge.judge(row, picked, self._cleaner, is_there=row.node in members)
            if verdict == _Verdict.LET_IN:
                on[row.node] = row.parent
            elif verdict == _Verdict.EXCLUDED:
                out.add(row.node)
        return {node: parent for node, parent in on.items() if node not in out}

    def _candidates(self, nodes: Set[int], *, every: bool) -> Iterator[_Title]:
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS shelf_candidate (id INTEGER PRIMARY KEY)")
        self._connection.execute("DELETE FROM temp.shelf_candidate")
        self._connection.executemany("INSERT INTO temp.shelf_candidate VALUES (?)", [(node,) for node in nodes])
        return map(_Title._make, self._connection.execute(_CANDIDATES.format(every="true" if every else "false")))

    def _in_categories(self, kind: int, sources: Set[int]) -> set[int]:
        """The nodes that stand in the tree for the rows of some ids of the catalogue."""
        query = """SELECT coalesce(joined.host, id), source
            FROM content LEFT JOIN joined ON joined.node = id WHERE kind = ?"""
        rows = self._connection.execute(query, (kind,))
        return {node for node, source in rows if source in sources}

    def _pick(self, plan: Plan) -> Picked:
        if plan.shelf.picks is None:
            return Picked(frozenset(), frozenset(), {})
        rows = self._connection.execute(_PICKABLE)
        return pick(plan.picks, (PickedTitle(node, _SECTIONS[kind], *rest) for node, kind, *rest in rows))

    def _put_on(self, plan: Plan, titles: Mapping[int, int]) -> None:
        rows = [(plan.number, parent, node, self.draft.now) for node, parent in titles.items()]
        self._connection.executemany("INSERT INTO shelved VALUES (?, ?, ?, ?, 0)", rows)
        back = [(plan.number, node) for node in titles]
        self._connection.executemany("DELETE FROM unshelved WHERE shelf = ? AND node = ?", back)
        for node, parent in titles.items():
            self._note(plan.number, parent, node)
        self._tell(plan, len(titles), "put on")

    def _take_off(self, plan: Plan, members: Mapping[int, _Member], gone: Set[int], left: int) -> None:
        """Take titles off a shelf that stay in the library, or hold them there."""
        if not gone:
            return
        if limit := self._held_by(plan, members, gone, left):
            rows = [(plan.number, members[node].parent, node) for node in gone if not members[node].held]
            self._connection.executemany(
                "UPDATE shelved SET held = 1 WHERE shelf = ? AND parent = ? AND node = ?", rows
            )
            self.changed |= bool(rows)
            cause = f"the filters and picks of shelf {plan.shelf.name}"
            self.kept.append(Held(f"titles of shelf {plan.shelf.name}", len(gone), len(members), cause, limit))
            return
        now = self.draft.now
        rows = [(plan.number, members[node].parent, node) for node in gone]
        self._connection.executemany("DELETE FROM shelved WHERE shelf = ? AND parent = ? AND node = ?", rows)
        if not self.accept:
            noted = [(plan.number, node, now, members[node].since) for node in gone]
            self._connection.executemany("INSERT OR REPLACE INTO unshelved VALUES (?, ?, ?, ?)", noted)
        for node in gone:
            self._note(plan.number, members[node].parent, node)
        self._tell(plan, len(gone), "taken off")

    def _tell(self, plan: Plan, number: int, what: str) -> None:
        if number:
            self.told.append(f"{number} {'title' if number == 1 else 'titles'} {what} shelf {plan.shelf.name}")

    def _held_by(self, plan: Plan, members: Mapping[int, _Member], gone: Set[int], left: int) -> str:
        """Why titles are held; empty if they are not."""
        if self.accept:
            self._connection.execute("DELETE FROM unshelved WHERE shelf = ?", (plan.number,))
            return ""
        percent = f"max_shrink = {self.max_shrink} %"
        begin = self.draft.now - WINDOW
        self._connection.execute("UPDATE unshelved SET at = ?1 WHERE at > ?1", (self.draft.now,))
        self._connection.execute("DELETE FROM unshelved WHERE at <= ?", (begin,))
        if not left:
            return "nothing would be left"
        if too_many(len(gone), len(members), self.max_shrink):
            return f"more than {percent}"
        # What came today may go today.
        query = "SELECT count(*) FROM unshelved WHERE shelf = ? AND since <= ?"
        [lost] = self._connection.execute(query, (plan.number, begin)).fetchone()
        old = {node for node, member in members.items() if member.since <= begin}
        if too_many(lost + len(gone & old), lost + len(old), self.max_shrink):
            return f"with what was taken off in the last 24 hours more than {percent}"
        return ""

    def _note_unmatched(self, plan: Plan, judge: "_Judge | None", picked: Picked) -> None:
        """Note what of a shelf's settings and picks means no title; of its patterns if all titles were judged."""
        connection, number = self._connection, plan.number
        rows = {(RemarkKind.NO_TITLE.value, line, nearest) for line, nearest in picked.unmatched.items()}
        if judge is not None:
            rows |= {(setting, pattern, "") for setting, pattern in judge.unmatched()}
            self.unmatched += [(f"shelf {plan.shelf.name}, {what}", text) for what, text, _ in sorted(rows)
                               if what != RemarkKind.NO_TITLE]  # fmt: skip
        known = "SELECT what, text, detail FROM shelf_remark WHERE shelf = ?"
        before = set(connection.execute(known, (number,)).fetchall())
        if judge is None:
            rows |= {row for row in before if row[0] != RemarkKind.NO_TITLE}
        if rows != before:
            self.changed = True
            connection.execute("DELETE FROM shelf_remark WHERE shelf = ?", (number,))
            connection.executemany(
                "INSERT INTO shelf_remark VALUES (?, ?, ?, ?)", [(number, *row) for row in sorted(rows)]
            )
        lines = len(picked.unmatched)
        if lines and rows != before:
            line, nearest = next(iter(picked.unmatched.items()))
            meant = f" (the nearest is {nearest})" if nearest else ""
            others = f" and {lines - 1} more" if lines > 1 else ""
            self.notes.append(f"shelf {plan.shelf.name}: {line}{meant}{others} of {plan.shelf.picks} is no title here.")

    def _settle_categories(self) -> None:
        """Put the folders of categories on the shelves that have titles in them."""
        connection = self._connection
        wanted = set(
            connection.execute(
                "SELECT DISTINCT shelf, category.parent, category.id FROM shelved"
                " JOIN node AS category ON category.id = shelved.parent AND category.kind = ?",
                (NodeKind.CATEGORY,),
            )
        )
        query = """SELECT shelf, shelved.parent, shelved.node
            FROM shelved JOIN node ON node.id = shelved.node WHERE node.kind = ?"""
        there = set(connection.execute(query, (NodeKind.CATEGORY,)))
        for shelf, parent, node in wanted ^ there:
            if (shelf, parent, node) in there:
                statement = "DELETE FROM shelved WHERE shelf = ? AND parent = ? AND node = ?"
                connection.execute(statement, (shelf, parent, node))
            else:
                connection.execute("INSERT INTO shelved VALUES (?, ?, ?, ?, 0)", (shelf, parent, node, self.draft.now))
            self._note(shelf, parent, node)

    def _settle_folders(self, touched: Set[int]) -> None:
        """Settle the times of the topmost directories, and what they hold."""
        connection = self._connection
        before = {
            (shelf, node): rest for shelf, node, *rest in connection.execute("SELECT * FROM shelf_folder").fetchall()
        }
        held = "SELECT shelf, parent, count(*), sum(node) FROM shelved GROUP BY 1, 2"
        now = {(shelf, parent): (number, total) for shelf, parent, number, total in connection.execute(held)}
        above: dict[tuple[int, int], int] = {}
        for plan in self.plans.each:
            if plan.shown:
                for node in (MOVIES_NODE, TV_NODE, ROOT_NODE):
                    now.setdefault((plan.number, node), (0, 0))
                    above[plan.number, node] = ROOT_NODE
        for shelf, parent in now.keys() - above.keys():
            [section] = connection.execute("SELECT parent FROM node WHERE id = ?", (parent,)).fetchone()
            above[shelf, parent] = section
        dirty = self._with_above(self._dirty | self._touched(touched), above)
        for (shelf, node), (number, total) in now.items():
            old = before.pop((shelf, node), None)
            if old is not None and (shelf, node) not in dirty and shelf not in self._new:
                time = old[0]
            elif shelf in self._new:
                time = self._age(shelf, node)
            else:
                time = max(self.draft.now, (old[0] // _SECOND + 1) * _SECOND if old else 0)
            if old != [time, number, total]:
                self.changed = True
                self.moved.add(shelved(shelf, node))
                row = (shelf, node, time, number, total)
                connection.execute("INSERT OR REPLACE INTO shelf_folder VALUES (?, ?, ?, ?, ?)", row)
        connection.executemany("DELETE FROM shelf_folder WHERE shelf = ? AND node = ?", list(before))

    def _touched(self, titles: Set[int]) -> set[tuple[int, int]]:
        """The directories of shelves that hold titles which were touched."""
        query = f"""SELECT number, node.parent FROM node JOIN shelf
            JOIN shelved ON shelved.shelf = number AND shelved.parent = node.parent AND shelved.node = node.id
            WHERE node.id = ? AND {_IS_TITLE}"""
        rows = (self._connection.execute(query, (title,)) for title in titles)
        return {(shelf, parent) for each in rows for shelf, parent in each}

    def _with_above(self, dirty: Set[tuple[int, int]], above: Mapping[tuple[int, int], int]) -> set[tuple[int, int]]:
        found = set[tuple[int, int]]()
        for shelf, node in dirty:
            # Of a category that is gone, nobody knows any more where it stood.
            todo = [node] if (shelf, node) in above else [MOVIES_NODE, TV_NODE]
            while todo:
                found |= {(shelf, each) for each in todo}
                todo = [up for each in todo if (up := above.get((shelf, each), ROOT_NODE)) != each]
        return found

    def _age(self, shelf: int, node: int) -> int:
        """The time of the newest thing on a new shelf in a directory: the same on every host."""
        if node == ROOT_NODE:
            return max(self._age(shelf, MOVIES_NODE), self._age(shelf, TV_NODE))
        query = """SELECT node.id, kind, mtime
            FROM shelved JOIN node ON node.id = shelved.node WHERE shelf = ? AND shelved.parent = ?"""
        rows = self._connection.execute(query, (shelf, node)).fetchall()
        times = (self._age(shelf, below) if kind == NodeKind.CATEGORY else mtime for below, kind, mtime in rows)
        return max(times, default=0)


class _Judge:
    """Says which titles a shelf's filters let in.

    Args:
        shelf: whose.
        snapshot: the catalogue.
        nodes: gives the nodes of titles of a kind by their ids there.
        namesakes: the titles that are called as one for adults is.
    """

    def __init__(
        self, shelf: Shelf, snapshot: Snapshot, nodes: Callable[[int, Set[int]], set[int]], namesakes: Set[int]
    ) -> None:
        self._has_filters = bool(shelf.filters)
        self._by_language = bool(shelf.languages)
        self._filter = Filter(LibrarySettings.model_validate(shelf.filters))
        self.in_category: set[int] | None = None
        """The titles with a relation in one of its categories, and none in one that it excludes; None if the shelf has
        no categories."""
        self._excluded = set(namesakes) if shelf.adult == "exclude" else set()
        if shelf.categories:
            groups = snapshot.groups()
            wanted, unwanted = self._filter.choose(groups).categories or set(), self._filter.excluded(groups)

            def titles_in(categories: Set[int | None]) -> set[int]:
                found = (nodes(kind, snapshot.titles_in(name, categories)) for kind, name in _OF_CATALOGUE.items())
                return set().union(*found)

            self._excluded |= titles_in(unwanted) if unwanted else set()
            self.in_category = titles_in(wanted) - self._excluded

    def judge(self, title: _Title, picked: Picked, cleaner: TitleCleaner, *, is_there: bool) -> _Verdict:
        """Whether a title is to stand on the shelf, as far as one of its rows tells."""
        if title.node in picked.off:
            return _Verdict.EXCLUDED
        if title.node in picked.on:
            return _Verdict.LET_IN
        if not self._has_filters:
            return _Verdict.NOT_MEANT
        if title.node in self._excluded:
            return _Verdict.EXCLUDED
        if self.in_category is not None and title.node not in self.in_category:
            # The catalogue says nothing of what the library's brake holds.
            return _Verdict.LET_IN if is_there and title.held == HELD_GONE else _Verdict.NOT_MEANT
        if not self._filter.judges_titles:
            return _Verdict.LET_IN
        item: Movie | Series = (
            decode(title.item, SpokenMovie) if title.kind == NodeKind.MOVIE else decode(title.item, SpokenSeries)
        )
        language = ""
        if self._by_language:
            language = known_language(item) or cleaner.language(item.original_title or item.title)
        if not self._filter.refuses(item, language, title.uuid):
            return _Verdict.LET_IN
        excluded = self._filter.excludes(item, language, title.uuid)
        return _Verdict.EXCLUDED if excluded else _Verdict.NOT_MEANT

    def unmatched(self) -> Iterator[tuple[str, str]]:
        """Setting and pattern of whatever matched nothing."""
        return self._filter.unmatched()


def _tops(number: int) -> set[int]:
    """The directories by which a shelf is seen in the root, in either form."""
    return {shelved(number, node) for node in (ROOT_NODE, MOVIES_NODE, TV_NODE)}
