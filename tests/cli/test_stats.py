"""Statistics: what is in the database, why it is not in the library, and what is in an output root."""

import csv
import json
import os
import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from databases import Database
from libraries import Library
from mounts import command
from outputs import Output
from terminals import on_terminal

from vod2strmfs.catalog.open import open_source
from vod2strmfs.demo.catalogue import Catalogue
from vod2strmfs.errors import OutputError
from vod2strmfs.materialize.output_stats import METRICS, output_stats
from vod2strmfs.materialize.root import locate
from vod2strmfs.settings import LibrarySettings

DOCS = Path(__file__).parents[2] / "docs"


def unequal() -> Catalogue:
    """Titles that are in the library, and ones that are not for each reason there is."""
    catalogue = Catalogue()
    active, other, idle = (
        catalogue.account("Active"), catalogue.account("Other"), catalogue.account("Idle", active=False)
    )  # fmt: skip
    films = catalogue.category("Films", "movie")
    shows = catalogue.category("Shows", "series")
    for category in (films, shows):
        catalogue.enable(active, category, False)
        catalogue.enable(other, category)
    for kind, category in ((catalogue.movie, films), (catalogue.series, shows)):
        kind("Open", relations=[active], tmdb_id="949")
        kind("Also open", relations=[idle, active])
        kind("Open elsewhere", relations=[other], category=category)
        kind("Nobody's", relations=[])
        kind("Idle", relations=[idle])
        kind("Idle and disabled", relations=[idle], category=category)
        kind("Disabled", relations=[active], category=category)
    closed = catalogue.series("Closed", relations=[active], category=shows)
    shown = catalogue.series("Shown", relations=[active])
    catalogue.episode(shown, 1, 1, "Pilot", relations=[active])
    catalogue.episode(shown, 1, 2, "Pilot", relations=[])
    catalogue.episode(shown, 1, 3, "Pilot", relations=[idle])
    catalogue.episode(closed, 1, 1, "Pilot", relations=[active])
    return catalogue


def test_titles_that_are_not_eligible_are_counted_by_reason(database: Database) -> None:
    with closing(open_source(database.fill(unequal()).url)) as source, source.snapshot() as snapshot:
        counts = snapshot.counts()
    assert counts == {
        "movies": 7, "movies_eligible": 3, "movies_without_relation": 1, "movies_of_inactive_accounts": 2,
        "movies_of_disabled_categories": 1,
        "series": 9, "series_eligible": 4, "series_without_relation": 1, "series_of_inactive_accounts": 2,
        "series_of_disabled_categories": 2,
        "episodes": 4, "episodes_eligible": 1, "episodes_without_relation": 1, "episodes_of_inactive_accounts": 1,
        "episodes_of_ineligible_series": 1,
        "accounts": 3, "accounts_active": 2,
    }  # fmt: skip


def test_what_is_counted_as_eligible_is_what_is_read(database: Database) -> None:
    with closing(open_source(database.fill(unequal()).url)) as source, source.snapshot() as snapshot:
        counts = snapshot.counts()
        assert counts["movies_eligible"] == len(list(snapshot.rows("movie")))
        assert counts["series_eligible"] == len(list(snapshot.rows("series")))
        assert counts["episodes_eligible"] == len(list(snapshot.rows("episode")))


