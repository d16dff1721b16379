"""Everyday events through a live mount: after each, the mount shows what a fresh index of the same catalogue would."""

import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import everyday
import pytest
from databases import Database
from disks import small_disk
from everyday import EVENTS, Event, Rows
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from libraries import Library
from mounts import Mount, eventually, mounted
from postgres_server import PostgresServer
from shares import Share

from vod2strmfs.errors import CatalogError, IndexFileError
from vod2strmfs.index.store import Store
from vod2strmfs.library.tree import Tree
from vod2strmfs.materialize.job import Job
from vod2strmfs.materialize.run import materialize
from vod2strmfs.settings import LibrarySettings, Settings
from vod2strmfs.shrink import MIN_ITEMS

SECONDS = 120.0
"""How long the mount may take to follow; a worker that was killed is started again after five."""

HELD = ("movies_held", "episodes_held", "movies_not_renamed", "series_not_renamed", "episodes_not_renamed")
"""Metrics of what the brake holds."""

SETTINGS: tuple[dict[str, object], ...] = (
    {},
    {"clean_titles": False},
    {"folder_ids": "plex"},
    {"versions": "all"},
    {"group_by": "category"},
    {"media_server": "kodi", "pin_stream": False},
    {"accounts": ("!Beta*",)},
    {"years": "1980-1990"},
    {"group_by": "category_tv", "categories": ("!Kids*",)},
    {"versions": "all", "group_by": "category", "categories": ("Kids*",)},
    {"versions": "all", "accounts": ("Alpha",), "media_server": "emby"},
    {"name_regex": "Film ", "media_server": "spec"},
    {"merge": "titles"},
    {"merge": "titles", "versions": "all", "group_by": "category"},
    {"merge": "titles", "categories": ("!Kids*",), "media_server": "kodi"},
)


def _settings(said: dict[str, object]) -> LibrarySettings:
    """Settings that name `merge`: else a library goes on as it was made, and a fresh one is made otherwise."""
    return LibrarySettings.model_validate({"merge": "off"} | said)


_MARK = re.compile(r" \[[^\]/]*\]")
_MARK_IN_FILE = re.compile(rb" \[[^\]\n]*\]")


class Seen(NamedTuple):
    """A file or a directory as it is served."""

    inode: int
    mtime: int
    content: bytes | None
    """None of a directory."""


View = dict[str, Seen]


def seen_through(mount: Mount) -> View:
    """All that the mount shows, as the kernel has it."""
    found: View = {}

    def fail(error: OSError) -> None:
        raise error

    for directory, folders, files in os.walk(mount.path, onerror=fail):
        for name in (*folders, *files):
            path = Path(directory, name)
            status, content = path.lstat(), None
            if name in files:
                with path.open("rb") as file:  # Its name may be another file's since.
                    status, content = os.fstat(file.fileno()), file.read()
                assert len(content) == status.st_size
            found[str(path.relative_to(mount.path))] = Seen(status.st_ino, status.st_mtime_ns, content)
    if found.pop(".stats.csv", None) is None:
        raise OSError("no library is mounted there")
    return found


class Held(NamedTuple):
    """A file that a reader holds open."""

    descriptor: int
    path: str
    content: bytes


