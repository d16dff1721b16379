"""Films that count as learnt, without a provider: what `publish` and mounts show of them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from vod2strmfs.films.film import Film, Key
from vod2strmfs.films.outcomes import Kind, Outcome
from vod2strmfs.films.store import Films, Learnt, Wish
from vod2strmfs.index.store import position
from vod2strmfs.library.kinds import NodeKind

_PLAYED = f"""
    SELECT node.id, iif(node.kind = {NodeKind.EPISODE:d}, 'episode', 'movie'), account, stream, node.name
    FROM node JOIN content USING (id) WHERE strm_size > 0 AND parent != -1 ORDER BY node.id"""


def want_all(state_dir: Path, films: Films) -> dict[str, Key]:
    """Want what the library plays today; returns the keys by the names of the nodes."""
    with closing(sqlite3.connect(state_dir / "index.db")) as connection:
        rows = connection.execute(_PLAYED).fetchall()
        [number] = connection.execute("SELECT number FROM generation").fetchone()
    wishes = [Wish(node, Key(kind, account, stream), name, 60) for node, kind, account, stream, name in rows]
    films.want(wishes, number, position(state_dir))
    return {wish.name: wish.key for wish in wishes}


def learn(
    state_dir: Path, *names: str, size: int = 1000, extension: str = ".mkv", mark: int = 0, content: bytes | None = None
) -> list[Film]:
    """Learn films of the library by the names of their nodes; those that are known are stale before.

    Args:
        state_dir: the state directory.
        names: of nodes; none: all.
        size: bytes of each.
        extension: of each.
        mark: of its fingerprint: with another one, it is another file.
        content: all of it, to be kept.
    """
    found = []
    with Films(state_dir) as films:
        keys = want_all(state_dir, films)
        for each in films.due(9e9, (), 1_000_000):
            if names and each.key not in [keys[name] for name in names]:
                continue
            attempt = films.begin(each)
            with films.draft(each) as draft:
                if content is not None:
                    draft.write(0, content)
                learnt = Learnt(len(content) if content else size, extension, 60, each.id + mark, mark)
                outcome = Outcome(Kind.LEARNT)
                film = films.settle(each, attempt, outcome, learnt, draft)
            assert film is not None
            found.append(film)
    return found
