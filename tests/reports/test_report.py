"""Reports: their form, how many are kept, and the command that shows them."""

import csv
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from disks import small_disk
from hypothesis import given
from hypothesis import strategies as st
from libraries import Library
from mounts import TIMEOUT, command, eventually
from outputs import Output
from rich.cells import cell_len
from terminals import on_terminal

from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import OutputError
from vod2strmfs.reports.files import prune, read, reports
from vod2strmfs.reports.rows import Action, Reason, ReportRow, Type, inert, original
from vod2strmfs.reports.writer import Report

DOCS = Path(__file__).parents[2] / "docs"

_WRITER = """
import sys
from pathlib import Path
from vod2strmfs.reports.rows import Action, Reason, ReportRow, Type
from vod2strmfs.reports.writer import Report
with Report(Path(sys.argv[1]), "all") as report:
    for line in sys.stdin:
        report.add(ReportRow(Type.MOVIE, "", "", line.strip(), "", Action.CREATED, Reason.NEW))
        report.flush()
"""


def row(title: str, action: Action = Action.CREATED, reason: str = Reason.NEW, series: str = "") -> ReportRow:
    return ReportRow(Type.MOVIE, series, "", title, "", action, reason)


def write(directory: Path, *rows: ReportRow) -> Path:
    with Report(directory, "all") as report:
        report.add(*rows)
    return report.path


def shown(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """What `report` writes into a pipe."""
    whole = command("report", *arguments)
    return subprocess.run(whole, capture_output=True, text=True, check=False, timeout=TIMEOUT)


def table_of(page: str, heading: str) -> str:
    """The part of a document that describes a column."""
    return page.partition(heading)[2].partition("\n\n")[0]


def test_the_document_lists_every_type_action_and_reason_and_no_other() -> None:
    page = (DOCS / "commands.md").read_text()
    for heading, words in (("| type |", Type), ("| action |", Action), ("| reason |", Reason)):
        cells = [line.split("|")[1] for line in table_of(page, heading).splitlines()[2:]]
        found = [word for cell in cells for word in re.findall("`([^`]+)`", cell)]
        assert sorted(found) == sorted(words), heading


def test_a_report_has_the_columns_and_the_name_of_the_specification(tmp_path: Path) -> None:
    path = write(tmp_path, row("Heat"))
    assert re.fullmatch(r"report_all_\d{8}_\d{6}\.csv", path.name)
    assert path.read_text() == "type,series_name,season,title,uuid,action,reason\nmovie,,,Heat,,created,new\n"


def test_runs_within_a_second_do_not_overwrite_each_others_reports(tmp_path: Path) -> None:
    paths = [write(tmp_path, row(f"Film {number}")) for number in range(20)]
    assert [next(read(path)).title for path in reports(tmp_path)] == [f"Film {n}" for n in reversed(range(20))]
    assert len(set(paths)) == 20


@pytest.mark.parametrize("title", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", '=HYPERLINK("http://x")', "＝1"])
def test_a_title_is_no_formula(tmp_path: Path, title: str) -> None:
    path = write(tmp_path, row(title), row(f"'{title}"), row("'Til Dawn"))
    with path.open(newline="", encoding="utf-8") as file:
        titles = [cells[3] for cells in csv.reader(file)][1:]
    assert titles == [f"'{title}", f"''{title}", "'Til Dawn"]
    assert [found.title for found in read(path)] == [title, f"'{title}", "'Til Dawn"]


@given(st.text(alphabet="'=+-@\t\rx＝", max_size=6) | st.text(max_size=20))
def test_what_is_done_to_cells_can_be_undone_and_leaves_no_formula(cell: str) -> None:
    assert original(inert(cell)) == cell
    assert inert(cell)[:1] not in {*"=+-@\t\r\n＝＋－＠"}


def test_reports_are_pruned_by_number_and_by_age(tmp_path: Path) -> None:
    def name(days: float) -> str:
        return f"report_movies_{time.strftime('%Y%m%d_%H%M%S', time.localtime(time.time() - days * 86400))}.csv"

    others = ["report_all_20200101_000000.csv.bak", "mine.csv"]
    for found in (*others, name(0.1), name(1), name(2), name(10)):
        (tmp_path / found).touch()
    prune(tmp_path, keep=10, days=5)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, name(0.1), name(1), name(2)])
    prune(tmp_path, keep=2, days=5)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, name(0.1), name(1)])


