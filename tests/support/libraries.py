"""A library under test: catalogues go in, the tree comes out."""

import itertools
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from vod2strmfs.catalog.open import open_source
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.index.store import Store
from vod2strmfs.library.tree import Entry, Tree
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.result import SyncResult
from vod2strmfs.sync.run import sync


class Library:
    """One state directory, to which one catalogue after another is shown.

    Args:
        directory: an empty folder for the state and the catalogues.
    """

    def __init__(self, directory: Path) -> None:
        self.state_dir = directory / "state"
        self._directory = directory
        self._number = itertools.count()

    def show(self, catalogue: Catalogue, settings: LibrarySettings | None = None, **options: Any) -> SyncResult:
        """Sync with a database that holds just this catalogue."""
        url = f"sqlite:///{self._directory}/catalogue{next(self._number)}.db"
        catalogue.write(url)
        self.last_url = url
        return self.sync(url, settings, **options)

    def sync(self, url: str, settings: LibrarySettings | None = None, **options: Any) -> SyncResult:
        """Sync with a database."""
        with closing(open_source(url)) as source:
            return sync(source, settings or LibrarySettings(), self.state_dir, **options)

    def tree(self) -> dict[str, Entry]:
        """Every entry by its path."""
        with closing(Store(self.state_dir)) as store:
            return dict(Tree(store).walk())

    def paths(self) -> list[str]:
        """Every path, sorted."""
        return sorted(self.tree())

    def files(self) -> dict[str, bytes]:
        """The content of every file by its path."""
        with closing(Store(self.state_dir)) as store:
            tree = Tree(store)
            return {path: tree.read(entry.inode) for path, entry in tree.walk() if not entry.is_dir}

    def metrics(self) -> dict[str, str]:
        """The metrics of `.stats.csv` by `scope.metric`."""
        with closing(Store(self.state_dir)) as store:
            rows = [line.split(",") for line in store.stats().decode().splitlines()[1:]]
        return {f"{scope}.{metric}": value for scope, metric, value in rows}


def open_files() -> set[Path]:
    """The files that this process has open."""
    paths = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            paths.add(descriptor.readlink())
    return paths
