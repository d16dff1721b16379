"""Materialize when it is killed, when the disk is full or read-only, when the share goes, and when it runs twice."""

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import interrupted
import pytest
from libraries import Library
from mounts import TIMEOUT, command, eventually
from outputs import Output, report_rows, snapshot
from shares import Share

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import Exit, IndexFileError, OutputError
from vod2strmfs.films.store import Films
from vod2strmfs.index.store import Store
from vod2strmfs.materialize import root
from vod2strmfs.materialize.run import materialize
from vod2strmfs.reports.files import reports
from vod2strmfs.status.runs import read_runs

Rows = list[tuple[str, ...]]


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(Library(tmp_path), tmp_path / "output")


def catalogue(*names: str, plot: str = "", episodes: int = 3) -> Catalogue:
    """Movies, and a series."""
    made = Catalogue()
    account = made.account("Provider")
    for name in names:
        made.relate(made.movie(name, description=plot, relations=[]), account, stream_id=name)
    if episodes:
        series = made.series("Lost")
        for number in range(1, episodes + 1):
            made.episode(series, 1, number, f"Part {number}")
    return made


def films(number: int) -> list[str]:
    return [f"Film {film}" for film in range(number)]


def run(output: Output, *options: str) -> tuple[int, Rows]:
    """`vodstrmfs materialize`; its exit code and the rows of its report, those about series that match left out."""
    before = set(reports(output.reports))
    arguments = ("materialize", output.root, "--database", output.library.last_url, "--report-dir", output.reports)
    ended = subprocess.run(
        command(*arguments, "--state-dir", output.library.state_dir, *options), check=False, capture_output=True
    )
    assert b"Traceback" not in ended.stderr
    [report] = set(reports(output.reports)) - before
    return ended.returncode, [row for row in report_rows(report) if "matches" not in row]


def failures(rows: Rows) -> set[tuple[str, str]]:
    """Type and reason of what failed."""
    return {(kind, reason) for kind, *_, action, reason in rows if action == "failed"}


@contextlib.contextmanager
def mounted(*arguments: str | Path) -> Iterator[None]:
    """A mount, the last argument being its mount point."""
    subprocess.run(["mount", *arguments], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", arguments[-1]], check=True)


class Killed:
    """Runs of `interrupted.py`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> "Killed":
        script = Path(interrupted.__file__)
        self._process = subprocess.Popen(
            [sys.executable, script, self._directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            pass

    def run(self, url: str, *, calls: int = 0, seconds: float | None = None) -> bool:
        """One run, cut off after so many calls or seconds; returns whether it was."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{url} {calls}\n")
        self._process.stdin.flush()
        process = int(self._process.stdout.readline())
        if seconds is not None:
            time.sleep(seconds)
            # If it has ended, it was waited for, and its number is nobody's for a long time.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        status = int(self._process.stdout.readline())
        assert status in (0, signal.SIGKILL)
        return status == signal.SIGKILL


