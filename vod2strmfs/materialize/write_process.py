"""The second process of a run: `python -m vod2strmfs.materialize.write_process`.

It reads from standard input what is wanted of folders, brings them to that, and writes to standard output what came of
it. It has no index, no manifest and no report. It has the run's root and its locks: while it is there, nobody else
writes the root, also when the run was killed. It ends when its standard input does, however that comes.
"""

import gc
import signal
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import msgspec

from vod2strmfs.artwork.pictures import Pictures
from vod2strmfs.host.second_process import Messages, SecondProcess, SecondProcessError
from vod2strmfs.materialize.files import Temporaries
from vod2strmfs.materialize.probe import FileSystem
from vod2strmfs.materialize.workers import Throttle
from vod2strmfs.materialize.write import FolderResult, FolderWork, Updater
from vod2strmfs.settings import LibrarySettings


class Order(msgspec.Struct, frozen=True, array_like=True):
    """The first message: how to write."""

    root: int
    """The descriptor of the output root."""
    lock: int
    """That of its lock file."""
    temporaries: str
    """The key of the root's temporary files."""
    settings: bytes
    """LibrarySettings as JSON."""
    state_dir: str
    verify: bool
    overwrite: bool
    file_system: FileSystem


_OBJECTS = 100_000
"""New objects after which Python looks for circles of them."""

_encoder = msgspec.msgpack.Encoder()
_works_decoder = msgspec.msgpack.Decoder(list[FolderWork])
_results_decoder = msgspec.msgpack.Decoder(list[FolderResult])


class WriteProcess(SecondProcess):
    """The second process, as the first one sees it.

    Args:
        order: how it is to write.

    Raises:
        OSError: it cannot be started.
        SecondProcessError: it ended at once.
    """

    def __init__(self, order: Order) -> None:
        super().__init__("vod2strmfs.materialize.write_process", (order.root, order.lock))
        try:
            self._send(_encoder.encode(order))
        except SecondProcessError:
            self.close()
            raise

    def give(self, works: Sequence[FolderWork]) -> None:
        """Have some work done.

        Raises:
            SecondProcessError: the process has ended, or the work cannot be sent.
        """
        try:
            data = _encoder.encode(works)
        except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
            raise SecondProcessError("cannot be told of a folder") from error
        self._send(data)

    def answer(self, works: Sequence[FolderWork]) -> list[FolderResult]:
        """The results of the work that it was given first, of that for which there was no answer yet; waits for them.

        Raises:
            SecondProcessError: the process has ended, or could not do it.
        """
        message = self._receive()
        if not message:
            raise SecondProcessError("failed")
        try:
            results = _results_decoder.decode(message)
        except msgspec.MsgspecError as error:
            raise SecondProcessError("gave an answer that is none") from error
        if len(results) != len(works):
            raise SecondProcessError("gave an answer to something else")
        return results

    def stop(self) -> None:
        """Have it end the file at hand, and do nothing of the rest that it was given."""
        self._send(b"")


def main() -> None:
    """Write until the first process ends, or has enough."""
    # Whoever ends both tells the first, which has the file at hand finished and noted.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop = Event()
    messages = Messages(stop.set)
    order = msgspec.msgpack.decode(messages.next(), type=Order)
    updater = Updater(
        order.root,
        LibrarySettings.model_validate_json(order.settings),
        order.verify,
        order.overwrite,
        False,
        Throttle(0, stop),
        order.file_system,
        Temporaries(order.temporaries, "s"),
        Pictures(Path(order.state_dir)),
    )
    # What is made here goes with its message, but for the circles that errors leave.
    gc.freeze()
    gc.set_threshold(_OBJECTS)
    messages.ready()
    while True:
        try:
            answer = _encoder.encode(updater.run(_works_decoder.decode(messages.next())))
        except Exception:
            # The first process meets the same error, and says so.
            answer = b""
        messages.answer(answer)


if __name__ == "__main__":
    main()
