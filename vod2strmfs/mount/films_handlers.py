"""The films' tree as the kernel asks for it: as the library's, but that films are read from a player."""

import errno
import logging
import time
from functools import partial
from typing import NamedTuple, Protocol

from vod2strmfs.artwork.pictures import Pictures
from vod2strmfs.films.film import Film, ReadError
from vod2strmfs.library.kinds import Slot, slot_of
from vod2strmfs.library.tree import Entry
from vod2strmfs.mount.handlers import WRITE, LibraryHandlers, Owner
from vod2strmfs.mount.wire import KEEP_CACHE, Body, LaterError, RequestError, opened

_log = logging.getLogger("vod2strmfs")

_STREAMING_SECONDS = 1.0
"""After a read that had to wait, the film's bytes are still coming in."""


class Reading(Protocol):
    """What films are read from: see `films.player.Player`."""

    def opened(self, film: Film, handle: int) -> None:
        """Note that somebody has opened a film."""

    def released(self, film: Film, handle: int) -> None:
        """Note that somebody has closed a film."""

    def leaving(self, film: Film, handle: int) -> None:
        """Note that a reader has probably closed a film, though what it asked for has not come."""

    def now(self, film: Film, handle: int, offset: int, size: int) -> bytes | memoryview | None:
        """Bytes of a film, if they are at hand; a view is good until something is awaited."""

    async def read(self, film: Film, handle: int, offset: int, size: int) -> bytes | memoryview:
        """Bytes of a film, or a ReadError."""


class Known(Protocol):
    """What says which film a file is: see `films.store.Films`."""

    def film(self, film: int, version: int) -> Film | None:
        """A film that was learnt."""


class OpenedFilm(NamedTuple):
    """A film that somebody has open. It stays that one, whatever the tree shows meanwhile."""

    entry: Entry
    film: Film


class FilmsHandlers(LibraryHandlers):
    """What answers the kernel's requests. Of them, reads of films alone may be answered later.

    Args:
        owner: whose files they are.
        pictures: where images are stored.
        known: knows the films.
        player: reads them.
    """

    def __init__(self, owner: Owner, pictures: Pictures, known: Known, player: Reading) -> None:
        super().__init__(owner, pictures)
        self._known = known
        self._player = player
        self._open_films: dict[int, OpenedFilm] = {}
        self._waited = 0.0
        """When a read had to wait last."""

    def is_streaming(self) -> bool:
        """Whether bytes of films are coming in."""
        return time.monotonic() - self._waited < _STREAMING_SECONDS

    def open(self, inode: int, flags: int) -> bytes:
        """Open a file; who has a film open reads that one until he closes it."""
        if slot_of(inode) != Slot.STRM:
            return super().open(inode, flags)
        if flags & WRITE:
            raise RequestError(errno.EROFS)
        file = self._find_film(inode)
        self._last_handle += 1
        try:
            self._player.opened(file.film, self._last_handle)
        except Exception as error:
            raise self._refusal(file, error) from error
        self._open_films[self._last_handle] = file
        # A film that turns out to be another one is another inode: what the kernel has of this one stays right.
        return opened(self._last_handle, KEEP_CACHE)

    def read(self, handle: int, offset: int, size: int) -> Body:
        """Part of an open file."""
        file = self._open_films.get(handle)
        if file is None:
            return super().read(handle, offset, size)
        try:
            data = self._player.now(file.film, handle, offset, size)
        except Exception as error:
            raise self._refusal(file, error) from error
        if data is not None:
            return memoryview(data)
        self._waited = time.monotonic()
        raise LaterError(partial(self._read_later, file, handle, offset, size))

    def release(self, handle: int) -> None:
        """Close a file."""
        file = self._open_films.pop(handle, None)
        if file is None:
            super().release(handle)
            return
        try:
            self._player.released(file.film, handle)
        except Exception as error:
            self._refusal(file, error)

    def flush(self, handle: int) -> None:
        """Note that somebody closes a film. `release` comes when all was answered that he asked for: the kernel reads
        ahead for him, and a provider may be silent for half a minute."""
        file = self._open_films.get(handle)
        if file is not None:
            self._player.leaving(file.film, handle)

    def _find_film(self, inode: int) -> OpenedFilm:
        with self._contents:
            tree = self._shown(inode)
            entry, art = tree.attributes(inode), tree.art(inode)
            if entry is None or art is None:
                return self._still_open_film(inode)
            number, version = map(int, art.image.split("-"))
            film = self._known.film(number, version)
        if film is None or film.size != entry.size:
            self.failures += 1
            _log.debug("Nothing is known any more of what %s was.", entry.name)
            raise RequestError(errno.EIO)
        return OpenedFilm(entry, film)

    def _still_open_film(self, inode: int) -> OpenedFilm:
        """A film that is not in the tree any more; see `_still_open`."""
        for file in self._open_films.values():
            if file.entry.inode == inode:
                return file
        raise RequestError(errno.ESTALE)

    def _entry(self, inode: int) -> Entry:
        try:
            return super()._entry(inode)
        except RequestError as refusal:
            if refusal.errno != errno.ESTALE:
                raise
        return self._still_open_film(inode).entry

    async def _read_later(self, file: OpenedFilm, handle: int, offset: int, size: int) -> Body:
        try:
            return memoryview(await self._player.read(file.film, handle, offset, size))
        except Exception as error:
            raise self._refusal(file, error) from error
        finally:
            self._waited = time.monotonic()

    def _refusal(self, file: OpenedFilm, error: Exception) -> RequestError:
        """What a request is answered with when its film cannot be read, for a reason that is known or for another."""
        self.failures += 1
        if isinstance(error, ReadError):
            _log.info("%s could not be read: %s.", file.entry.name, error)
            return RequestError(error.errno)
        _log.error("Unexpected error while %s was read: %s: %s.", file.entry.name, type(error).__name__, error)
        _log.debug("unexpected error", exc_info=error)
        return RequestError(errno.EIO)