def test_a_report_that_is_being_written_is_not_pruned(tmp_path: Path) -> None:
    with Report(tmp_path, "all") as first:
        newer = write(tmp_path, row("Heat"))
        prune(tmp_path, keep=1, days=90)
        assert reports(tmp_path) == [newer, first.path]
    prune(tmp_path, keep=1, days=90)
    assert reports(tmp_path) == [newer]


def test_old_reports_go_with_each_run(tmp_path: Path) -> None:
    library = Library(tmp_path)
    catalogue = Catalogue()
    catalogue.movie("Heat")
    library.show(catalogue)
    output = Output(library, tmp_path / "output")
    written = [output.write(keep_reports=2, mode=mode).report for mode in ("all", "movies", "all", "series", "all")]
    assert reports(output.reports) == [written[4], written[3]]
    assert len(list(output.reports.iterdir())) == 2


def test_the_last_report_is_shown_with_a_summary(tmp_path: Path) -> None:
    write(tmp_path, row("Old"))
    path = write(
        tmp_path, row("Heat"), row("=Ran", series="Lost"), row("Alien", Action.FAILED, Reason.DISK_FULL),
        row("", Action.SKIPPED, Reason.MATCHES, "Dark"), row("Up", Action.NOTED, Reason.COLLISION.about("Up (2009)")),
    )  # fmt: skip
    done = shown("--report-dir", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == str(path)
    summary = [line.split(maxsplit=2) for line in lines[2:6]]
    assert summary == [
        ["2", "created", "new"], ["1", "failed", "disk full"], ["1", "noted", "collision"], ["1", "skipped", "matches"],
    ]  # fmt: skip
    assert "--all" in lines[7]
    failed, heat = "failed\tmovie\tAlien\tdisk full", "created\tmovie\tHeat\tnew"
    ran = "created\tmovie\tLost/=Ran\tnew"
    assert lines[9:] == ["action\ttype\tfile\treason", failed, heat, ran]
    everything = shown(path, "--all").stdout.splitlines()
    dark, up = "skipped\tmovie\tDark\tmatches", "noted\tmovie\tUp\tcollision: Up (2009)"
    assert everything[-5:] == [failed, dark, heat, ran, up]


def test_what_failed_or_went_comes_first_and_the_rest_by_the_alphabet(tmp_path: Path) -> None:
    path = write(
        tmp_path, row("b"), row("Zorro", Action.KEPT, Reason.NOT_OURS), row("A"), row("é", Action.UPDATED),
        row("Zulu/movie.nfo", Action.DELETED), row("Aliens/movie.nfo", Action.DELETED), row("Z", Action.FAILED),
        row("Up", Action.WOULD_DELETE), row("C", series="Lost"), row("a"),
    )  # fmt: skip
    lines = [line.split("\t") for line in shown(path).stdout.splitlines() if "\t" in line]
    assert [(line[0], line[2]) for line in lines] == [
        ("action", "file"), ("failed", "Z"), ("deleted", "Aliens/movie.nfo"), ("deleted", "Zulu/movie.nfo"),
        ("would_delete", "Up"), ("kept", "Zorro"), ("created", "A"), ("created", "a"), ("created", "b"),
        ("created", "Lost/C"), ("updated", "é"),
    ]  # fmt: skip


def test_a_report_that_finds_no_room_to_be_sorted_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, *(row(f"Film {number} {'x' * 200}") for number in range(20_000)))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", small], check=True)
    try:
        monkeypatch.setenv("SQLITE_TMPDIR", str(small))
        done = shown(path)
    finally:
        subprocess.run(["umount", small], check=True)
    assert done.returncode == 6
    assert len(done.stderr.splitlines()) == 1
    assert "TMPDIR" in done.stderr


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_bytes(b"a,b\n\xff\x00\n")
    for argument, words in (
        (tmp_path / "notes.csv", "is not a report"),
        (tmp_path / "none.csv", "No such file"),
        (tmp_path, "Is a directory"),
        (f"--report-dir={tmp_path}", "holds no report yet"),
    ):
        done = shown(argument)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (6, "", 1)
        assert words in done.stderr


def test_a_disk_without_room_for_the_report_is_said(tmp_path: Path) -> None:
    said = r"No space left on device\. Make room there, or give another directory with --report-dir\."
    with small_disk(tmp_path / "disk", "64k") as disk, pytest.raises(OutputError, match=said):
        write(disk, *(row(f"Film {number}") for number in range(10_000)))


