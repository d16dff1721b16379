"""What is known of films, and the parts of them that are kept: nothing wrong is served, and little is forgotten."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import films_interrupted
import pytest
from disks import Disk, small_disk
from films_interrupted import WISHES, content_of, learn

from vod2strmfs.errors import IndexFileError
from vod2strmfs.films import blocks, parts
from vod2strmfs.films.figures import read_figures
from vod2strmfs.films.film import BLOCK, FOLDER, Extent, Film, Key
from vod2strmfs.films.outcomes import Kind, Outcome, account_pause, film_pause
from vod2strmfs.films.store import Films, Wish, holding
from vod2strmfs.host.room import keep_reserve

A, B, C = (wish.key for wish in WISHES)
HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Films]:
    """A store of which a library wants three films."""
    with Films(tmp_path) as films:
        films.want(WISHES, 1)
        yield films


def teach(films: Films, key: Key, edition: int = 0) -> Film:
    """Learn a film that is due."""
    [due] = [due for due in films.due(time.time() + 1000 * DAY, (), 99) if due.key == key]
    return learn(films, due, content_of(key.stream, edition))


def fail(films: Films, key: Key, kind: Kind, pause: float = 0.0, taken: int = 0) -> None:
    """Have it noted that a film could not be learnt."""
    [due] = [due for due in films.due(time.time() + 1000 * DAY, (), 99) if due.key == key]
    films.settle(due, films.begin(due), Outcome(kind, "so it is", pause, taken))


def due_now(films: Films, later: float = 0.0) -> list[str]:
    """The streams that may be learnt, in order."""
    return [due.key.stream for due in films.due(time.time() + later, (), 99)]


def shown(films: Films) -> dict[int, tuple[int, int]]:
    """What each node shows: a film and its version."""
    with closing(sqlite3.connect(films.path)) as connection:
        query = "SELECT want.node, film.id, film.version FROM want JOIN film ON film.id = want.shown"
        return {node: (film, version) for node, film, version in connection.execute(query)}


def assert_right(films: Films, film: Film, content: bytes) -> int:
    """Whatever is served of a film is right; returns how many bytes are."""
    served = 0
    for start in range(0, len(content), BLOCK // 2):
        data = films.blocks.read(film, start, start + BLOCK // 2)
        if data is not None:
            assert data == content[start : start + BLOCK // 2]
            served += len(data)
    return served


def test_a_learnt_film_is_read_from_disk_where_it_is_kept_and_nowhere_else(store: Films) -> None:
    film, content = teach(store, A), content_of("s0", 0)

    assert film == store.known(A) == store.film(film.id, 0)
    assert store.blocks.kept(film) == [Extent(0, 2 * BLOCK), Extent(9 * BLOCK, film.size)]
    assert store.blocks.read(film, 100, BLOCK + 100) == content[100 : BLOCK + 100]
    assert store.blocks.read(film, film.size - 10, film.size + 1000) == content[-10:]
    assert store.blocks.read(film, 2 * BLOCK - 1, 2 * BLOCK + 1) is None
    assert store.blocks.read(film, film.size, film.size + 10) == b""


def test_what_was_read_is_kept_in_whole_blocks(store: Films) -> None:
    film, content = teach(store, A), content_of("s0", 0)

    assert store.blocks.keep(film, 3 * BLOCK - 5, content[3 * BLOCK - 5 : 5 * BLOCK + 5])
    assert store.blocks.kept(film) == [Extent(0, 2 * BLOCK), Extent(3 * BLOCK, 5 * BLOCK), Extent(9 * BLOCK, film.size)]
    assert store.blocks.keep(film, 8 * BLOCK, content[8 * BLOCK :])
    assert store.blocks.kept(film)[-1] == Extent(8 * BLOCK, film.size)
    assert assert_right(store, film, content) == 2 * BLOCK + 2 * BLOCK + BLOCK + film.size - 9 * BLOCK


@pytest.mark.parametrize("harm", ["another byte", "cut short", "a hole", "gone", "another file"])
def test_a_damaged_part_is_not_served(tmp_path: Path, store: Films, harm: str) -> None:
    film, content = teach(store, A), content_of("s0", 0)
    path = parts.part_path(store.root, film.id, 0)
    match harm:
        case "another byte":
            with path.open("r+b") as file:
                file.seek(BLOCK + 7)
                byte = file.read(1)
                file.seek(BLOCK + 7)
                file.write(bytes([byte[0] ^ 1]))
        case "cut short":
            os.truncate(path, 2 * BLOCK - 1)
        case "a hole":
            with closing(parts.PartFile(store.root, film)) as part:
                part.punch([1])
        case "gone":
            path.unlink()
        case "another file":
            shutil.copy(parts.part_path(store.root, teach(store, B).id, 0), path)

    with Films(tmp_path) as another:
        served = assert_right(another, film, content)
        assert served <= len(content) - 8 * BLOCK
        assert another.blocks.read(film, BLOCK, BLOCK + 10) is None
    # It is kept again, and is then served.
    with Films(tmp_path) as another:
        assert another.blocks.keep(film, BLOCK, content[BLOCK : 2 * BLOCK])
        assert another.blocks.read(film, BLOCK, BLOCK + 10) == content[BLOCK : BLOCK + 10]


def test_a_film_that_turns_out_to_be_another_stays_shown_until_it_was_learnt_anew(store: Films) -> None:
    film = teach(store, A)
    assert shown(store) == {20: (film.id, 0)}

    store.changed(film, "it is longer now")
    assert shown(store) == {20: (film.id, 0)}
    assert "s0" in due_now(store)

    other = teach(store, A, edition=1)
    assert (other.id, other.version, other.size) == (film.id, 1, film.size + 1)
    assert shown(store) == {20: (film.id, 1)}
    assert "s0" not in due_now(store)
    # Who has the former one open goes on reading it.
    assert store.film(film.id, 0) == film
    assert assert_right(store, film, content_of("s0", 0)) > 0
    assert assert_right(store, other, content_of("s0", 1)) > 0
    store.changed(film, "said of the former one")
    assert "s0" not in due_now(store)


def test_a_film_that_is_learnt_anew_as_the_same_keeps_its_version(store: Films) -> None:
    film = teach(store, A)
    store.changed(film, "so it seemed")
    assert teach(store, A) == film
    assert shown(store) == {20: (film.id, 0)}


def test_the_same_bytes_of_other_accounts_are_known(store: Films) -> None:
    store.want([*WISHES, Wish(30, Key("movie", 2, "other"), "Film 0 of another account")], 2)
    film = teach(store, A)
    teach(store, B)
    [due] = [due for due in store.due(1e11, (), 9) if due.key.account == 2]
    same = learn(store, due, content_of("s0", 0))

    assert store.alike(film) == [same]
    assert store.alike(same) == [film]


@pytest.mark.parametrize("how", ["lost", "damaged", "emptied"])
def test_what_was_learnt_outlives_the_store_s_file(tmp_path: Path, how: str) -> None:
    with Films(tmp_path) as films:
        films.want(WISHES, 1)
        learnt = [teach(films, A), teach(films, B)]
        films.changed(learnt[0], "it is longer")
        learnt.append(teach(films, A, edition=1))
        unlearnt = films.due(1e11, (), 9)[0].id
        path = films.path
    for suffix in ("-wal", "-shm") if how != "damaged" else ():
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    match how:
        case "lost":
            path.unlink()
        case "damaged":
            path.write_bytes(b"This is no database, but it is long enough to be looked at as if it were one." * 99)
        case "emptied":
            path.write_bytes(b"")

    with Films(tmp_path) as films:
        assert films.wanted_generation() == 0
        assert [films.film(film.id, film.version) for film in learnt] == learnt
        assert films.known(A) == learnt[2]
        assert assert_right(films, learnt[2], content_of("s0", 1)) > BLOCK
        assert assert_right(films, learnt[1], content_of("s1", 0)) > BLOCK
        films.want(WISHES, 1)
        assert shown(films) == {20: (learnt[0].id, 1), 21: (learnt[1].id, 0)}
        assert due_now(films) == ["s2"]
        assert films.due(1e11, (), 9)[0].id > unlearnt


def test_ids_are_never_used_again_also_if_the_clock_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Films(tmp_path) as films:
        films.want(WISHES, 1)
        learnt = [teach(films, key) for key in (A, B, C)]
        path = films.path
    path.unlink()
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    with Films(tmp_path) as films:
        films.want([*WISHES, Wish(40, Key("movie", 4, "new"), "New")], 1)
        [due] = films.due(1e11, (), 9)
        assert due.id > max(film.id for film in learnt)


def test_a_part_file_that_is_no_whole_one_is_not_known_again(tmp_path: Path) -> None:
    with Films(tmp_path) as films:
        films.want(WISHES, 1)
        cut, moved, whole = teach(films, A), teach(films, B), teach(films, C)
        path, root = films.path, films.root
    path.unlink()
    os.truncate(parts.part_path(root, cut.id, 0), parts.part_path(root, cut.id, 0).stat().st_size - 1)
    parts.part_path(root, moved.id, 0).rename(parts.part_path(root, moved.id, 5))
    (root / "00").mkdir(exist_ok=True)
    (root / "00" / "note").write_text("Whose is this?")

    with Films(tmp_path) as films:
        assert [films.known(key) for key in (A, B, C)] == [None, None, whole]


def test_a_node_that_plays_another_film_shows_the_former_one_until_that_is_learnt(store: Films) -> None:
    film, other = teach(store, A), Key("movie", 2, "better")
    assert store.want([Wish(20, other, "Film 0"), *WISHES[1:]], 2) == 1
    assert shown(store) == {20: (film.id, 0)}
    assert store.nodes(A) == []
    assert store.nodes(other) == [20]

    [due] = [due for due in store.due(1e11, (), 9) if due.key == other]
    better = learn(store, due, content_of("better", 0))
    assert shown(store) == {20: (better.id, 0)}


def test_what_the_library_plays_no_more_is_not_learnt_and_comes_back_as_it_was(store: Films) -> None:
    film = teach(store, A)
    assert store.want(WISHES[1:2], 2) == 2
    assert due_now(store) == ["s1"]
    assert shown(store) == {}
    assert store.want(WISHES, 3) == 2
    assert shown(store) == {20: (film.id, 0)}
    assert store.want(WISHES, 4) == 0


def test_films_are_due_in_their_order(store: Films) -> None:
    assert due_now(store) == ["s2", "s1", "s0"]  # The newest come first.
    assert store.ask([A, Key("movie", 9, "unknown")]) == 1
    assert due_now(store) == ["s0", "s2", "s1"]
    assert [due.key for due in store.due(1e11, (), 9, asked_since=1)] == [A]
    assert store.waiting(time.time()) == 3
    assert store.waiting(time.time(), asked_since=1) == 1
    assert store.due(1e11, [1], 9) == []
    teach(store, A)
    assert store.ask([A]) == 0  # There is nothing to be learnt.


@pytest.mark.parametrize(
    ("kind", "pauses"),
    [
        (Kind.FAILED, (HOUR, 2 * HOUR, 4 * HOUR)),
        (Kind.REFUSED, (DAY, 2 * DAY)),
        (Kind.GONE, (DAY, 2 * DAY)),
        (Kind.FORBIDDEN, (DAY, 2 * DAY)),
        (Kind.NOT_A_FILM, (DAY, 2 * DAY)),
        (Kind.UNSEEKABLE, (7 * DAY, 14 * DAY)),
    ],
)
def test_a_film_that_could_not_be_learnt_is_not_asked_for_again_soon(
    store: Films, kind: Kind, pauses: tuple[float, ...]
) -> None:
    for pause in pauses:
        fail(store, A, kind)
        assert "s0" not in due_now(store, pause - 60)
        assert "s0" in due_now(store, pause + 60)
    assert film_pause(kind, 99) <= 30 * DAY
    # But for whoever asks for it by name.
    store.ask([A])
    assert "s0" in due_now(store, HOUR)
    figures = read_figures(store.folder.parent)
    assert figures
    assert figures.failing == {f"{kind}: so it is": 1}
    assert (figures.learnt, figures.waiting) == (0, 2)


def test_an_account_that_is_busy_is_left_alone_and_its_films_are_not_blamed(store: Films) -> None:
    fail(store, A, Kind.BUSY)
    assert due_now(store) == []
    assert due_now(store, 70) == ["s2", "s1", "s0"]
    fail(store, A, Kind.BUSY, pause=600)
    assert due_now(store, 590) == []
    assert due_now(store, 610) == ["s2", "s1", "s0"]
    figures = read_figures(store.folder.parent)
    assert figures
    assert figures.paused == {"account 1": "so it is"}
    teach(store, A)
    assert due_now(store) == ["s2", "s1"]


def test_an_account_that_is_left_alone_is_tried_again_for_whoever_asks_for_a_film(store: Films) -> None:
    fail(store, A, Kind.BUSY, pause=600)
    store.ask([B])
    assert due_now(store)[0] == B.stream
    fail(store, B, Kind.BUSY)
    assert due_now(store) == []


def test_an_account_all_of_whose_films_fail_is_left_alone_for_longer_and_longer() -> None:
    for kind in (Kind.FAILED, Kind.FORBIDDEN, Kind.UNSEEKABLE, Kind.NOT_A_FILM):
        assert [account_pause(kind, times, 0) for times in range(1, 6)] == [0, 0, 600, 1200, 2400]
        assert account_pause(kind, 99, 0) == DAY


def test_what_learning_takes_is_counted_for_a_day_whoever_is_killed(tmp_path: Path, store: Films) -> None:
    fail(store, A, Kind.FAILED, taken=1_000_000)
    with Films(tmp_path) as other:
        due = other.due(1e11, (), 1)[0]
        other.begin(due)  # And is killed.
    taken, last = store.taken(time.time())
    assert taken == 1_000_000 + (4 << 20)
    assert abs(time.time() - last) < 60
    assert store.taken(time.time() + DAY + 60)[0] == 0


@pytest.mark.parametrize("ahead", [2 * HOUR, 13 * 365 * DAY])
def test_what_waits_when_the_clock_is_set_back_waits_no_longer_than_it_had_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    """A clock without a battery, or one that was taken for that of another zone, is ahead until it is set."""
    right = 1_700_000_000.0
    now = [right]
    monkeypatch.setattr(time, "time", lambda: now[0])
    with Films(tmp_path) as films:
        films.want(WISHES, 1)
        fail(films, A, Kind.FORBIDDEN)
        now[0] = right + ahead
        films.follow_clock()
        film = teach(films, C)
        films.changed(film, "")
        teach(films, C, 1)
        films.blocks.touched(film, 0, 1)
        films.blocks.note_touched()
        films.ask([A])
        fail(films, A, Kind.NOT_A_FILM)
        for _ in range(4):
            fail(films, B, Kind.BUSY, taken=1000)
    now[0] = right
    with Films(tmp_path) as films:
        films.follow_clock()
        # The fifth failure: sixteen minutes for the account of all three; two days for the one that was no film.
        assert due_now(films, 15 * 60) == []
        assert due_now(films, 17 * 60) == ["s1"]
        assert due_now(films, 2 * DAY - 60) == ["s1"]
        assert due_now(films, 2 * DAY + 60) == ["s1", "s0"]
        assert films.taken(right)[0] >= 4000
        assert films.taken(right + DAY + 1)[0] == 0
        assert films.film(film.id, 0)
        now[0] = right + 7 * DAY + 60
        films.tidy()
        assert films.film(film.id, 0) is None
        with closing(sqlite3.connect(films.path)) as connection:
            [latest] = connection.execute("SELECT max(touched) FROM block").fetchone()
            assert latest <= right
        assert read_figures(tmp_path)


def test_a_clock_that_goes_on_is_written_down_every_ten_minutes_and_no_oftener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is all that a mount with nothing to do writes."""
    start, later = time.time(), 0
    monkeypatch.setattr(time, "time", lambda: start + later)
    with Films(tmp_path) as films, Films(tmp_path) as other:
        written = []
        version = other._file.state()
        for later in range(0, 3600, 10):
            films.follow_clock()
            version, before = other._file.state(), version
            written += [later] if version != before else []
    assert written == [600, 1200, 1800, 2400, 3000]


