"""Work on the store of films that is killed: each line of input is one, in a process of its own, without its start.

A line is a state directory, a space, and before which step the process is to kill itself; 0 for never. Steps are
SQLite's statements, and the calls that change part files. What is said: what `os.waitpid` says.
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vod2strmfs.films import parts
from vod2strmfs.films.film import BLOCK, Film, Key
from vod2strmfs.films.outcomes import Kind, Outcome
from vod2strmfs.films.store import Due, Films, Learnt, Wish
from vod2strmfs.films.store_file import StoreFile
from vod2strmfs.library.rendered import content_digest

SIZE = 9 * BLOCK + 1234
WISHES = [Wish(20 + number, Key("movie", 1, f"s{number}"), f"Film {number}", 60, number) for number in range(3)]


def content_of(stream: str, edition: int) -> bytes:
    """The bytes of a film; each edition is another file."""
    return random.Random(f"{stream} {edition}").randbytes(SIZE + edition)


def learn(films: Films, due: Due, content: bytes) -> Film:
    """Learn a film as the learner does, with two blocks of its beginning and the end."""
    attempt = films.begin(due)
    outcome = Outcome(Kind.LEARNT, taken=1)
    tail = len(content) // BLOCK * BLOCK
    learnt = Learnt(len(content), ".mkv", 60, content_digest(content[:BLOCK]), content_digest(content[-BLOCK:]))
    with films.draft(due) as draft:
        draft.write(0, content[: 2 * BLOCK])
        draft.write(tail, content[tail:])
        film = films.settle(due, attempt, outcome, learnt, draft)
    assert film
    return film


def _work(state_dir: Path) -> None:
    """All that happens to films: they are wanted, learnt, read, trimmed, and learnt anew as others."""
    with Films(state_dir) as films:
        films.want(WISHES, 1)
        for edition in range(2):
            for due in films.due(1e11, (), 9):
                film = learn(films, due, content_of(due.key.stream, edition))
                if due.key.stream == "s0":
                    films.blocks.keep(film, BLOCK, content_of("s0", edition)[BLOCK : 5 * BLOCK])
                films.blocks.touched(film, 0, 1000)
                films.blocks.read(film, 0, 1000)
            films.blocks.note_touched()
            films.blocks.limit = 8 * BLOCK
            films.blocks.trim()
            films.blocks.limit = None
            for wish in WISHES:
                if film_known := films.known(wish.key):
                    films.changed(film_known, "it is longer")


def _kill_before(step: int) -> None:
    left = step

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            count()
            return function(*arguments, **options)

        return call

    os.pwrite = counted(os.pwrite)
    os.fsync = counted(os.fsync)
    os.fdatasync = counted(os.fdatasync)
    os.rename = counted(os.rename)
    os.replace = counted(os.replace)
    os.unlink = counted(os.unlink)
    parts._punch = counted(parts._punch)
    enter = StoreFile.changing

    def changing(file: StoreFile) -> Any:
        file._writing.set_trace_callback(lambda _: count())
        return enter(file)

    StoreFile.changing = changing  # type: ignore[method-assign, assignment]


def main() -> None:
    """Do what the lines say."""
    for line in sys.stdin:
        directory, _, step = line.rpartition(" ")
        child = os.fork()
        if not child:
            if int(step):
                _kill_before(int(step))
            _work(Path(directory))
            os._exit(0)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
