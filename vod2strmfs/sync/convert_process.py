"""The second process of a sync: `python -m vod2strmfs.sync.convert_process`.

It reads batches of rows from standard input and writes their items to standard output. It has no database, no file
and no state: it turns rows into items. It ends when its standard input does, however that comes.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from vod2strmfs.catalog.rows import EpisodeRow, MovieRow, SeriesRow, VersionRow
from vod2strmfs.catalog.source import Row
from vod2strmfs.extract.convert import SECOND, Converter, TitledRow
from vod2strmfs.extract.incoming import Incoming, Keys, Traits
from vod2strmfs.host.second_process import Messages, SecondProcess, SecondProcessError
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.library.names import CutName
from vod2strmfs.library.rendered import FileFacts
from vod2strmfs.settings import LibrarySettings
from vod2strmfs.sync.traits import Observer

_ROW_TYPES: dict[NodeKind, type[Row]] = {
    NodeKind.MOVIE: MovieRow,
    NodeKind.VERSION: VersionRow,
    NodeKind.SERIES: SeriesRow,
    NodeKind.EPISODE: EpisodeRow,
}
_KINDS = {row_type: kind for kind, row_type in _ROW_TYPES.items()}


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
    traits: Traits


_encoder = msgspec.msgpack.Encoder()
_rows_decoder = msgspec.msgpack.Decoder(tuple[NodeKind, list[list[Any]], list[str]])
_answer_decoder = msgspec.msgpack.Decoder(list[_Answer])


class ConvertProcess(SecondProcess):
    """The second process, as the first one sees it.

    Args:
        settings: see `Converter`, as for the others.
        providers: they go through the pipe, since command lines can be read by anybody.
        render: whether the files are wanted.

    Raises:
        OSError: it cannot be started.
        SecondProcessError: it ended at once.
    """

    def __init__(self, settings: LibrarySettings, providers: Mapping[int, str], render: bool) -> None:
        super().__init__("vod2strmfs.sync.convert_process")
        self.unanswered = 0
        """How many batches it has been given for which there was no answer yet."""
        try:
            self._tell(_Order(settings.model_dump_json().encode(), dict(providers), render))
        except SecondProcessError:
            self.close()
            raise

    def give(self, rows: list[TitledRow]) -> None:
        """Have a batch of rows of one kind extracted.

        Raises:
            SecondProcessError: the process has ended, or the rows cannot be sent.
        """
        self._tell((_KINDS[type(rows[0][0])], [row for row, _ in rows], [title for _, title in rows]))
        self.unanswered += 1

    def answer(self, rows: list[TitledRow]) -> list[Incoming]:
        """The items of the oldest batch not yet collected. `rows` must be that batch.

        Raises:
            SecondProcessError: the process has ended, or could not do it.
        """
        message = self._receive()
        self.unanswered -= 1
        if not message:
            raise SecondProcessError("failed")
        try:
            answers = _answer_decoder.decode(message)
            return [_fresh(row[0], answer) for row, answer in zip(rows, answers, strict=True)]
        except (msgspec.MsgspecError, ValueError) as error:
            raise SecondProcessError("gave an answer that is none") from error

    def _tell(self, message: object) -> None:
        try:
            data = _encoder.encode(message)
        except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
            raise SecondProcessError("cannot be told of a row") from error
        self._send(data)


def _fresh(row: Row, answer: _Answer) -> Incoming:
    kind, created = _KINDS[type(row)], row.created_at * SECOND
    name = CutName(answer.name) if answer.cut else answer.name
    return Incoming(kind, answer.keys, None, name, answer.alias, created, files=answer.files, traits=answer.traits)


def _answer(incoming: Incoming, traits: Traits) -> _Answer:
    name, alias = str(incoming.name), str(incoming.alias)
    return _Answer(incoming.keys, name, type(incoming.name) is CutName, alias, incoming.files, traits)


def main() -> None:
    """Extract until the first process ends, or has enough."""
    messages = Messages()
    order = msgspec.msgpack.decode(messages.next(), type=_Order)
    settings = LibrarySettings.model_validate_json(order.settings)
    converter = Converter(settings, order.providers, render=order.render)
    traits_of = Observer(settings).traits_of
    messages.ready()
    while True:
        kind, rows, titles = _rows_decoder.decode(messages.next())
        make = _ROW_TYPES[kind]._make
        try:
            items = converter.convert(list(zip(map(make, rows), titles, strict=True)))
            message = _encoder.encode([_answer(incoming, traits_of(incoming.item)) for incoming in items])
        except Exception:
            # The first process meets the same error, and says so.
            message = b""
        messages.answer(message)


if __name__ == "__main__":
    main()
