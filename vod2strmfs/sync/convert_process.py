"""The second process of a sync: `python -m vod2strmfs.sync.convert_process`.

It reads batches of rows from standard input and writes their items to standard output. It has no database, no file
and no state: it turns rows into items. It ends when its standard input does, however that comes.
"""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import IO, Any

import msgspec

from vod2strmfs.catalog.rows import EpisodeRow, MovieRow, SeriesRow, VersionRow
from vod2strmfs.catalog.source import Row
from vod2strmfs.extract.convert import SECOND, Converter, TitledRow
from vod2strmfs.extract.incoming import Incoming, Keys
from vod2strmfs.library.contents import decode_kind
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.library.names import CutName
from vod2strmfs.library.rendered import FileFacts
from vod2strmfs.settings import LibrarySettings

_PIPE_BYTES = 1 << 20
"""What an unprivileged process may have as a rule: with less, who writes has to wait for who reads."""

_ROW_TYPES: dict[NodeKind, type[Row]] = {
    NodeKind.MOVIE: MovieRow,
    NodeKind.VERSION: VersionRow,
    NodeKind.SERIES: SeriesRow,
    NodeKind.EPISODE: EpisodeRow,
}
_KINDS = {row_type: kind for kind, row_type in _ROW_TYPES.items()}


class ConvertProcessError(Exception):
    """The second process has ended, or could not do its work; the text says which, as a predicate."""


class _Order(msgspec.Struct, array_like=True):
    """The first message: how to extract."""

    settings: bytes
    """LibrarySettings as JSON."""
    providers: dict[int, str]
    render: bool


class _Answer(msgspec.Struct, array_like=True, gc=False):
    """An item on its way back: what does not stand in its row."""

    keys: Keys
    name: str
    cut: bool
    alias: str
    files: tuple[FileFacts, FileFacts] | None


_encoder = msgspec.msgpack.Encoder()
_rows_decoder = msgspec.msgpack.Decoder(tuple[NodeKind, list[list[Any]], list[str]])
_answer_decoder = msgspec.msgpack.Decoder(list[_Answer])


class ConvertProcess:
    """The second process, as the first one sees it.

    Args:
        settings: see `Converter`, as for the others.
        providers: they go through the pipe, since command lines can be read by anybody.
        render: whether the files are wanted.

    Raises:
        OSError: it cannot be started.
        ConvertProcessError: it ended at once.
    """

    def __init__(self, settings: LibrarySettings, providers: Mapping[int, str], render: bool) -> None:
        self.unanswered = 0
        """How many batches it has been given for which there was no answer yet."""
        self._is_ready = False
        # -P: what lies in the current directory is not imported.
        command = [sys.executable, "-P", "-m", "vod2strmfs.sync.convert_process"]
        # A process group of its own: an interrupt at the terminal is for the first process to handle.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            process_group=0,
        )  # fmt: skip
        assert self._process.stdin
        assert self._process.stdout
        self.pid = self._process.pid
        self._orders = _connection(self._process.stdin, readable=False)
        self._answers = _connection(self._process.stdout, writable=False)
        try:
            self._send(_Order(settings.model_dump_json().encode(), dict(providers), render))
        except ConvertProcessError:
            self.close()
            raise

    def is_ready(self) -> bool:
        """Whether it has started, which takes it as long as some thousand rows take the first process.

        Raises:
            ConvertProcessError: it ended instead.
        """
        if not self._is_ready and self.has_answered():
            self._receive()
            self._is_ready = True
        return self._is_ready

    def give(self, rows: list[TitledRow]) -> None:
        """Have a batch of rows of one kind extracted.

        Raises:
            ConvertProcessError: the process has ended, or the rows cannot be sent.
        """
        self._send((_KINDS[type(rows[0][0])], [row for row, _ in rows], [title for _, title in rows]))
        self.unanswered += 1

    def has_answered(self) -> bool:
        """Whether `answer` would not wait."""
        return self._answers.poll()

    def answer(self, rows: list[TitledRow]) -> list[Incoming]:
        """The items of the oldest batch not yet collected. `rows` must be that batch.

        Raises:
            ConvertProcessError: the process has ended, or could not do it.
        """
        message = self._receive()
        self.unanswered -= 1
        if not message:
            raise ConvertProcessError("failed")
        try:
            answers = _answer_decoder.decode(message)
            return [_fresh(row[0], answer) for row, answer in zip(rows, answers, strict=True)]
        except (msgspec.MsgspecError, ValueError) as error:
            raise ConvertProcessError("gave an answer that is none") from error

    def close(self) -> None:
        """End the process."""
        self._orders.close()
        self._answers.close()
        self._process.kill()
        self._process.wait()

    def _send(self, message: object) -> None:
        try:
            data = _encoder.encode(message)
        except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
            raise ConvertProcessError("cannot be told of a row") from error
        try:
            self._orders.send_bytes(data)
        except OSError:
            raise self._ended() from None

    def _receive(self) -> bytes:
        try:
            return self._answers.recv_bytes()
        except (EOFError, OSError):
            raise self._ended() from None

    def _ended(self) -> ConvertProcessError:
        self._process.kill()
        return ConvertProcessError(f"has ended (code {self._process.wait()})")


def _connection(pipe: IO[bytes], *, readable: bool = True, writable: bool = True) -> Connection:
    """A pipe's end, for whole messages."""
    with pipe:
        with suppress(OSError):  # fs.pipe-max-size may be less, and the limit of all of a user's pipes
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return Connection(os.dup(pipe.fileno()), readable, writable)


def _fresh(row: Row, answer: _Answer) -> Incoming:
    kind = _KINDS[type(row)]
    item = decode_kind(answer.keys.item, kind)
    name = CutName(answer.name) if answer.cut else answer.name
    return Incoming(kind, answer.keys, item, name, answer.alias, row.created_at * SECOND, files=answer.files)


def _answer(incoming: Incoming) -> _Answer:
    return _Answer(
        incoming.keys, str(incoming.name), type(incoming.name) is CutName, str(incoming.alias), incoming.files
    )


def _receive(orders: Connection, messages: "SimpleQueue[bytes]") -> None:
    """Take what comes, so that the first process need not wait with it while it is wanted for reading answers."""
    try:
        while True:
            messages.put(orders.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)


def main() -> None:
    """Extract until the first process ends, or has enough."""
    messages: SimpleQueue[bytes] = SimpleQueue()
    answers = Connection(sys.stdout.fileno(), readable=False)
    orders = Connection(sys.stdin.fileno(), writable=False)
    threading.Thread(target=_receive, args=(orders, messages), daemon=True).start()
    order = msgspec.msgpack.decode(messages.get(), type=_Order)
    settings = LibrarySettings.model_validate_json(order.settings)
    converter = Converter(settings, order.providers, render=order.render)
    answers.send_bytes(b"")
    while True:
        kind, rows, titles = _rows_decoder.decode(messages.get())
        make = _ROW_TYPES[kind]._make
        try:
            items = [converter.convert(make(row), title) for row, title in zip(rows, titles, strict=True)]
            message = _encoder.encode(list(map(_answer, items)))
        except Exception:
            # The first process meets the same error, and says so.
            message = b""
        answers.send_bytes(message)


if __name__ == "__main__":
    main()
