"""Making a manifest from the tree, when there is none or it is lost.

A .strm is ours by the URL in it; for NFOs see `our_nfos`. Any other NFO is ours if its bytes are what the library has,
which is found out when its folder is compared; if not, it is taken for the user's, and stays.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from vod2strmfs.library.kinds import NodeKind, Slot
from vod2strmfs.library.rendered import file_facts
from vod2strmfs.materialize import files, former
from vod2strmfs.materialize.manifest import (
    NO_NODE,
    ROOT,
    Folder,
    FolderState,
    Manifest,
    NewFolder,
    NodeFiles,
    WantedFile,
)
from vod2strmfs.materialize.our_nfos import Nfos
from vod2strmfs.materialize.probe import FileSystem
from vod2strmfs.materialize.workers import Workers
from vod2strmfs.settings import LibrarySettings

_UUID = r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_DEPTH = 3
"""Folders that may stand in one another below a section: category, series, season."""
_FOLDERS_IN_TASK = 32


@dataclass
class _Found:
    """A folder that holds .strm files of ours, or folders that do."""

    name: str
    items: list[NodeFiles] = field(default_factory=list)
    folders: "list[_Found]" = field(default_factory=list)
    nfos: list[WantedFile] = field(default_factory=list)
    """The NFOs of the folder itself, a season's or a series'."""

    def repeats(self, above: "_Found") -> bool:
        """Whether all items in the folder are in the folder above it too, so that somebody copied it."""
        return not self.folders and {item.uuid for item in self.items} <= {item.uuid for item in above.items}

    def mtimes(self) -> set[int]:
        """The mtimes (ns) of our files in the folder."""
        return {file.mtime for item in self.items for file in item.files}


@dataclass(frozen=True)
class _Search:
    """Looks for our .strm files in one section, in any thread.

    Args:
        kind: the NodeKind that a .strm belongs to.
        url: matches the content of a .strm that is ours.
        file_system: gives our names for those that are listed.
        former_urls: other URLs that are ours, since the plugin before this one wrote them.
    """

    kind: NodeKind
    url: re.Pattern[bytes]
    file_system: FileSystem
    former_urls: frozenset[bytes]

    def run(self, section: int, names: Sequence[str]) -> list[_Found]:
        """Search some folders of the section, by the section's descriptor and their names."""
        return _not_empty(self._folder(section, name, _DEPTH) for name in names)

    def _folder(self, above: int, name: str, depth: int) -> _Found:
        found = _Found(self.file_system.name(name))
        with contextlib.suppress(PermissionError, FileNotFoundError), files.opened(above, [name]) as directory:
            folders, here = [], {}
            for entry in _entries(directory):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    here[self.file_system.key(entry.name)] = entry
            nfos = Nfos(directory, here, self.file_system)
            for known_as, entry in here.items():
                if known_as.endswith(".strm"):
                    found.items += self._item(directory, entry, nfos)
            if depth > 1:
                below = _not_empty(self._folder(directory, folder, depth - 1) for folder in folders)
                found.folders = [folder for folder in below if not folder.repeats(found)]
            self._add_own(found, nfos)
        return found

    def _item(self, directory: int, entry: "os.DirEntry[str]", nfos: Nfos) -> list[NodeFiles]:
        """The item of a .strm and its NFOs, if the .strm is ours; else nothing."""
        try:
            content = files.read(directory, entry.name)
        except FileNotFoundError:
            return []
        match = self.url.fullmatch(content)
        if match is None and content.strip() in self.former_urls:
            match = former.URL.fullmatch(content)
        if match is None:
            return []
        size, mtime, digested = file_facts(content, entry.stat(follow_symlinks=False).st_mtime_ns)
        name = self.file_system.name(entry.name)
        stem = name.rpartition(".")[0]
        strm = WantedFile(name, Slot.STRM, size, mtime, digested)
        return [NodeFiles(NO_NODE, self.kind, match[1].decode(), (strm, *nfos.of_strm(self.kind, stem, mtime)))]

    def _add_own(self, found: _Found, nfos: Nfos) -> None:
        """Add the NFOs of a season or a series itself."""
        if self.kind != NodeKind.EPISODE:
            return
        if found.items:
            found.nfos += nfos.of_season()
        elif found.folders:
            found.nfos += nfos.of_series(set().union(*(folder.mtimes() for folder in found.folders)))