def test_a_clock_that_goes_on_changes_nothing(store: Films, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(store, A, Kind.FAILED)
    now = time.time()
    for later in (30.0, 90.0, 40.0, 40 * 60.0):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        store.follow_clock()
        assert "s0" not in due_now(store)
    assert "s0" in due_now(store, HOUR)


def test_one_process_learns_at_a_time(tmp_path: Path) -> None:
    with holding(tmp_path) as first, holding(tmp_path) as second:
        assert (first, second) == (True, False)
    with holding(tmp_path) as third:
        assert third


def test_a_killed_learner_leaves_no_draft(tmp_path: Path, store: Films) -> None:
    draft = store.draft(store.due(1e11, (), 1)[0])
    draft.write(0, b"x" * 100)
    with holding(tmp_path):
        assert [path for path in store.root.rglob("*") if path.is_file()] == []
    draft.__exit__()


# What is given up.


def test_parts_are_given_up_in_their_order_and_what_scanners_read_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_TRIM_TO", 1)
    with Films(tmp_path) as films:
        films.want(WISHES, 1)
        a, b, c = (teach(films, key) for key in (A, B, C))
        contents = {film: content_of(film.key.stream, 0) for film in (a, b, c)}
        films.blocks.keep(b, 3 * BLOCK, contents[b][3 * BLOCK : 5 * BLOCK])
        films.want(WISHES[:2], 2)  # Nothing plays C any more.
        films.blocks.touched(a, 0, 100)
        films.blocks.note_touched()
        before = films.blocks.bytes_kept()
        assert before == (3 + 3 + 3 + 2) * BLOCK

        films.blocks.limit = before - 3 * BLOCK
        assert films.blocks.trim() == 0
        assert films.blocks.kept(c) == []
        assert len(films.blocks.kept(a)) == 2
        assert len(films.blocks.kept(b)) == 3

        films.blocks.limit = films.blocks.bytes_kept() - 1
        assert films.blocks.trim() == 0
        # What was not touched of the one that was scanned.
        assert films.blocks.kept(a) != [Extent(0, 2 * BLOCK), Extent(9 * BLOCK, a.size)]
        assert films.blocks.kept(a)[0] == Extent(0, BLOCK) or films.blocks.kept(a)[0] == Extent(0, 2 * BLOCK)

        films.blocks.limit = 1
        assert films.blocks.trim() == (1 + 3) * BLOCK - 1
        assert films.blocks.kept(a) == [Extent(0, BLOCK)]
        assert films.blocks.kept(b) == [Extent(0, 2 * BLOCK), Extent(9 * BLOCK, b.size)]
        for film in (a, b):
            assert assert_right(films, film, contents[film]) > 0
        room = sum(path.stat().st_blocks * 512 for path in films.root.rglob("*") if path.is_file())
        assert room < 4 * BLOCK + 3 * 8192


def test_nobody_who_reads_waits_until_it_is_found_what_may_be_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a full cache that takes tenths of a second, and a mount answers nothing meanwhile."""
    count = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)"
    monkeypatch.setattr(blocks, "_SPARE", f"{count} SELECT i, i, i FROM n WHERE i < 0 LIMIT ?")
    with Films(tmp_path, limit=0) as films:
        films.want(WISHES, 1)
        teach(films, A)
        trimming = threading.Thread(target=films.blocks.trim)
        trimming.start()
        read = 0
        while trimming.is_alive():
            assert films.known(A)
            read += 1
    assert read > 1000


def test_a_film_that_nothing_plays_and_whose_parts_were_given_up_is_forgotten(tmp_path: Path) -> None:
    with Films(tmp_path) as films:
        films.want(WISHES, 1)
        film = teach(films, A)
        films.want(WISHES[1:], 2)
        films.tidy()
        assert films.known(A) == film
        films.blocks.limit = 1
        films.blocks.trim()
        films.tidy()
        assert films.known(A) is None
        assert [path for path in films.root.rglob("*") if path.is_file()] == []


def test_a_former_version_is_given_up_after_a_week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Films(tmp_path) as films:
        films.want(WISHES, 1)
        film = teach(films, A)
        films.changed(film, "")
        teach(films, A, edition=1)
        films.tidy()
        assert films.film(film.id, 0) == film
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 8 * DAY)
        films.tidy()
        assert films.film(film.id, 0) is None
        assert films.blocks.read(film, 0, 10) is None
        assert films.film(film.id, 1) == films.known(A)


def test_what_another_process_keeps_or_gives_up_is_seen(tmp_path: Path, store: Films) -> None:
    film, content = teach(store, A), content_of("s0", 0)
    assert store.blocks.read(film, 3 * BLOCK, 4 * BLOCK) is None
    with Films(tmp_path) as other:
        other.blocks.keep(film, 3 * BLOCK, content[3 * BLOCK : 4 * BLOCK])
    assert store.blocks.read(film, 3 * BLOCK, 4 * BLOCK) == content[3 * BLOCK : 4 * BLOCK]
    with Films(tmp_path, limit=4 * BLOCK - 1) as other:
        other.blocks.trim()
    assert assert_right(store, film, content) == 2 * BLOCK + film.size - 9 * BLOCK


@pytest.mark.complains("Parts of films cannot be kept: .*No space left")
def test_a_full_disk_keeps_what_is_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1500k") as disk, Films(disk) as films:
        films.want(WISHES, 1)
        film, content = teach(films, A), content_of("s0", 0)
        with pytest.raises(OSError, match="No space left"):
            _fill(disk / "filler")
        assert not films.blocks.keep(film, 2 * BLOCK, content[2 * BLOCK : 8 * BLOCK])
        with pytest.raises((OSError, IndexFileError), match=r"No space left|has no room"):
            teach(films, B)
        assert assert_right(films, film, content) == 2 * BLOCK + film.size - 9 * BLOCK
        (disk / "filler").unlink()
        teach(films, B)
        assert films.blocks.keep(film, 2 * BLOCK, content[2 * BLOCK : 3 * BLOCK])


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def test_where_files_have_no_holes_nothing_is_learnt(tmp_path: Path) -> None:
    with Disk(tmp_path / "image", tmp_path / "disk", "exfat") as disk:
        (disk.mount_point / "parts").mkdir()
        assert not parts.knows_holes(disk.mount_point / "parts")
    assert parts.knows_holes(tmp_path)


# Whatever happens.


LOGS = ("-wal", "-shm")


@pytest.mark.complains("was deleted or cut short while it was in use")
@pytest.mark.parametrize("harm", ["-wal deleted", "-shm deleted", "both deleted", "-wal emptied"])
def test_a_log_that_is_cleaned_away_while_it_is_in_use_costs_nothing_that_was_learnt(
    tmp_path: Path, store: Films, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Before it was noticed, all was an error until the next start, and what was written made a ruin of the file."""
    film = teach(store, A)
    teach(store, B)
    store._file._writing.execute("PRAGMA wal_checkpoint")  # Of what comes now, nothing is in the file.
    store.changed(film, "it is longer")
    changed = teach(store, A, edition=1)
    last = teach(store, C)
    match harm:
        case "-wal emptied":
            os.truncate(f"{store.path}-wal", 0)
        case _:
            for each in LOGS if harm == "both deleted" else [harm.split()[0]]:
                Path(f"{store.path}{each}").unlink()
    assert not store.is_whole()
    store.changed(last, "so that something is written")
    assert store.is_whole()
    with Films(tmp_path) as other:
        for films in (store, other):
            assert [films.known(key) for key in (A, C)] == [changed, last]
            assert films.film(film.id, 0) == film
            assert assert_right(films, film, content_of("s0", 0))
            assert assert_right(films, changed, content_of("s0", 1))
            assert assert_right(films, last, content_of("s2", 0))
        # No number means another film than before, and the library is looked at anew.
        assert other.wanted_generation() == 0
        new = Wish(30, Key("movie", 1, "s9"), "New", 0, 0)
        assert other.want([*WISHES, new], 1) <= len(WISHES) + 1
        [due] = [due for due in other.due(time.time(), (), 99) if due.key == new.key]
        assert due.id > int(time.time() * 1000) - 60_000
        assert shown(store) == {wish.node: (store.known(wish.key).id, wish.key == A) for wish in WISHES}  # type: ignore[union-attr]
    assert caplog.text.count("was deleted or cut short") == 1
    with Films(tmp_path) as again:
        assert again.known(A) == changed


@pytest.mark.complains("was deleted or cut short while it was in use")
def test_a_file_that_was_written_beside_a_log_that_was_cut_short_is_set_aside(tmp_path: Path, store: Films) -> None:
    """By another process, before this one has noticed."""
    store._file._writing.execute("PRAGMA wal_checkpoint")
    films = [teach(store, key) for key in (A, B, C)]
    wal = Path(f"{store.path}-wal")
    length = wal.stat().st_size
    os.truncate(wal, 0)
    os.truncate(wal, length)  # Its pages are zeros now, as if others had been written behind them.
    assert store.is_whole()
    with pytest.raises(IndexFileError):
        store.names()
    os.truncate(wal, length - 1)
    store.mend()
    assert [store.known(key) for key in (A, B, C)] == films
    assert store.want(WISHES, 1) == 3
    assert assert_right(store, films[0], content_of("s0", 0))


@pytest.mark.complains("was deleted or cut short while it was in use")
def test_what_a_log_that_was_cut_short_held_is_known_again_later_if_it_cannot_be_at_once(store: Films) -> None:
    """Where a disk is full, somebody cleans up, and nothing can be written yet."""
    refuse = "BEFORE INSERT ON info WHEN NEW.name = 'begun' BEGIN SELECT RAISE(ABORT, 'there is no room'); END"
    store._file._writing.execute(f"CREATE TRIGGER refuse {refuse}")
    store._file._writing.execute("PRAGMA wal_checkpoint")
    film = teach(store, A)
    os.truncate(f"{store.path}-wal", 0)
    for _ in range(2):
        with pytest.raises(IndexFileError, match="there is no room"):
            store.mend()
        assert not store.is_whole()
    assert store.known(A) is None
    store._file._writing.execute("DROP TRIGGER refuse")
    store.mend()
    assert store.known(A) == film
    assert store.is_whole()


def test_whoever_is_killed_at_any_step_leaves_nothing_wrong(tmp_path: Path, soak: bool) -> None:
    process = subprocess.Popen(
        [sys.executable, films_interrupted.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    state_dir = tmp_path / "state"
    with process:
        step, ended = 0, False
        while not ended:
            step += 1 if soak else random.Random(step).randint(5, 25)
            if random.Random(step).random() < 0.3:
                shutil.rmtree(state_dir, ignore_errors=True)
            state_dir.mkdir(exist_ok=True)
            process.stdin.write(f"{state_dir} {step}\n")
            process.stdin.flush()
            ended = process.stdout.readline().strip() == "0"
            _check(state_dir)
            if soak and step % 3 == 0:
                (state_dir / FOLDER / "films.db").unlink(missing_ok=True)
                (state_dir / FOLDER / "films.db-wal").unlink(missing_ok=True)
                _check(state_dir)
        process.stdin.close()
    assert step > 100


def _check(state_dir: Path) -> None:
    with holding(state_dir), Films(state_dir) as films:
        for wish in WISHES:
            if (film := films.known(wish.key)) is None:
                continue
            content = next(each for each in (content_of(wish.key.stream, n) for n in (0, 1)) if len(each) == film.size)
            assert_right(films, film, content)
            if film.version:
                former = films.film(film.id, film.version - 1)
                if former:
                    assert_right(films, former, content_of(wish.key.stream, former.size - films_interrupted.SIZE))


def test_what_was_learnt_outlives_a_power_cut(tmp_path: Path) -> None:
    with Disk(tmp_path / "image", tmp_path / "disk", "ext4") as disk:
        with Films(disk.mount_point) as films:
            films.want(WISHES, 1)
            film = teach(films, A)
            films.blocks.keep(film, 3 * BLOCK, content_of("s0", 0)[3 * BLOCK : 4 * BLOCK])
            os.sync()
            teach(films, B)
            disk.shut_down()
        disk.lose_power()
        with Films(disk.mount_point) as films:
            assert assert_right(films, film, content_of("s0", 0)) == 3 * BLOCK + film.size - 9 * BLOCK
            if other := films.known(B):
                assert_right(films, other, content_of("s1", 0))


def test_many_threads_read_and_keep_at_once(store: Films) -> None:
    film, content = teach(store, A), content_of("s0", 0)
    wrong: list[str] = []

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(150):
            start = dice.randrange(film.size)
            stop = min(start + dice.randrange(1, 2 * BLOCK), film.size)
            if dice.random() < 0.2:
                store.blocks.keep(film, start, content[start:stop])
            data = store.blocks.read(film, start, stop)
            store.blocks.touched(film, start, stop)
            if data is not None and data != content[start:stop]:
                wrong.append(f"{start} to {stop}")
            if dice.random() < 0.1:
                store.blocks.note_touched()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_next_film_is_found_without_looking_at_all_of_them(tmp_path: Path) -> None:
    many = [Wish(20 + number, Key("movie", number % 3, f"s{number}"), "Film", 60, number) for number in range(10_000)]
    with Films(tmp_path) as films:
        assert films.want(many, 1) == 10_000
        assert films.want(many, 2) == 0
        assert [due.key.stream for due in films.due(time.time(), [0], 3)] == ["s9998", "s9997", "s9995"]
        statements: list[str] = []
        films._file._counting.set_trace_callback(statements.append)
        films.due(time.time(), [0], 1)
        films._file._counting.set_trace_callback(None)
        plan = [row[3] for row in films._file._reading.execute(f"EXPLAIN QUERY PLAN {statements[-1]}")]
    assert any("film_due" in line for line in plan)
    assert not any("TEMP B-TREE" in line for line in plan)


@pytest.mark.complains("read with the room that was kept for it")
def test_films_can_be_read_when_their_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4M") as disk:
        with Films(disk) as films:
            films.want(WISHES, 1)
            film = teach(films, A)
        keep_reserve(disk / FOLDER)
        descriptor = os.open(disk / "full", os.O_WRONLY | os.O_CREAT)
        with suppress(OSError):
            while True:
                os.write(descriptor, bytes(4096))
        os.close(descriptor)
        with Films(disk) as films:
            assert films.known(A) == film
            assert films.blocks.read(film, 0, 1000) == content_of("s0", 0)[:1000]