class Life:
    """One library and its mount, through many events.

    The state directory is a file system of its own, so that it can be full.

    Args:
        server: where the catalogue is.
        directory: an empty folder.
        folds: whether what is written goes to a share that does not tell `A` from `a`.
    """

    def __init__(self, server: PostgresServer, directory: Path, *, folds: bool) -> None:
        self._server = server
        self._directory = directory
        self._folds = folds
        self._outside = ExitStack()
        self._outside.enter_context(small_disk(directory / "state", "16m"))
        self._output = directory / "output"
        if folds:
            self._outside.enter_context(Share(directory / "source", self._output, "fold"))
        self._database = Database(server.new_database()).fill(everyday.small_library())
        self._rows = Rows(self._database.owner_url)
        self._settings = _settings({})
        self._stack = ExitStack()
        self._held: list[Held] = []
        self._fresh = 0
        self.story: list[str] = []
        self._mount = self._start()
        self._before: View = self._follow()

    def close(self) -> None:
        """End it all."""
        self._let_go()
        self._rows.close()
        self._stack.close()
        self._outside.close()

    def _start(self) -> Mount:
        options = []
        for name, value in self._settings.model_dump(exclude_defaults=True).items():
            text = ",".join(value) if isinstance(value, tuple) else value
            option = name.replace("_", "-")
            options.append(
                f"--{option}={text}" if not isinstance(value, bool) else f"--{'' if value else 'no-'}{option}"
            )
        return self._stack.enter_context(
            mounted(self._directory, self._database.url, "--poll-interval", "0.4", *options)
        )

    def _let_go(self) -> None:
        while self._held:
            with suppress(OSError):  # of a mount or an index that is gone
                os.close(self._held.pop().descriptor)

    def happen(self, event: Event, seed: int) -> None:
        """Something changes in the catalogue; then look."""
        self.story.append(event(self._rows, random.Random(seed)))
        self._look()

    def disturb(self, disturbance: str, seed: int) -> None:
        """Something happens to the machine; then look."""
        self.story.append(disturbance)
        chance = random.Random(seed)
        same_index = True
        if disturbance == "worker killed":
            with suppress(ProcessLookupError, ValueError):
                os.kill(self._mount.worker(), signal.SIGKILL)
        elif disturbance == "signal":
            for _ in range(chance.randint(1, 50)):
                self._mount.process.send_signal(signal.SIGHUP)
        elif disturbance == "database restarted":
            self._rows.close()
            self._server.stop(chance.choice(("fast", "immediate")))
            time.sleep(chance.random())
            self._server.start()
            self._rows.connect()
        elif disturbance == "state directory full":
            with full(self._directory / "state"):
                self.story.append(chance.choice(EVENTS)(self._rows, chance))
                self._mount.process.send_signal(signal.SIGHUP)
                time.sleep(1.0)
        elif disturbance == "worker killed in a sync":
            self.story.append(chance.choice(EVENTS)(self._rows, chance))
            self._mount.process.send_signal(signal.SIGHUP)
            time.sleep(chance.random() * 0.3)
            with suppress(ProcessLookupError, ValueError):
                os.kill(self._mount.worker(), signal.SIGKILL)
        elif disturbance == "index damaged":
            same_index = False
            index = self._directory / "state" / "index.db"
            with index.open("r+b") as pages:
                pages.seek(4096 * chance.randrange(1, index.stat().st_size // 4096))
                pages.write(bytes(4096))
            self._mount.process.send_signal(signal.SIGHUP)
            time.sleep(chance.random())
            with suppress(CatalogError):  # finds what nobody has read
                Library(self._directory).sync(self._database.url, self._settings, thorough=True)
        elif disturbance == "all movies replaced":
            self._expect_brake()
        elif disturbance == "caches dropped":
            self._mount.drop_caches()
        elif disturbance == "index lost":
            same_index = False
            self._let_go()
            for file in (self._directory / "state").glob("index.db*"):
                file.unlink()
            # Until there is another, the mount goes on with the one that it has open.
            self._mount.process.send_signal(signal.SIGHUP)
            eventually(lambda: self._has_index() and not self._reads_lost_index())
        elif disturbance == "files opened":
            files = [path for path, seen in self._before.items() if seen.content]
            for path in chance.sample(files, min(3, len(files))):
                descriptor = os.open(self._mount.path / path, os.O_RDONLY)
                self._held.append(Held(descriptor, path, self._before[path].content or b""))
            while len(self._held) > 12:
                os.close(self._held.pop(0).descriptor)
        else:
            self._let_go()
            if disturbance == "settings changed":
                self._settings = _settings(chance.choice(SETTINGS))
                self.story.append(repr(self._settings.model_dump(exclude_defaults=True)))
            if disturbance == "killed":
                self._mount.process.kill()
                self._mount.process.wait()
            self._stack.close()
            self._mount = self._start()
        self._look(same_index=same_index)

    def _expect_brake(self) -> None:
        """Other films under the same stream ids: none of those known may go before somebody says so."""
        known = {path for path in self._before if path.startswith("Movies/")}
        movies = {path.rpartition("/")[0] for path in known if path.endswith(".strm")}
        have_ids = not self._rows.ids("vod_movie", "tmdb_id IS NULL")
        everyday.all_replaced(self._rows)
        if not have_ids or len(movies) <= MIN_ITEMS:
            return
        generation = self._mount.stat("generation")
        self._mount.process.send_signal(signal.SIGHUP)
        eventually(lambda: self._mount.stat("generation") != generation)
        assert known <= seen_through(self._mount).keys()

    def _has_index(self) -> bool:
        state_dir = self._directory / "state"
        if not Store.exists(state_dir):
            return False
        with closing(Store(state_dir)) as store:
            return store.generation > 0

    def _reads_lost_index(self) -> bool:
        descriptors = Path(f"/proc/{self._mount.process.pid}/fd")
        return any("index.db" in target and target.endswith("(deleted)") for target in links(descriptors))

    def _look(self, *, same_index: bool = True) -> None:
        after = self._follow()
        for held in self._held:
            assert os.pread(held.descriptor, 1 << 20, 0) == held.content, f"{held.path}, which is held open"
        if same_index:
            moved = [*unfounded(self._before, after)]
            assert not moved, moved
        self._before = after
        self._write()

    def _wanted(self) -> dict[str, bytes | None] | None:
        """What a fresh index of the catalogue shows; None if there would be nothing to show."""
        self._fresh += 1
        folder = self._directory / f"fresh{self._fresh}"
        folder.mkdir()
        library = Library(folder)
        try:
            library.sync(self._database.url, self._settings)
        except CatalogError:
            return None
        else:
            contents = library.files()
            return {path: contents.get(path) for path in library.tree()}
        finally:
            shutil.rmtree(folder)

    def _indexed(self) -> View:
        """What the index says that there is to be seen."""
        with closing(Store(self._directory / "state")) as store:
            tree = Tree(store)
            return {
                path: Seen(entry.inode, entry.mtime, None if entry.is_dir else tree.read(entry.inode))
                for path, entry in tree.walk()
            }

    def _follow(self) -> View:
        """Wait until the mount shows what a fresh index does, and return it."""
        wanted = self._wanted()
        deadline = time.monotonic() + SECONDS
        self._mount.process.send_signal(signal.SIGHUP)
        difference: object = None
        while True:
            assert self._mount.process.poll() is None, f"the mount has ended: {self._mount.log.read_text()[-2000:]}"
            try:
                # By name first: what the kernel believes of names that it was asked for must be right, too.
                for path in wanted or ():
                    with suppress(FileNotFoundError, NotADirectoryError):
                        (self._mount.path / path).lstat()
                view, indexed = seen_through(self._mount), self._indexed()
            except (OSError, IndexFileError) as error:
                difference = error
            else:
                shown = {path: seen.content for path, seen in view.items()}
                compared = unmarked if self._settings.merge == "off" else played
                if compared(shown) != compared(wanted or shown):
                    difference = differing(shown, wanted or shown)
                else:
                    difference = differing(view, indexed)
                if not difference:
                    return view
                if any(self._mount.stat(metric) != "0" for metric in HELD):
                    self._accept()
            assert time.monotonic() < deadline, f"shown and wanted differ: {difference}"
            time.sleep(0.1)

    def _accept(self) -> None:
        """Let go of what the brake holds, which a fresh index knows nothing of."""
        library = Library(self._directory)
        with suppress(CatalogError):
            library.sync(self._database.url, self._settings, accept_shrink=True)

    def _write(self) -> None:
        """What materialize writes is what the mount shows."""
        output = self._output
        with closing(Store(self._directory / "state")) as store:
            places = {"state_dir": self._directory / "state", "report_dir": self._directory / "reports"}
            settings = Settings(output_root=output, **places, cleanup="apply")
            materialize(store, Job(settings, "all", accept_shrink=True))
        written = {}
        for directory, folders, files in os.walk(output):
            for name in (*folders, *files):
                path = Path(directory, name)
                written[str(path.relative_to(output))] = path.read_bytes() if name in files else None
        shown = {path: seen.content for path, seen in self._before.items()}
        if self._folds:
            written, shown = ({path.lower(): content for path, content in view.items()} for view in (written, shown))
        assert written == shown, f"written and shown differ: {differing(written, shown)}"


@contextmanager
def full(directory: Path) -> Iterator[None]:
    """While it lasts, there is no room on the file system of a folder."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


def links(folder: Path) -> Iterator[str]:
    """Where the links in a folder lead to."""
    for link in folder.iterdir():
        with suppress(FileNotFoundError):
            yield os.readlink(link)


def unfounded(before: View, after: View) -> Iterator[str]:
    """Paths whose inode or time moved, though the bytes of all that they hold are those that they held."""
    for path, old in before.items():
        new = after.get(path)
        if new is None or (old.content is None) != (new.content is None):
            continue
        folder = path if old.content is None else path.rpartition("/")[0]
        if below(before, folder) == below(after, folder) and (old.inode, old.mtime) != (new.inode, new.mtime):
            yield f"{path}: {old[:2]} is now {new[:2]}"


def unmarked(contents: Mapping[str, bytes | None]) -> Counter[tuple[str, bytes]]:
    """What there is, but for what tells one from another of the same name: who has a name keeps it, while a fresh index
    gives it to another (decision 3)."""
    return Counter((_MARK.sub("", path), _MARK_IN_FILE.sub(b"", content or b"")) for path, content in contents.items())


def played(contents: Mapping[str, bytes | None]) -> Counter[tuple[str, bytes]]:
    """What plays. Who was there first gives a title of several rows its names and its `tvshow.nfo`; in a fresh index
    that may be another row."""
    return Counter(("", content or b"") for path, content in contents.items() if path.endswith(".strm"))


def differing(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """What two say of a path, where they do not say the same."""
    return {
        path: (one.get(path), other.get(path))
        for path in sorted(one.keys() | other.keys())
        if one.get(path, "nothing") != other.get(path, "nothing")
    }


def below(view: View, folder: str) -> dict[str, bytes | None]:
    """The contents of all that a folder holds."""
    return {path: seen.content for path, seen in view.items() if path.startswith(f"{folder}/")}


DISTURBANCES = (
    "files opened", "files opened", "files opened", "signal", "signal", "caches dropped", "settings changed",
    "settings changed", "restarted", "killed", "worker killed", "database restarted", "index lost",
    "state directory full", "all movies replaced", "worker killed in a sync", "index damaged",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One of its own, since it is restarted."""
    with PostgresServer() as server:
        yield server


@pytest.mark.complains("The index was damaged")
def test_after_every_event_the_mount_shows_what_a_fresh_index_would(
    server: PostgresServer, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    lives, events = (40, 50) if soak else (2, 18)
    happened = 0

    @settings(
        max_examples=lives, phases=[Phase.generate], report_multiple_bugs=False, print_blob=False,
        suppress_health_check=[*HealthCheck],
    )  # fmt: skip
    @given(
        st.lists(
            st.tuples(st.sampled_from((*EVENTS, *EVENTS, *EVENTS, *DISTURBANCES)), st.integers(0, 2**32)),
            min_size=events,
            max_size=events,
        )
    )
    def live(steps: list[tuple[Event | str, int]]) -> None:
        nonlocal happened
        with TemporaryDirectory(prefix="vod2strmfs-everyday-") as folder:
            life = Life(server, Path(folder), folds=bool(steps[0][1] % 2))
            try:
                for what, seed in steps:
                    if callable(what):
                        life.happen(what, seed)
                    else:
                        life.disturb(what, seed)
                    happened += 1
            except AssertionError as error:
                error.add_note("What happened:\n" + "\n".join(life.story))
                raise
            finally:
                life.close()

    live()
    record_property("events", happened)