class Changing:
    """A catalogue of which a part is renamed, goes, comes and has other plots each time. Equal seeds, equal changes."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._names = {stream: f"Film {stream}" for stream in range(24)}
        self._next = len(self._names)

    def step(self) -> Catalogue:
        random = self._random
        for stream in random.sample(sorted(self._names), 5):
            del self._names[stream]
        for stream in random.sample(sorted(self._names), 5):
            self._names[stream] = f"{random.choice(('Heat', 'Ronin', 'heat', 'Fargo'))} {random.randrange(40)}"
        for _ in range(5):
            self._names[self._next] = f"Film {self._next}"
            self._next += 1
        made = Catalogue()
        account = made.account("Provider")
        for stream, name in self._names.items():
            movie = made.movie(name, description=random.choice(("One plot.", "Another plot.")), relations=[])
            made.relate(movie, account, stream_id=str(stream))
        for title in random.sample(("Lost", "Dark", "Fringe"), 2):
            series = made.series(title)
            for number in range(1, 5):
                name = random.choice(("Pilot", "Lies", ""))
                episode = made.episode(series, random.randrange(1, 3), number, name, relations=[])
                made.relate(episode, account, stream_id=f"{title} {number}")
        return made


def test_killed_at_a_hundred_moments_it_leaves_no_half_file_and_the_next_run_finishes(
    output: Output, tmp_path: Path
) -> None:
    """Half of the moments are calls to the file system, half are times, so that each step of a run is hit."""
    random = Random(5)
    changing = Changing(random)
    contents: set[bytes | None] = {None}
    cut_off = 0
    longest = 0.0
    with Killed(tmp_path) as killed:
        for number in range(100):
            url = f"sqlite:///{tmp_path}/step{number}.db"
            changing.step().write(url)
            if number % 2:
                cut_off += killed.run(url, seconds=random.uniform(0, longest))
            else:
                started = time.monotonic()
                if killed.run(url, calls=random.randrange(1, 250)):
                    cut_off += 1
                longest = max(longest, time.monotonic() - started)
            left = snapshot(output.root) if output.root.exists() else {}
            output.library.sync(url, accept_shrink=True)
            assert output.write(cleanup="apply", accept_shrink=True).errors == 0
            assert output.difference() == {}, number
            contents |= {found.content for found in snapshot(output.root).values()}
            for path, found in left.items():
                assert found.content in contents or path.endswith(".tmp"), (number, path)
    assert cut_off > 40


def test_a_full_disk_is_rows_and_the_next_run_finishes(output: Output) -> None:
    output.library.show(catalogue(*films(100)))
    output.root.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=300k", "tmpfs", output.root):
        code, rows = run(output)
        assert code == 6
        assert ("error", "disk full") in failures(rows)
        wanted = output.library.files()
        for path, found in snapshot(output.root).items():
            assert found.content is None or wanted[path] == found.content
        subprocess.run(["mount", "-o", "remount,size=30m", output.root], check=True)
        code, rows = run(output)
        assert (code, failures(rows)) == (0, set())
        assert output.difference() == {}


def test_a_read_only_root_is_a_row_and_an_error(output: Output) -> None:
    output.library.show(catalogue("Heat"))
    output.root.mkdir()
    with mounted("-t", "tmpfs", "-o", "ro", "tmpfs", output.root):
        assert run(output) == (6, [("error", "", "", "output", "", "failed", "read-only")])


def test_a_root_that_dies_as_it_is_opened_is_a_row_and_an_error(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    output.library.show(catalogue("Heat"))
    output.write()
    root, fstat = output.root.stat(), os.fstat

    def dying(descriptor: int) -> os.stat_result:
        found = fstat(descriptor)
        if os.path.samestat(found, root):
            raise OSError(errno.EHOSTDOWN, os.strerror(errno.EHOSTDOWN))
        return found

    monkeypatch.setattr(os, "fstat", dying)
    with closing(Store(output.library.state_dir)) as store, pytest.raises(OutputError, match="Host is down"):
        materialize(store, output.job())


def test_a_folder_that_is_read_only_is_rows_and_the_rest_is_done(output: Output) -> None:
    output.library.show(catalogue("Heat", "Ronin"))
    output.write()
    heat = output.root / "Movies" / "Heat"
    output.library.show(catalogue("Heat", "Ronin", plot="Another plot."))
    with mounted("--bind", "-o", "ro", heat, heat):
        code, rows = run(output)
        assert code == 6
        assert [row for row in rows if row[5] == "failed"] == [
            ("error", "", "", "Heat", row[4], "failed", "read-only") for row in rows if row[3] == "Heat"
        ]
        assert [row[5] for row in rows if row[3] == "Ronin"] == ["updated"]
    assert run(output)[0] == 0
    assert output.difference() == {}


def test_what_failed_is_told_with_each_reason_and_how_many(output: Output) -> None:
    output.library.show(catalogue("Heat", "Ronin"))
    output.write()
    heat, nfo = (output.root / "Movies" / path for path in ("Heat", "Ronin/movie.nfo"))
    nfo.unlink()
    nfo.mkdir()
    output.library.show(catalogue("Heat", "Ronin", plot="Another plot."))
    with mounted("--bind", "-o", "ro", heat, heat):
        assert run(output)[0] == 6
    known = read_runs(output.library.state_dir)
    assert known is not None
    assert known.last is not None
    [why] = re.findall(r": 2 files or folders could not be dealt with \((.*)\);", known.last.error)
    assert set(why.split(", ")) == {"1 in the way", "1 read-only"}


def test_a_share_that_vanishes_is_rows_and_the_next_run_finishes(output: Output, tmp_path: Path) -> None:
    output.library.show(catalogue(*films(700)))
    with Share(tmp_path / "share", output.root) as share, closing(Store(output.library.state_dir)) as store:
        outcome = materialize(store, output.job(), on_progress=lambda progress: share.die())
        failed = failures(report_rows(outcome.report))
        assert outcome.errors
        assert failed == {("error", "unreachable")}
        assert run(output) == (6, [("error", "", "", "output", "", "failed", "unreachable")])
    assert run(output) == (6, [("error", "", "", "output", "", "failed", "unreachable")])
    assert list(output.root.iterdir()) == []
    with Share(tmp_path / "share", output.root):
        code, rows = run(output)
        assert (code, failures(rows)) == (0, set())
        assert output.difference() == {}


def test_whatever_lies_on_a_share_that_vanished_is_said_to_be_unreachable(output: Output, tmp_path: Path) -> None:
    output.library.show(catalogue("Heat"))
    url, gone = output.library.last_url, tmp_path / "gone"
    with Share(tmp_path / "share", gone) as share:
        output.root = gone
        output.write()
        share.die()
        for arguments, code in (
            (("materialize", tmp_path / "other", "--database", url, "--state-dir", gone / "state"), Exit.INDEX),
            (("stats", gone, "--state-dir", output.library.state_dir), Exit.OUTPUT),
            (("sync", "--database", f"sqlite:///{gone}/c.db", "--state-dir", output.library.state_dir), Exit.DATABASE),
        ):
            ended = subprocess.run(command(*arguments), check=False, capture_output=True, text=True, timeout=TIMEOUT)
            assert (ended.returncode, "unexpected" in ended.stderr) == (code, False), ended.stderr
            assert str(gone) in ended.stderr
        with pytest.raises(IndexFileError, match="what is known of films cannot be used"):
            Films(gone)


def test_a_name_that_is_refused_is_a_row_and_the_rest_is_done(output: Output, tmp_path: Path) -> None:
    output.library.show(catalogue("Heat", "Zorro", "Ronin"))
    with Share(tmp_path / "share", output.root, "refuse=Z"):
        code, rows = run(output)
        assert code == 6
        assert [(title, reason) for *_, title, _, action, reason in rows if action == "failed"] == [
            ("Zorro", "name refused")
        ]
        assert {path.split("/")[1] for path in output.difference() if "/" in path} == {"Zorro"}


def test_a_share_that_folds_case_and_has_coarse_times_gets_the_same_tree_and_is_left_alone(
    output: Output, tmp_path: Path
) -> None:
    made = catalogue("Heat", "HEAT", "heat wave")
    made.movie("Amélie", description="One plot.")
    output.library.show(made)
    with Share(tmp_path / "share", output.root, "fold", "coarse"):
        assert output.write().errors == 0
        assert {path: found.content for path, found in snapshot(output.root).items() if found.content is not None} == (
            output.library.files()
        )
        before = snapshot(tmp_path / "share")
        assert output.rows() == []
        assert output.rows(verify=True, cleanup="apply") == []
        assert snapshot(tmp_path / "share") == before
        output.lose_manifest()
        assert {row[5] for row in output.rows(cleanup="apply")} == {"noted"}
        output.library.show(catalogue("Heat", "HEAT", "Heat Wave"), accept_shrink=True)
        output.write(cleanup="apply", accept_shrink=True)
        assert (output.root / "Movies" / "Heat Wave" / "Heat Wave.strm").exists()
        # Linux takes a rename that changes case alone for none at all, on a share that folds case.
        assert {path.lower(): found.content for path, found in snapshot(output.root).items() if found.content} == {
            path.lower(): content for path, content in output.library.files().items()
        }


def test_a_share_that_is_slow_gets_the_same_tree(output: Output, tmp_path: Path) -> None:
    output.library.show(catalogue(*films(20)))
    with Share(tmp_path / "share", output.root, "delay=2000"):
        assert output.write().errors == 0
        assert output.difference() == {}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
@pytest.mark.parametrize("share", ["a disk", "a slow share"])
def test_a_run_that_is_told_to_end_finishes_the_file_at_hand_and_accounts_for_it(
    output: Output, tmp_path: Path, number: signal.Signals, code: int, share: str
) -> None:
    output.library.show(catalogue(*films(60)))
    arguments = ("materialize", output.root, "--database", output.library.last_url, "--report-dir", output.reports)
    with contextlib.ExitStack() as stack:
        if share == "a slow share":
            stack.enter_context(Share(tmp_path / "share", output.root, "delay=2000"))
        # After the first file, the next one would come in an hour.
        with subprocess.Popen(
            command(*arguments, "--state-dir", output.library.state_dir, f"--throttle={1 / 3600}"),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            eventually(lambda: any(output.root.glob("Movies/*/*.strm")))
            process.send_signal(number)
            _, said = process.communicate(timeout=TIMEOUT)
        [report] = reports(output.reports)
        there = [path for path, found in snapshot(output.root).items() if found.content is not None]
        rows = [row for row in report_rows(report) if row[5] == "created"]
        assert process.returncode == code
        assert str(report) in said
        assert "Traceback" not in said
        assert len(rows) == len(there) == 1
        assert output.write().errors == 0
        assert output.difference() == {}


def test_a_signal_that_is_ignored_ends_no_run(output: Output) -> None:
    """A shell without job control has what it starts in the background ignore SIGINT."""
    output.library.show(catalogue(*films(30)))
    arguments = ("materialize", output.root, "--database", output.library.last_url, "--report-dir", output.reports)
    run_it = command(*arguments, "--state-dir", output.library.state_dir, "--throttle=20")
    with subprocess.Popen(["sh", "-c", 'trap "" INT; exec "$@"', "sh", *run_it], stdout=subprocess.DEVNULL) as process:
        eventually(lambda: any(output.root.glob("Movies/*/*.strm")))
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 0
    assert output.difference() == {}


@pytest.mark.parametrize("way", ["the same path", "a link", "a bind mount"])
@pytest.mark.parametrize("state", ["state", "another"])
def test_a_second_run_is_told_who_writes_the_root(output: Output, tmp_path: Path, way: str, state: str) -> None:
    output.library.show(catalogue(*films(300)))
    output.root.mkdir()
    other = output.root if way == "the same path" else tmp_path / "other"
    with contextlib.ExitStack() as stack:
        if way == "a link":
            other.symlink_to(output.root)
        elif way == "a bind mount":
            other.mkdir()
            stack.enter_context(mounted("--bind", output.root, other))
        refused: list[str] = []

        def interfere(_: object) -> None:
            second = output.job(state_dir=tmp_path / state, output_root=other)
            with closing(Store(output.library.state_dir)) as store, pytest.raises(OutputError) as error:
                materialize(store, second)
            refused.append(str(error.value))

        with closing(Store(output.library.state_dir)) as store:
            materialize(store, output.job(), on_progress=interfere)
        assert refused
        assert f"process {os.getpid()} on {os.uname().nodename}, since " in refused[0]
    assert output.difference() == {}


def test_failures_do_not_hide_what_the_brake_holds(output: Output, tmp_path: Path) -> None:
    output.library.show(catalogue(*films(60)))
    assert run(output)[0] == 0
    output.library.show(catalogue(*films(60), plot="A plot."))
    nfo = output.root / "Movies" / "Film 1" / "movie.nfo"
    nfo.unlink()
    nfo.mkdir()
    few = f"sqlite:///{tmp_path}/few.db"
    catalogue(*films(10)).write(few)
    arguments = ("materialize", output.root, "--database", few, "--state-dir", output.library.state_dir)
    ended = [
        subprocess.run(command(*arguments, *option), check=False, capture_output=True, text=True)
        for option in ((), ("--json",), ("--quiet",))
    ]
    assert [process.returncode for process in ended] == [6, 6, 6]
    as_json = json.loads(ended[1].stdout)
    assert (as_json["actions"]["failed"], as_json["sync"]["held"], as_json["exit_code"]) == (1, 50, 6)
    for said in (ended[0].stderr, as_json["error"], ended[2].stderr):
        assert "1 file or folder could not be dealt with (in the way);" in said
        assert "50 of 60 movies" in said
        assert "--accept-shrink" in said
    assert "50 of 60 movies" not in ended[0].stdout  # It is said once.
    assert ended[2].stdout == ""


def test_failures_do_not_hide_the_files_that_cleanup_keeps(output: Output) -> None:
    output.library.show(catalogue(*films(60)))
    assert run(output)[0] == 0
    output.library.show(catalogue(*films(10), plot="A plot."), accept_shrink=True)
    nfo = output.root / "Movies" / "Film 1" / "movie.nfo"
    nfo.unlink()
    nfo.mkdir()
    arguments = ("materialize", output.root, "--database", output.library.last_url, "--cleanup", "apply")
    state = ("--state-dir", output.library.state_dir)
    ended = subprocess.run(command(*arguments, *state), check=False, capture_output=True, text=True)
    assert ended.returncode == 6
    assert ended.stderr.count("50 files are stale and were not deleted") == 1
    assert "not deleted" not in ended.stdout  # It is said once.


def test_a_file_system_that_takes_short_names_alone_is_said_with_its_limit(output: Output, tmp_path: Path) -> None:
    output.library.show(catalogue("Heat", "n" * 200, "ю" * 90, "m" * 130))
    with Share(tmp_path / "share", output.root, "longest=143"):
        for _ in range(2):
            arguments = ("materialize", output.root, "--database", output.library.last_url)
            state = ("--state-dir", output.library.state_dir, "--report-dir", output.reports)
            ended = subprocess.run(command(*arguments, *state), check=False, capture_output=True, text=True)
            assert ended.returncode == 6
            assert "2 of them have names of more than 143 bytes" in ended.stderr
            assert "set name_max = 143" in ended.stderr
            rows = report_rows(reports(output.reports)[0])
            assert {reason for *_, action, reason in rows if action == "failed"} == {
                "name refused: more than 143 bytes"
            }
        assert {path.split("/")[1][:1] for path in output.difference() if "/" in path} == {"n", "ю"}
        for _ in range(2):
            done = subprocess.run(
                command(*arguments, *state, "--name-max=143"), check=True, capture_output=True, text=True
            )
            assert "takes 143 bytes" not in done.stderr
            assert output.difference() == {}


def test_a_state_directory_without_room_is_said_with_advice(output: Output, tmp_path: Path) -> None:
    output.library.show(catalogue("Heat"))
    output.write()
    state = tmp_path / "small"
    state.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", state):
        for path in output.library.state_dir.glob("*.db"):
            (state / path.name).write_bytes(path.read_bytes())
        (state / "rest").write_bytes(b"")
        with contextlib.suppress(OSError), (state / "rest").open("wb", buffering=0) as file:
            while True:
                file.write(b"0" * 4096)
        with pytest.raises(OutputError, match="Make room there"), root.hold(output.root, state):
            pass


def test_a_share_on_which_nobody_sets_times_gets_the_library_and_is_left_alone(output: Output, tmp_path: Path) -> None:
    """As one that belongs to another user, who lets everybody write."""
    output.library.show(catalogue("Heat", "Ronin"))
    with Share(tmp_path / "share", output.root, "timeless"):
        assert output.write().errors == 0
        contents = output.library.files()
        assert {path: found.content for path, found in snapshot(output.root).items() if found.content} == contents
        before = snapshot(tmp_path / "share")
        assert output.rows() == output.rows(verify=True, cleanup="apply") == []
        assert snapshot(tmp_path / "share") == before
        output.library.show(catalogue("Heat", plot="A plot."), accept_shrink=True)
        assert output.write(cleanup="apply").errors == 0
        assert {path: found.content for path, found in snapshot(output.root).items() if found.content} == (
            output.library.files()
        )