def test_the_database_is_counted_anew_without_a_new_generation(database: Database, tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.sync(database.fill(unequal()).url)
    database.execute(
        "DELETE FROM vod_m3umovierelation WHERE movie_id IN (SELECT id FROM vod_movie WHERE name = 'Idle')"
    )
    assert not library.sync(database.url).changed
    metrics = library.metrics()
    assert (metrics["database.movies_without_relation"], metrics["index.generation"]) == ("2", "1")


def test_the_document_lists_every_metric(tmp_path: Path) -> None:
    library = Library(tmp_path)
    recent = {"name": "Recent", "years": "1990-"}
    library.show(unequal(), LibrarySettings.model_validate({"ids": ("!tmdb-949",), "shelf": [recent]}))
    page = (DOCS / "commands.md").read_text().partition("## .stats.csv")[2]
    listed = {
        (scope, metric.strip())
        for scope, metrics in re.findall(r"^\| (\w+) \| ([^|]+) \|", page, re.MULTILINE)
        for metric in metrics.split(",")
    }
    known = {
        (scope, re.sub(r"^(filtered_by|titles_on_shelf)_.*", r"\1_…", name))
        for scope, name in (key.split(".") for key in library.metrics())
    }
    known.add(("index", "episodes_filtered_by_…"))  # no episode is kept out by itself here
    assert known | {("output", metric) for metric in METRICS} == listed - {("scope", "metric")}


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """A library of two movies and a series, written."""
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    catalogue.movie("Ran", year=1985)
    series = catalogue.series("Lost", year=2004)
    for season, number in ((1, 1), (1, 2), (2, 1)):
        catalogue.episode(series, season, number, f"Part {number}")
    library = Library(tmp_path)
    library.show(catalogue)
    output = Output(library, tmp_path / "output")
    output.write()
    return output


def counted(output: Output) -> dict[str, int]:
    """What is not 0."""
    counts = output_stats(output.root, output.library.state_dir)
    assert counts is not None
    assert tuple(counts) == METRICS
    return {metric: number for metric, number in counts.items() if number}


WHOLE = {
    "movies": 2, "series": 1, "seasons": 2, "episodes": 3, "directories": 7, "strm_files": 5, "nfo_files": 11,
}  # fmt: skip


def test_an_output_root_is_counted_like_the_library(output: Output) -> None:
    assert counted(output) == WHOLE
    metrics = output.library.metrics()
    for metric in ("movies", "series", "seasons", "episodes"):
        assert metrics[f"index.{metric}"] == str(WHOLE[metric])
    for metric in ("directories", "strm_files", "nfo_files"):
        assert metrics[f"filesystem.{metric}"] == str(WHOLE[metric])


def test_what_is_missing_or_not_ours_is_told_from_the_rest(output: Output, tmp_path: Path) -> None:
    (outside := tmp_path / "outside").mkdir()
    for number in range(9):
        (outside / f"{number}.strm").touch()
    heat = output.root / "Movies/Heat (1995)"
    (heat / "movie.nfo").write_text("mine")
    output.write(verify=True)  # which sees that it was edited
    shutil.rmtree(output.root / "TV/Lost (2004)/Season 02")
    (output.root / "Movies/Ran (1985)/Ran (1985).strm").unlink()
    (heat / "poster.jpg").touch()
    descriptor = os.open(heat, os.O_RDONLY)
    os.close(locate(output.root, output.library.state_dir).temporaries().create(descriptor)[0])
    os.close(descriptor)
    (heat / "link").symlink_to(outside)
    (output.root / "Movies/more").symlink_to(outside)
    (output.root / "Photos/2001").mkdir(parents=True)
    (output.root / "Photos/2001/a.jpg").touch()
    (output.root / b"Movies/\xff".decode(errors="surrogateescape")).mkdir()
    lost = {"Season 02": 4, "Ran": 1, "edited": 1}
    assert counted(output) == {
        "movies": 1, "series": 1, "seasons": 1, "episodes": 2, "directories": 6, "strm_files": 3,
        "nfo_files": WHOLE["nfo_files"] - 3 - 1, "missing_files": sum(lost.values()), "foreign_files": 5,
    }  # fmt: skip


def test_a_users_file_may_be_larger_than_memory(output: Output) -> None:
    nfo = output.root / "Movies/Heat (1995)/movie.nfo"
    os.truncate(nfo, 1 << 40)
    output.write(verify=True)  # which sees that it was edited
    assert counted(output)["foreign_files"] == 1


def test_what_left_the_library_is_stale(output: Output) -> None:
    catalogue = Catalogue()
    catalogue.movie("Heat", year=1995)
    output.library.show(catalogue, accept_shrink=True)
    output.write()
    assert counted(output) == {
        "movies": 1, "directories": 3, "strm_files": 1, "nfo_files": 1, "stale_files": 14,
    }  # fmt: skip


def test_a_root_that_is_not_ours_or_not_there_is_not_counted(output: Output, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert output_stats(tmp_path / "other", output.library.state_dir) is None
    shutil.rmtree(output.root)
    with pytest.raises(OutputError, match="Is the share mounted"):
        output_stats(output.root, output.library.state_dir)


def test_counting_changes_nothing_and_needs_no_run_to_end(output: Output) -> None:
    before = {path: path.read_bytes() for path in output.library.state_dir.glob("output-*.db")}
    assert counted(output) == WHOLE
    assert before == {path: path.read_bytes() for path in before}


def stats(output: Output, *arguments: str | Path) -> str:
    whole = command("stats", f"--state-dir={output.library.state_dir}", *arguments)
    environment = {**os.environ, "VOD2STRMFS_OUTPUT_ROOT": ""}
    return subprocess.run(whole, capture_output=True, text=True, check=True, env=environment).stdout


def test_the_command_shows_three_sides(output: Output) -> None:
    [header, *rows] = csv.reader(stats(output, output.root).splitlines())
    assert header == ["scope", "metric", "value"]
    for scope in ("database", "index", "output"):
        assert [scope, "movies", "2"] in rows
    [line] = stats(output, output.root, "--json").splitlines()
    scopes = json.loads(line)
    assert list(scopes) == ["database", "index", "filesystem", "output"]
    assert scopes["output"]["episodes"] == scopes["index"]["episodes"] == scopes["database"]["episodes"] == 3
    assert "output," not in stats(output)


@pytest.mark.parametrize("columns", [30, 60, 100])
def test_on_a_terminal_they_stand_side_by_side(output: Output, columns: int) -> None:
    code, text = on_terminal("stats", output.root, f"--state-dir={output.library.state_dir}", columns=columns)
    assert code == 0
    lines = re.sub(r"\x1b\[[\d;]*m|\r", "", text).splitlines()
    assert max(map(len, lines)) <= columns
    assert ("…" in "".join(lines)) == (columns == 30)  # Else names go over several lines, and no number is cut.
    if columns == 100:
        assert ["movies", "2", "2", "2"] in [line.split() for line in lines]
        rows = {line[:36].strip() for line in lines}
        assert {"movies of disabled categories", "episodes of ineligible series", "unreadable directories"} <= rows
        assert any(re.fullmatch(r" *made +20\d\d-\d\d-\d\d \d\d:\d\d *", line) for line in lines)


def test_an_output_root_that_was_asked_for_and_is_not_ours_is_an_error(output: Output, tmp_path: Path) -> None:
    whole = command("stats", f"--state-dir={output.library.state_dir}", tmp_path)
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (6, "")
    assert "nothing was written there" in done.stderr
