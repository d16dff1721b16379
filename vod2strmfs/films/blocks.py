"""The blocks of films that are kept: which there are stands in the store's file, their bytes in sparse files.

What is served was compared with its digest, and is what was learnt, always. What readers use is quick and raises
nothing; what writes may wait for other processes.
"""

import logging
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.errors import IndexFileError
from vod2strmfs.films import parts
from vod2strmfs.films.film import BLOCK, Extent, Film
from vod2strmfs.films.store_file import USED, StoreFile, note_blocks
from vod2strmfs.library.rendered import content_digest

_OPEN_FILES = 64
_WARM_BLOCKS = 64
"""How many were read last and stay in memory: readers of a few kilobytes do without a digest each time."""
_TOUCH_SECONDS = 3600
"""Within which it is noted once that a block was read."""
_TRIM_TO = 0.95
_SPARE = f"""
    SELECT block.film, block.version, number FROM block
    LEFT JOIN film ON film.id = block.film AND film.version = block.version AND {USED}
    WHERE film.id IS NULL OR NOT needed OR block.touched = 0 AND film.touched > 0
    ORDER BY film.id IS NOT NULL, NOT needed, block.touched, film.touched, block.film, number DESC LIMIT ?"""
"""What may be given up, in this order: all of what nothing shows; of films that were scanned, what scanners should have
read and did not; what else was read, the longest ago first."""

_log = logging.getLogger("vod2strmfs")


