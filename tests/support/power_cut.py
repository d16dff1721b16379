"""What a power cut leaves of files: a process' writes are recorded, and replayed up to a moment.

What was written to a file before it was last synced is on the disk. Of what came later any part may be, sector by
sector, in any order; the directory's own changes (renames and deletions) are there up to some point in their order.
"""

import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from preloads import compiled

_SOURCE = Path(__file__).with_name("power_cut.c")
_SECTOR = 512
_NUMBERS = struct.Struct("=III")


class Note(NamedTuple):
    """One thing that the process did to a file."""

    what: str
    """`W`rite, `T`runcate, `S`ync, `U`nlink or `R`ename."""
    name: str
    data: bytes
    """Written; of a renaming, the new name."""
    offset: int
    """Of a truncation, the new length."""


class Recorder:
    """Records what processes write into a folder.

    Args:
        folder: whose files matter.
        scratch: another folder, for the recorder's own files.
    """

    def __init__(self, folder: Path, scratch: Path) -> None:
        library, self._log = compiled(_SOURCE, scratch), scratch / "power_cut.log"
        self.environment = os.environ | {
            "LD_PRELOAD": str(library), "POWER_CUT_LOG": str(self._log), "POWER_CUT_FOLDER": str(folder),
        }  # fmt: skip
        """For the processes to record."""

    def notes(self) -> list[Note]:
        """What was recorded."""
        return list(_parse(self._log.read_bytes()))


def _parse(log: bytes) -> Iterator[Note]:
    at = 0
    while at < len(log):
        what = log[at : at + 1].decode()
        name_length, length, offset = _NUMBERS.unpack_from(log, at + 1)
        at += 1 + _NUMBERS.size
        name = log[at : at + name_length].decode()
        at += name_length
        data = b""
        if what in "WR":
            data = log[at : at + length]
            at += length
        yield Note(what, name, data, offset)


def after_power_cut(notes: list[Note], chance: random.Random) -> dict[str, bytes]:
    """The contents of the files, by name, on a disk that lost power after these notes."""
    # A write is safe once its file was synced; we follow a file through its renamings.
    current: dict[str, int] = {}
    files: list[list[tuple[bool, Note]]] = []
    directory: list[tuple[str, str, int]] = []
    for note in notes:
        match note.what:
            case "W" | "T" | "S":
                if note.name not in current:
                    current[note.name] = len(files)
                    files.append([])
                    directory.append(("", note.name, current[note.name]))
                history = files[current[note.name]]
                if note.what == "S":
                    history[:] = [(True, before) for _, before in history]
                    # On the file systems that Linux has, syncing a file makes its name durable, and all before it.
                    directory = [("", name, number) for name, number in current.items()]
                else:
                    history.append((False, note))
            case "U":
                current.pop(note.name, None)
                directory.append((note.name, "", 0))
            case "R" if note.name in current:
                new = note.data.decode()
                current[new] = current.pop(note.name)
                directory.append((note.name, new, current[new]))
    names: dict[str, int] = {}
    safe = sum(1 for gone, name, _ in directory if not gone and name)
    for gone, name, number in directory[: chance.randint(min(safe, len(directory)), len(directory))]:
        names.pop(gone, None)
        if name:
            names[name] = number
    return {name: _content(files[number], chance) for name, number in names.items()}


def _content(history: list[tuple[bool, Note]], chance: random.Random) -> bytes:
    content = bytearray()
    share = chance.choice((0.0, 0.5, 0.9, 1.0, 1.0))
    for safe, note in history:
        if note.what == "T":
            if safe or chance.random() < share:
                del content[note.offset :]
                content.extend(bytes(note.offset - len(content)))
            continue
        for at in range(0, len(note.data), _SECTOR):
            if safe or chance.random() < share:
                part, start = note.data[at : at + _SECTOR], note.offset + at
                content.extend(bytes(max(0, start + len(part) - len(content))))
                content[start : start + len(part)] = part
    return bytes(content)
