"""Everyday events of a catalogue of doubles: after each, titles are joined as a fresh index of it has them."""

import json
import random
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import everyday
from databases import Database
from everyday import EVENTS, Chance, Event, Rows
from libraries import Library
from outputs import Output
from postgres_server import PostgresServer

from vod2strmfs.catalog.open import open_source
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import CatalogError
from vod2strmfs.index.store import Store
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.library.tree import Tree
from vod2strmfs.settings import LibrarySettings, MediaServer
from vod2strmfs.sync.counts import count
from vod2strmfs.sync.last_comparison import ComparisonCache
from vod2strmfs.sync.run import sync

SETTINGS: tuple[dict[str, object], ...] = (
    {},
    {},
    {"merge": "off"},
    {"merge": "ids"},
    {"versions": "all"},
    {"versions": "all", "merge": "off"},
    {"accounts": ("!Beta*",)},
    {"categories": ("!Kids*",)},
    {"languages": ("EN", "-")},
    {"years": "1980-1996"},
    {"group_by": "category"},
    {"group_by": "category_tv", "versions": "all"},
    {"media_server": "kodi", "folder_ids": "jellyfin"},
    {"folder_ids": "plex", "name_max": 143},
    {"direct_urls": True},
    {"prefer_languages": ("FR", "EN"), "prefer_quality": "lowest"},
    {"empty_series": "show"},
    {"pin_stream": False, "clean_titles": False},
)
"""What is set beside `merge = "titles"`."""

MARKS = ("", "EN - ", "4K-EN - ", "|FR| ", "CAM - ")
_RELATIONS = {
    "vod_movie": ("vod_m3umovierelation", "movie_id"),
    "vod_series": ("vod_m3useriesrelation", "series_id"),
}


def doubles() -> Catalogue:
    """Films and series as two accounts send them, in several languages and qualities."""
    catalogue = everyday.small_library()
    alpha, beta = catalogue.account("Gamma"), catalogue.account("Delta", priority=7)
    for number in range(6):
        for place, (mark, account) in enumerate((("", alpha), ("EN - ", alpha), ("4K-EN - ", beta), ("|FR| ", beta))):
            catalogue.movie(f"{mark}Double {number} (1999)", relations=[account])
            series = catalogue.series(f"{mark}Twice {number} (1999)", relations=[account])
            for episode in range(place % 3, 3 + place):
                catalogue.episode(series, 1 + (episode > 2), episode, f"{mark}Part {episode}", relations=[account])
    return catalogue


def doubled(rows: Rows, chance: Chance) -> str:
    """A title gets the name of another one, behind a mark; its ids go, and its relation's perhaps come."""
    table = chance.choice(("vod_movie", "vod_series"))
    row, other, mark = rows.one(chance, table), rows.one(chance, table), chance.choice(MARKS)
    done = rows.run(
        f"UPDATE {table} SET name = '{mark}' || o.name, year = o.year, tmdb_id = NULL, imdb_id = NULL"
        f" FROM (SELECT name, year FROM {table} WHERE id = {other}) o WHERE id = {row}"
    )
    return f"{table} {row} is {mark!r} and the name of {other}: {done}"


def identified(rows: Rows, chance: Chance) -> str:
    """A relation says another id."""
    table = chance.choice(("vod_movie", "vod_series"))
    relations, _ = _RELATIONS[table]
    row = rows.one(chance, relations)
    ids = {"tmdb": chance.choice(("", "1", "2")), "imdb": chance.choice(("", "", "tt0000001", "tt0000002"))}
    height = chance.choice((0, 720, 2160))
    said: dict[str, Any] = {"basic_data": ids}
    if height:
        said["detailed_info"] = {"video": {"codec_name": "h264", "width": 16, "height": height}}
    rows.run(f"UPDATE {relations} SET custom_properties = '{json.dumps(said)}' WHERE id = {row}")
    return f"{relations} {row} says {said}"


def all_identified(rows: Rows, chance: Chance) -> str:
    """All relations to titles of a kind say one id."""
    table = chance.choice(("vod_movie", "vod_series"))
    relations, _ = _RELATIONS[table]
    said = json.dumps({"basic_data": {"tmdb": chance.choice(("", "1"))}})
    rows.run(f"UPDATE {relations} SET custom_properties = '{said}'")
    return f"all {relations} say {said}"


def years_known(rows: Rows, chance: Chance) -> str:
    """All titles of one name get a year, or lose it."""
    table = chance.choice(("vod_movie", "vod_series"))
    year = chance.choice(("1999", "2001", "NULL"))
    row = rows.one(chance, table)
    name = f"(SELECT regexp_replace(name, '^.* - ', '') FROM {table} WHERE id = {row})"
    rows.run(f"UPDATE {table} SET year = {year} WHERE name LIKE '%' || {name}")
    return f"{table} like {row}: year {year}"


MORE: tuple[Event, ...] = (
    doubled, doubled, doubled, doubled, identified, identified, identified, all_identified, years_known
)  # fmt: skip