def test_the_report_of_a_killed_run_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write(tmp_path, row("Heat"), row("Amélie"))
    path.write_bytes(path.read_bytes().partition("é".encode())[0] + b"\xc3")
    assert [found.title for found in read(path)] == ["Heat", "Am�"]
    assert [found.title for found in read(path, follow=True)] == ["Heat", "Am�"]


@pytest.mark.parametrize("columns", [20, 40, 80, 160])
def test_on_a_terminal_each_row_is_one_line_of_its_width(tmp_path: Path, columns: int) -> None:
    path = write(tmp_path, row("映画" * 60), row("A" * 200, Action.FAILED, "name refused"), row("\x1b[2J\x07"))
    code, text = on_terminal("report", path, columns=columns)
    assert code == 0
    lines = [line for line in re.sub(r"\x1b\[\d*m|\r", "", text).splitlines() if line][-4:]
    assert [line.split()[:2] for line in lines] == [
        ["action", "type"], ["failed", "movie"], ["created", "movie"], ["created", "movie"],
    ]  # fmt: skip
    assert max(map(cell_len, lines)) <= max(columns, 40)
    assert ("name refused" in lines[1]) == (columns >= 60)
    assert "\x1b[2J" not in text


def test_on_a_narrow_terminal_episodes_of_a_long_series_are_told_apart(tmp_path: Path) -> None:
    series = "The Very Long and Winding Story of a Lighthouse by the Sea (1987)"
    path = write(tmp_path, *(row(f"S01E0{number} – The Storm", series=series) for number in (1, 2)))
    _, text = on_terminal("report", path, columns=60)
    for number in (1, 2):
        assert re.search(rf"The Ve[^/]*…/S01E0{number}", text), text


def test_many_rows_are_shown_without_holding_them(tmp_path: Path) -> None:
    with Report(tmp_path, "all") as report:
        for number in range(200_000):
            report.add(row(f"Film {number}"))
    script = (
        "import resource, sys; from vod2strmfs.cli.start import main; import atexit;"
        "atexit.register(lambda: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)); main()"
    )
    few, many = (
        subprocess.run([sys.executable, "-c", script, "report", path], capture_output=True, text=True, check=True)
        for path in (write(tmp_path / "few", row("Heat")), report.path)
    )
    assert "200,000  created" in many.stdout
    assert many.stdout.count("\n") == few.stdout.count("\n") + 199_999
    assert int(many.stderr) < int(few.stderr) + 20_000  # kB


def test_who_goes_away_early_gets_no_complaint(tmp_path: Path) -> None:
    path = write(tmp_path, *(row(f"Film {number}") for number in range(20_000)))
    reader = subprocess.Popen(command("report", path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert reader.stdout is not None
    assert reader.stderr is not None
    with reader.stdout, reader.stderr:
        reader.stdout.readline()
        reader.stdout.close()
        assert reader.stderr.read() == b""
    reader.wait(TIMEOUT)


@pytest.mark.parametrize("end", ["done", "killed"])
def test_a_run_in_progress_is_followed_until_it_ends(tmp_path: Path, end: str) -> None:
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, tmp_path], stdin=subprocess.PIPE, text=True)
    assert writer.stdin is not None
    eventually(lambda: len(reports(tmp_path)) == 1)
    seen = tmp_path / "seen"
    with seen.open("w") as out:
        follower = subprocess.Popen(command("report", "--follow", "--report-dir", tmp_path), stdout=out)
    for title in ("Heat", "Ran"):
        writer.stdin.write(f"{title}\n")
        writer.stdin.flush()
        eventually(lambda title=title: f"created\tmovie\t{title}\tnew\n" in seen.read_text())  # type: ignore[misc]
        assert follower.poll() is None
    if end == "done":
        writer.stdin.close()
    else:
        writer.kill()
    writer.wait(TIMEOUT)
    assert follower.wait(TIMEOUT) == 0
    assert re.search(r" 2  created +new\n$", seen.read_text())
    writer.stdin.close()


def test_to_follow_a_run_that_has_ended_is_to_read_its_report(tmp_path: Path) -> None:
    done = shown(write(tmp_path, row("Heat"), row("Dark", Action.SKIPPED, Reason.MATCHES)), "--follow")
    assert done.stdout.splitlines()[2] == "action\ttype\tfile\treason"
    assert done.stdout.splitlines()[3] == "created\tmovie\tHeat\tnew"
    assert "Dark" not in done.stdout
