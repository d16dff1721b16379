"""Telling our NFOs from a user's when the manifest is lost. In doubt, one is the user's.

Nothing in an NFO says who wrote it. It is taken for ours if it has the form that we write, and to the nanosecond the
mtime of a .strm of ours that it belongs to: both have it from the catalogue, and whoever edits an NFO gives it another.
A series has no .strm of its own, so its NFO mostly stays in doubt.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping

from vod2strmfs.library.items import Season
from vod2strmfs.library.kinds import NodeKind, Slot
from vod2strmfs.library.nfo import season_nfo
from vod2strmfs.library.rendered import file_facts
from vod2strmfs.materialize import files, former
from vod2strmfs.materialize.manifest import WantedFile
from vod2strmfs.materialize.probe import COARSEST, FileSystem

_FORM = re.compile(
    rb'<\?xml version="1\.0" encoding="UTF-8" standalone="yes"\?>\n'
    rb"<(movie|tvshow|episodedetails)>\n(.*\n)?</\1>\n",
    re.DOTALL,
)
_ELEMENT = re.compile(rb"<([^\s/>]+)")
_ELEMENTS = frozenset(
    b"title originaltitle season episode year premiered aired plot runtime mpaa uniqueid tmdbid imdbid ratings rating"
    b" value genre country director actor name order sortorder dateadded trailer thumb fanart namedseason tag"
    b" fileinfo streamdetails video audio codec width height durationinseconds channels".split()
)
_SEASON_NUMBER = re.compile(rb"<seasonnumber>(\d{1,9})</seasonnumber>")


class Nfos:
    """The NFOs of a directory of which nothing is known.

    Args:
        directory: the descriptor of the directory.
        entries: the regular files in the directory, by the keys that the file system has for their names.
        file_system: says how exact mtimes are, and which names are one.
    """

    def __init__(self, directory: int, entries: Mapping[str, "os.DirEntry[str]"], file_system: FileSystem) -> None:
        self._directory = directory
        self._entries = entries
        self._file_system = file_system
        self._times_tell = file_system.grain < COARSEST

    def of_strm(self, kind: NodeKind, stem: str, mtime: int) -> Iterator[WantedFile]:
        """The NFOs that belong to a .strm of ours.

        Args:
            kind: the NodeKind that the .strm belongs to, a movie or an episode.
            stem: the name of the .strm without extension.
            mtime: the mtime of the .strm, ns.
        """
        names = {f"{stem}.nfo": Slot.NFO}
        code, dash, _ = stem.replace(" - ", " – ", 1).partition(" – ")  # the plugin before this one had hyphens
        if kind == NodeKind.MOVIE:
            names["movie.nfo"] = Slot.NFO
        elif dash:
            names[f"{code}.nfo"] = Slot.ALIAS
        for name, slot in names.items():
            yield from self._timed(name, slot, {mtime})

    def of_series(self, mtimes: Collection[int]) -> Iterator[WantedFile]:
        """The NFO of a series, by the mtimes (ns) of our files in its seasons: one sync gives one mtime."""
        yield from self._timed("tvshow.nfo", Slot.NFO, mtimes)

    def of_season(self) -> Iterator[WantedFile]:
        """The NFO of a season, which holds nothing but the season's number."""
        if entry := self._entry("season.nfo"):
            content = files.read(self._directory, entry.name)
            number = _SEASON_NUMBER.search(content)
            ours = content == season_nfo(Season(int(number[1]) if number else None, ""))
            if ours or former.wrote_season(content):
                yield self._file(entry, Slot.NFO, content)

    def _timed(self, name: str, slot: int, mtimes: Collection[int]) -> Iterator[WantedFile]:
        entry = self._entry(name) if self._times_tell else None
        if entry is not None:
            content = files.read(self._directory, entry.name)
            ours = _mtime(entry) in mtimes and _has_our_form(content)
            if ours or former.wrote_nfo(content, _mtime(entry), mtimes):
                yield self._file(entry, slot, content)

    def _entry(self, name: str) -> "os.DirEntry[str] | None":
        return self._entries.get(self._file_system.key(name))

    def _file(self, entry: "os.DirEntry[str]", slot: int, content: bytes) -> WantedFile:
        size, mtime, digested = file_facts(content, _mtime(entry))
        return WantedFile(self._file_system.name(entry.name), slot, size, mtime, digested)


def _mtime(entry: "os.DirEntry[str]") -> int:
    return entry.stat(follow_symlinks=False).st_mtime_ns


def _has_our_form(content: bytes) -> bool:
    form = _FORM.fullmatch(content)
    return form is not None and _ELEMENTS.issuperset(_ELEMENT.findall(form[2] or b""))
