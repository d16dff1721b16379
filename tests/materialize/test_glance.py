"""Runs with little to do: what somebody changed is seen from outside, wherever it is, and nothing else is touched."""

import random
import shutil
from pathlib import Path

import pytest
from libraries import Library
from outputs import Output, report_rows, snapshot

from vod2strmfs.demo.generator import write_demo
from vod2strmfs.settings import LibrarySettings


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """Some 80 folders, written; the categories' were made after those that moved into them."""
    url = f"sqlite:///{tmp_path}/demo.db"
    write_demo(url, movies=40, series=6, episodes=60, seed=5)
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.sync(url)
    output.write()
    output.library.sync(url, LibrarySettings(group_by="category_tv"))
    output.write(cleanup="apply")
    assert output.difference() == {}
    return output


@pytest.mark.parametrize("seed", range(5))
def test_only_folders_that_changed_are_worked_on(output: Output, seed: int) -> None:
    chance = random.Random(seed)
    folders = output.write().folders
    before = snapshot(output.root)
    paths = chance.sample(sorted(path for path, found in before.items() if found.content is not None), 4)
    for path in paths:
        (output.root / path).unlink()
    outcome = output.write()
    after = snapshot(output.root)
    rows = report_rows(outcome.report)
    assert output.difference() == {}
    assert outcome.folders == folders
    assert {path for path in before if before[path].inode != after[path].inode} <= set(paths)
    assert sum(row[5:] == ("created", "missing") for row in rows) == len(paths)
    touched = {Path(path).parts[2] for path in paths if path.startswith("TV/")}
    series = {path.name for path in output.root.glob("TV/*/*")}
    assert {row[1] for row in rows if row[6] == "matches"} == series - touched


def test_a_folder_in_the_place_of_ours_is_filled_again(output: Output) -> None:
    season = next(output.root.glob("TV/*/*/Season *"))
    shutil.rmtree(season)
    season.mkdir()
    output.write()
    # Somebody else changed the series' folder, and we did not: it keeps their time.
    assert output.difference().keys() == {str(season.parent.relative_to(output.root))}


def test_a_file_in_the_place_of_a_folder_is_a_row_until_it_goes(output: Output) -> None:
    movie = next(output.root.glob("Movies/*/*"))
    shutil.rmtree(movie)
    movie.write_text("mine")
    for _ in range(2):
        assert output.actions() == [(movie.name, "failed", "in the way")]
    movie.unlink()
    output.write()
    assert output.difference() == {}


def test_a_section_is_glanced_at_without_the_other(output: Output) -> None:
    shutil.rmtree(next(output.root.glob("Movies/*/*")))
    folders = output.write(mode="series").folders
    assert folders + output.write(mode="movies").folders == output.write().folders
    assert output.difference() == {}