class _Section:
    """A section of the manifest that is being filled.

    Args:
        manifest: gets the section once there is a folder in it.
        name: the name of the section.
        leaf: the kind of the folders that .strm files stand in.
        shelf: the name of the shelf that it is on; empty for none.
    """

    def __init__(self, manifest: Manifest, name: str, leaf: NodeKind, shelf: str = "") -> None:
        self._shelf = shelf
        self._manifest = manifest
        self._name = name
        self._leaf = leaf
        self._section = 0

    def take(self, found: Sequence[_Found]) -> None:
        """Add folders that were found."""
        for folder in found:
            if not self._section:
                self._section = self._add(self._above(), NodeKind.SECTION, self._name, [])
            self._add_all(self._section, folder)

    def _above(self) -> int:
        """The folder that the section is in."""
        if not self._shelf:
            return ROOT
        known = self._manifest.child(ROOT, self._shelf)
        return known.folder.id if known is not None else self._add(ROOT, NodeKind.SHELF, self._shelf, [])

    def _add_all(self, parent: int, found: _Found) -> None:
        if self._manifest.child(parent, found.name) is not None:
            return  # Two copies whose names differ in case: the other one is known.
        kind = self._kind(found)
        own = [NodeFiles(NO_NODE, kind, "", tuple(found.nfos))] if found.nfos else []
        folder = self._add(parent, kind, found.name, [*found.items, *own])
        for below in found.folders:
            self._add_all(folder, below)

    def _kind(self, found: _Found) -> NodeKind:
        if not found.folders:
            return self._leaf
        holds_leaves = any(folder.items for folder in found.folders)
        return NodeKind.SERIES if holds_leaves and self._leaf == NodeKind.SEASON else NodeKind.CATEGORY

    def _add(self, parent: int, kind: NodeKind, name: str, items: Sequence[NodeFiles]) -> int:
        uuid = items[0].uuid if kind == NodeKind.MOVIE else ""
        folder = Folder(0, parent, kind, name, NO_NODE, 0, FolderState.NEW, 0)
        return self._manifest.add([NewFolder(folder, uuid, "", items)])[0].id


def rebuild(
    manifest: Manifest, root: int, settings: LibrarySettings, workers: Workers, file_system: FileSystem
) -> None:
    """Fill an empty manifest with what is found in the output root.

    Args:
        manifest: not committed here: half of what is found would be taken for all.
        root: the descriptor of the output root.
        settings: the library's, which say what our URLs look like.
        workers: read the folders.
        file_system: how the root's file system behaves.

    Raises:
        OSError: the tree cannot be read.
    """
    former_urls = former.noted_urls(root)
    for name, leaf, kind, path, former_paths in (
        ("Movies", NodeKind.MOVIE, NodeKind.MOVIE, settings.movie_path, former.MOVIE_PATHS),
        ("TV", NodeKind.SEASON, NodeKind.EPISODE, settings.episode_path, former.EPISODE_PATHS),
    ):
        url = _url(settings.base_url, path, *former_paths)
        for shelf in ("", *(shelf.name for shelf in settings.shelf if not shelf.only)):
            section = _Section(manifest, name, leaf, shelf)
            way = [*filter(None, [shelf]), name]
            _fill(section, root, way, _Search(kind, url, file_system, former_urls), workers)


def _fill(section: _Section, root: int, way: Sequence[str], search: _Search, workers: Workers) -> None:
    with contextlib.ExitStack() as stack:
        try:
            directory = stack.enter_context(files.opened(root, way))
        except OSError as error:
            if error.errno in (errno.ENOENT, *files.NO_DIRECTORY):
                return
            raise
        stack.callback(workers.finish)  # They use the descriptor.
        names = [entry.name for entry in _entries(directory) if entry.is_dir(follow_symlinks=False)]
        for start in range(0, len(names), _FOLDERS_IN_TASK):
            workers.submit(partial(search.run, directory, names[start : start + _FOLDERS_IN_TASK]), section.take)
        workers.drain()


def _not_empty(folders: Iterable[_Found]) -> list[_Found]:
    return [folder for folder in folders if folder.items or folder.folders]


def _url(base_url: str, *paths: str) -> re.Pattern[bytes]:
    """A pattern of the content of a .strm with one of our URLs, with the UUID as its group. Kodi's .strm has a line
    before the URL."""
    ends = [re.escape(path).replace(re.escape("{uuid}"), "{uuid}").partition("{uuid}") for path in paths]
    before = "|".join(dict.fromkeys(end[0] for end in ends))
    after = "|".join(dict.fromkeys(end[2] for end in ends))
    url = f"{re.escape(base_url)}(?:{before}){_UUID}(?:{after})"
    return re.compile((r"(?:#KODIPROP:\S+\n)?" + url + r"(?:[?&]\S*)?\n?").encode())


def _entries(directory: int) -> "list[os.DirEntry[str]]":
    """The entries of a directory, without those whose names are not UTF-8: they are not ours."""
    with os.scandir(directory) as entries:
        return [entry for entry in entries if files.is_utf8(entry.name)]