class Title(NamedTuple):
    """What there is to be seen of a title."""

    folder: str
    inode: int
    host: str
    """The UUID of the row that it is made for."""
    files: Counter[Any]
    nfo: bytes | None


Titles = dict[tuple[int, frozenset[str]], Title]
"""By kind and by the UUIDs of their rows."""


def titles_of(library: Library) -> Titles:
    """The titles of an index."""
    with closing(Store(library.state_dir)) as store:
        tree = Tree(store)
        walked = list(tree.walk())
        contents = {path: tree.read(entry.inode) for path, entry in walked if not entry.is_dir}
    assert len({path for path, _ in walked}) == len(walked)
    assert len({path.lower() for path, _ in walked}) == len(walked)
    folders = {entry.inode >> 11: path for path, entry in walked if entry.is_dir}
    with closing(sqlite3.connect(library.state_dir / "index.db")) as index:
        rows = index.execute(
            "SELECT content.kind, content.id, coalesce(host, content.id), uuid FROM content"
            " LEFT JOIN joined ON node = id WHERE kind IN (2, 3)"
        ).fetchall()
    members: defaultdict[int, set[str]] = defaultdict(set)
    uuids, kinds = {}, {}
    for kind, node, host, uuid in rows:
        members[host].add(uuid)
        uuids[node], kinds[host] = uuid, kind
    below: defaultdict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for path, content in contents.items():
        parts = path.split("/")
        for depth in range(1, len(parts)):
            below["/".join(parts[:depth])].append((path, content))
    found = {}
    for host, streams in members.items():
        if host not in folders:
            continue
        path = folders[host]
        files: Counter[Any] = Counter()
        nfo = None
        for inner, content in below[path]:
            name = inner.removeprefix(f"{path}/")
            if name.endswith(".strm"):
                files[name.rpartition("/")[0], content] += 1
            elif name == "movie.nfo":
                nfo = content
        found[kinds[host], frozenset(streams)] = Title(path, host, uuids[host], files, nfo)
    return found


UNSOUND = {
    "waits for nobody": "SELECT id FROM node WHERE kind IN (2, 5) AND parent = -1 AND NOT EXISTS (SELECT 1 FROM joined"
    " JOIN node AS host ON host.id = joined.host WHERE joined.node = node.id AND host.parent != -1)",
    "joined to nobody": "SELECT node FROM joined WHERE node NOT IN (SELECT id FROM node)"
    " OR host NOT IN (SELECT id FROM node)",
    "plays nothing": "SELECT id FROM played WHERE node NOT IN (SELECT id FROM node) OR id NOT IN (SELECT id FROM node)",
    "known, and gone": "SELECT node FROM title WHERE node NOT IN (SELECT id FROM node)",
    "below nothing": "SELECT id FROM node WHERE id != 0 AND parent != -1 AND parent NOT IN (SELECT id FROM node)",
    "seen, and joined": "SELECT id FROM node JOIN joined ON node = id WHERE id != host AND parent != -1",
    "an empty season": "SELECT id FROM node AS season WHERE kind = 4 AND id NOT IN (SELECT parent FROM node)",
}
"""Queries that find nothing in an index that is sound."""


def check_index(library: Library, media_server: MediaServer) -> None:
    """What the index says of itself is so."""
    with closing(sqlite3.connect(library.state_dir / "index.db")) as index:
        for what, query in UNSOUND.items():
            assert (what, index.execute(query).fetchall()) == (what, [])
        [noted] = index.execute("SELECT stats FROM generation").fetchone()
        stats = json.loads(noted)
        for scope, numbers in count(index, media_server).items():
            assert {metric: stats[scope][metric] for metric in numbers} == numbers


