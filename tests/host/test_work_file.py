"""Files of work that goes on: what is noticed of the log beside one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vod2strmfs.host.work_file import Log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A work file, as far as its log is concerned."""
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"work.db{suffix}").write_bytes(b"some")
    return tmp_path / "work.db"


def test_a_log_that_grows_while_two_threads_look_at_it_is_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, stat, others = Log(path), Path.stat, [lambda: grow_and_look(path, log)]

    def meanwhile(each: Path) -> os.stat_result:
        """The other thread's turn comes once, after the first thread has seen how long the log is."""
        if each.name.endswith("-shm") and others:
            run: Callable[[], None] = others.pop()
            run()
        return stat(each)

    monkeypatch.setattr(Path, "stat", meanwhile)
    assert log.is_whole()
    assert not others
    os.truncate(f"{path}-wal", 1)
    assert not log.is_whole()


def grow_and_look(path: Path, log: Log) -> None:
    """What another thread does."""
    with open(f"{path}-wal", "ab") as file:
        file.write(b"more")
    assert log.is_whole()