class Blocks:
    """The blocks of films that are kept on disk: they are read, more are kept, and some are given up for want of room.

    Methods may be called in any thread.

    Args:
        file: says which there are.
        root: the folder of the part files.
        limit: bytes of films that are kept, at most; None: nothing is trimmed.
        film: gives a film that was learnt, by its id and a version that it has or had lately.
    """

    def __init__(self, file: StoreFile, root: Path, limit: int | None, film: Callable[[int, int], Film | None]) -> None:
        self.limit = limit
        self._file = file
        self._root = root
        self._film = film
        self._lock = threading.Lock()
        """For what is in memory. Nobody who holds it waits for another process, or for the lock of who writes."""
        self._complained = False
        """Whether it was said that nothing can be kept."""
        self._open: OrderedDict[tuple[int, int], _Open] = OrderedDict()
        self._warm: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._touched: dict[tuple[int, int], set[int]] = defaultdict(set)
        self._lost: list[tuple[int, int, int, int]] = []
        """Blocks that were found damaged, with their digests."""

    def close(self) -> None:
        """Note what was read, and close all part files."""
        with suppress(IndexFileError):
            self.note_touched()
        with self._lock:
            while self._open:
                self._open.popitem()[1].file.close()

    def kept(self, film: Film) -> Sequence[Extent]:
        """The parts of a film that are kept, in order."""
        with self._lock:
            opened = self._opened(film, fresh=True)
            numbers = opened.digests if opened else ()
            return parts.merged(parts.block_extent(number, film.size) for number in numbers)

    def read(self, film: Film, start: int, stop: int) -> bytes | None:
        """Bytes of a film from disk; None if not all of them are kept. They are those that were learnt, always."""
        stop = min(stop, film.size)
        if start >= stop:
            return b""
        numbers = parts.touched_blocks(Extent(start, stop))
        with self._lock:
            opened = self._opened(film)
            if opened is None or not all(number in opened.digests for number in numbers):
                opened = self._opened(film, fresh=True)
                if opened is None or not all(number in opened.digests for number in numbers):
                    return None
            pieces = [self._block(film, opened, number) for number in numbers]
        if None in pieces:
            return None
        first = start - numbers[0] * BLOCK
        whole = b"".join(pieces) if len(pieces) > 1 else pieces[0]  # type: ignore[arg-type]
        assert whole is not None
        return whole[first : first + stop - start]

    def keep(self, film: Film, start: int, data: bytes | memoryview) -> bool:
        """Keep bytes of a film that were read from where it is, in whole blocks; takes as long as the disk.

        Returns:
            False if there is no room for them, or no such film any more.
        """
        numbers = parts.whole_blocks(Extent(start, start + len(data)), film.size)
        with self._lock:
            opened = self._opened(film, fresh=True)
            new = [number for number in numbers if opened is None or number not in opened.digests]
        if not new:
            return True
        try:
            if self._film(film.id, film.version) != film:
                return False
            self._keep(film, {
                number: memoryview(data)[each.start - start : each.stop - start]
                for number in new
                for each in (parts.block_extent(number, film.size),)
            })  # fmt: skip
            self.trim()
        except (OSError, IndexFileError) as error:
            if not self._complained:
                _log.warning("Parts of films cannot be kept: %s", str(error).replace("\n", " "))
            self._complained = True
            return False
        self._complained = False
        return True

    def touched(self, film: Film, start: int, stop: int) -> None:
        """Note that bytes of a film were read. It is written down later, by `note_touched`."""
        with self._lock:
            self._touched[film.id, film.version].update(parts.touched_blocks(Extent(start, min(stop, film.size))))

    def note_touched(self) -> None:
        """Write down which parts were read, and which were found damaged; may wait for other processes."""
        with self._lock:
            touched, self._touched = self._touched, defaultdict(set)
            lost, self._lost = self._lost, []
        if not touched and not lost:
            return
        now = int(time.time())
        with self._file.changing() as connection:
            # Unless somebody has kept them anew.
            connection.executemany(
                "DELETE FROM block WHERE film = ? AND version = ? AND number = ? AND digest = ?", lost
            )
            for (film, version), numbers in touched.items():
                connection.execute("UPDATE film SET touched = ? WHERE id = ?", (now, film))
                connection.executemany(
                    "UPDATE block SET touched = ? WHERE film = ? AND version = ? AND number = ? AND touched < ?",
                    [(now, film, version, number, now - _TOUCH_SECONDS) for number in numbers],
                )

    def trim(self, room: int = 0) -> int:
        """Give up parts until no more are kept than may be; returns by how many bytes they are still too many.

        First those of films that nothing shows; then what no scanner reads or ever read, and what of the rest nobody
        read lately. What scanners read, as far as that is known, is never given up.

        Args:
            room: bytes that there is to be room for.
        """
        if self.limit is None:
            return 0
        most, kept = self.limit - room, self.bytes_kept()
        if kept <= most:
            return 0
        self.note_touched()
        wish = kept - int(most * _TRIM_TO)
        doomed: dict[tuple[int, int], list[int]] = defaultdict(list)
        # Over the connection that readers do not use: of a full cache it takes tenths of a second.
        with self._file.changing() as connection:
            spare = connection.execute(_SPARE, (-(-wish // BLOCK),)).fetchall()
        for film, version, number in spare:
            doomed[film, version].append(number)
        for (film, version), numbers in doomed.items():
            self._give_up(film, version, numbers)
        return max(self.bytes_kept() - most, 0)

    def bytes_kept(self) -> int:
        """Bytes of films that are kept, counted in blocks."""
        return int(self._file.count("SELECT count(*) FROM block")[0][0]) * BLOCK

    def _opened(self, film: Film, *, fresh: bool = False) -> "_Open | None":
        """What is kept of a film, open; None if nothing is. With `fresh`, as the store's file says it now."""
        at = film.identity
        found = self._open.get(at)
        try:
            seen = self._file.state() if fresh or not found else (0, 0)
            if found is None or (fresh and found.seen != seen):
                query = "SELECT number, digest FROM block WHERE film = ? AND version = ?"
                digests = dict(self._file.rows(query, *at))
                self._close(*at)
                if not digests:
                    return None
                found = _Open(parts.PartFile(self._root, film), digests, seen)
        except (IndexFileError, OSError):
            return None
        self._open[at] = found
        self._open.move_to_end(at)
        if len(self._open) > _OPEN_FILES:
            self._open.popitem(last=False)[1].file.close()
        return found

    def forget(self, film: int, version: int) -> None:
        """Look anew at what is kept of a film when it is read next."""
        with self._lock:
            self._close(film, version)

    def _close(self, film: int, version: int) -> None:
        if (found := self._open.pop((film, version), None)) is not None:
            found.file.close()
        for at in [at for at in self._warm if at[:2] == (film, version)]:
            del self._warm[at]

    def _block(self, film: Film, opened: "_Open", number: int) -> bytes | None:
        """A block of a film; None if it is damaged, and then it is not kept any more."""
        at = (film.id, film.version, number)
        data = self._warm.get(at)
        if data is None:
            with suppress(OSError):
                data = opened.file.read(number, opened.digests[number])
            if data is None:
                self._lost.append((*at, opened.digests.pop(number)))
                return None
            self._warm[at] = data
            if len(self._warm) > _WARM_BLOCKS:
                self._warm.popitem(last=False)
        self._warm.move_to_end(at)
        return data

    def _give_up(self, film: int, version: int, numbers: list[int]) -> None:
        known = self._film(film, version)
        with suppress(OSError):
            if known is None:
                parts.part_path(self._root, film, version).unlink()
            else:
                with closing(parts.PartFile(self._root, known)) as file:
                    file.punch(numbers)
        with self._file.changing() as connection:
            connection.executemany(
                "DELETE FROM block WHERE film = ? AND version = ? AND number = ?",
                [(film, version, number) for number in numbers],
            )
        self.forget(film, version)

    def _keep(self, film: Film, blocks: dict[int, memoryview]) -> None:
        # A file of its own: the one that is read may be closed meanwhile.
        with closing(parts.PartFile(self._root, film, create=True)) as file:
            for number, data in blocks.items():
                file.write(number, data)
            file.sync()
        digests = {number: content_digest(bytes(data)) for number, data in blocks.items()}
        with self._file.changing() as connection:
            note_blocks(connection, film.id, film.version, digests, needed=False, touched=int(time.time()))
        self.forget(film.id, film.version)


class _Open(NamedTuple):
    file: parts.PartFile
    digests: dict[int, int]
    """Of the blocks that are kept, by number."""
    seen: tuple[int, int]
    """The state of the file that they are from."""