class Life:
    """A library through many events.

    Args:
        server: where the catalogue is.
        directory: an empty folder.
    """

    def __init__(self, server: PostgresServer, directory: Path) -> None:
        self.directory = directory
        self.database = Database(server.new_database()).fill(doubles())
        self.rows = Rows(self.database.owner_url)
        self.library = Library(directory / "lived")
        (directory / "lived").mkdir()
        self.output = Output(self.library, directory / "output")
        self.settings = LibrarySettings(merge="titles")
        self.cache = ComparisonCache()
        self.fresh = 0
        self.story: list[str] = []
        self.before: dict[str, Any] | None = None
        self.look()

    def close(self) -> None:
        """End it."""
        self.rows.close()

    def change_settings(self, chance: Chance) -> None:
        """Other settings; then look."""
        self.settings = LibrarySettings.model_validate({"merge": "titles"} | chance.choice(SETTINGS))
        self.cache = ComparisonCache()
        self.story.append(repr(self.settings.model_dump(exclude_defaults=True)))
        self.look()

    def _sync(self, **options: Any) -> Any:
        with closing(open_source(self.database.url)) as source:
            return sync(source, self.settings, self.library.state_dir, **options)

    def look(self) -> None:
        """Sync, and compare what there is with a fresh index."""
        try:
            outcome = self._sync(cache=self.cache)
        except CatalogError:
            return
        check_index(self.library, self.settings.media_server)
        if outcome.held or any(value for (_, what), value in outcome.counts.items() if what == "not_renamed"):
            self.story.append(f"  held: {dict(outcome.counts)}")
            self._sync(accept_shrink=True)
            check_index(self.library, self.settings.media_server)
        self.fresh += 1
        folder = self.directory / f"fresh{self.fresh}"
        (folder / "merged").mkdir(parents=True)
        (folder / "off").mkdir()
        fresh, off = Library(folder / "merged"), Library(folder / "off")
        fresh.sync(self.database.url, self.settings)
        off.sync(self.database.url, self.settings.model_copy(update={"merge": "off", "empty_series": "show"}))
        self._compare(titles_of(self.library), titles_of(fresh), titles_of(off))
        assert not self._sync(cache=None).changed, "a second sync has found something"
        metrics, wanted = self.library.metrics(), fresh.metrics()
        names = ("movies", "series", "episodes")
        for name in (*names, *(f"{name}_merged" for name in names), "series_without_episodes"):
            assert (name, metrics[f"index.{name}"]) == (name, wanted[f"index.{name}"])
        self.output.write(cleanup="apply", accept_shrink=True)
        assert self.output.difference() == {}, self.output.difference()
        self._check_inodes()
        self._check_again()

    def _check_again(self) -> None:
        """A fresh look at everything has nothing to mend."""
        with closing(sqlite3.connect(self.library.state_dir / "index.db")) as index, index:
            index.execute("UPDATE generation SET version = 'x'")
        before = self.library.tree()
        self._sync()
        after = self.library.tree()
        differ = {
            path: (before.get(path), after.get(path))
            for path in before.keys() | after.keys()
            if path not in (".stats.csv",)
            and (
                path not in before
                or path not in after
                or before[path].inode != after[path].inode
                or before[path].mtime != after[path].mtime
            )
        }
        assert not differ, f"looking at everything changes {differ}"

    def _check_inodes(self) -> None:
        """No inode moves while all that is there stays."""
        with closing(Store(self.library.state_dir)) as store:
            tree = Tree(store)
            after = {p: (e.inode, e.mtime, None if e.is_dir else tree.read(e.inode)) for p, e in tree.walk()}
        after.pop(".stats.csv", None)
        if self.before is not None:

            def below(view: Mapping[str, Any], folder: str) -> Any:
                return {p: (v[0], v[2]) for p, v in view.items() if p.startswith(f"{folder}/")}

            for path, old in self.before.items():
                new = after.get(path)
                if new is None or (old[2] is None) != (new[2] is None):
                    continue
                folder = path if old[2] is None else path.rpartition("/")[0]
                if old[0] != new[0] and below(self.before, folder) == below(after, folder):
                    raise AssertionError(f"moved: {path}: {old[:2]} is now {new[:2]}")
        self.before = after

    def _compare(self, lived: Titles, fresh: Titles, off: Titles) -> None:
        assert lived.keys() == fresh.keys(), (
            f"joined otherwise: only lived {lived.keys() - fresh.keys()}, only fresh {fresh.keys() - lived.keys()}"
        )
        alone = {title.host: title for title in off.values()}
        for key, title in lived.items():
            other = fresh[key]
            assert unmarked(title.folder) == unmarked(alone[title.host].folder), (title, alone[title.host].folder)
            if key[0] == NodeKind.MOVIE:
                if self.settings.versions == "all":
                    assert title.files == other.files or len(key[1]) > 1, (title, other)
                assert sorted(content for _, content in title.files.elements()) == sorted(
                    content for _, content in other.files.elements()
                ), (key, title, other)
                if title.host == other.host or self.settings.versions != "all":
                    assert unmarked_bytes(title.nfo) == unmarked_bytes(other.nfo), (title, other)
            else:
                assert title.files == other.files, (key, title.files - other.files, other.files - title.files)


def unmarked(path: str) -> str:
    return re.sub(r" \[[^\]/]*\]", "", path)


def unmarked_bytes(content: bytes | None) -> bytes:
    return re.sub(rb" \[[^\]\n]*\]", b"", content or b"")


def test_titles_are_joined_as_in_a_fresh_index(postgres: PostgresServer, soak: bool) -> None:
    lives, events = (40, 30) if soak else (1, 12)
    for seed in range(lives):
        chance = random.Random(seed)
        with TemporaryDirectory(prefix="vod2strmfs-joining-") as folder:
            life = Life(postgres, Path(folder))
            try:
                for _ in range(events):
                    if chance.random() < 0.2:
                        life.change_settings(chance)
                        continue
                    for _ in range(chance.choice((1, 1, 2))):
                        life.story.append(chance.choice((*EVENTS, *MORE, *MORE))(life.rows, chance))
                    life.look()
            except BaseException as error:
                error.add_note(f"seed {seed}: What happened:\n" + "\n".join(life.story))
                raise
            finally:
                life.close()
