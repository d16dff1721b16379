"""Telling people who open a series' folder from programs that open all: by what was recorded of real ones.

`opens/*.csv` hold when which directory of a mount with 300 series was opened: by Debian's find, its rclone 1.60
(`lsf -R`), and its Kodi 20.1, headless: its first scan of the series, its second, and its file view.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

import pytest

from vod2strmfs.library.kinds import folder_inode
from vod2strmfs.mount.people import PEOPLE_OF_HOUR, People

RECORDED = Path(__file__).parent / "opens"
FIRST_SERIES = 17
"""In the recordings the nodes from here on are series; before it comes the film."""


def recorded(name: str) -> list[tuple[float, int]]:
    with (RECORDED / f"{name}.csv").open() as file:
        return [(float(row["seconds"]), int(row["inode"])) for row in csv.DictReader(file)]


def people(opened: Iterable[tuple[float, int]]) -> list[int]:
    """Which series are taken for people's choice, looked at each second."""
    now = [0.0]
    watched = People(lambda: now[0])
    found: list[int] = []
    rest = sorted(opened)
    for second in range(int(rest[-1][0]) + 60):
        while rest and rest[0][0] <= second:
            now[0], inode = rest.pop(0)
            watched.note(inode)
        now[0] = float(second)
        found += watched.chosen(lambda node: node >= FIRST_SERIES)
    return found


def opening(*nodes: int, each: float, start: float = 0.0) -> list[tuple[float, int]]:
    return [(start + each * place, folder_inode(node)) for place, node in enumerate(nodes)]


@pytest.mark.parametrize("name", ["find", "rclone", "kodi-scan", "kodi-rescan"])
def test_a_recorded_scan_is_nobodys_choice(name: str) -> None:
    opened = recorded(name)
    assert len({inode for _, inode in opened}) > 300
    assert people(opened) == []


@pytest.mark.parametrize("name", ["find", "kodi-scan"])
def test_neither_is_one_that_is_slowed_down_thirtyfold(name: str) -> None:
    assert people((seconds * 30, inode) for seconds, inode in recorded(name)) == []


def test_two_series_in_kodis_file_view_are_both_somebodys_choice() -> None:
    opened = recorded("kodi-browse")
    assert [folder_inode(node) for node in people(opened)] == [inode for _, inode in opened[1:]]


def test_opening_one_again_and_again_is_one_choice_at_a_time() -> None:
    assert people(opening(30, 30, 30, each=0.1)) == [30]


def test_three_at_a_time_are_a_persons_and_four_are_not() -> None:
    assert people(opening(30, 40, 50, each=2)) == [30, 40, 50]
    assert people(opening(30, 40, 50, 60, each=1)) == []


def test_a_person_is_heard_a_minute_after_a_scan_and_not_during_one() -> None:
    scan = recorded("kodi-scan")
    assert people([*scan, *opening(100, start=5.0, each=1)]) == []
    assert people([*scan, *opening(100, start=scan[-1][0] + 60, each=1)]) == [100]


def test_a_very_slow_scan_gets_a_few_an_hour() -> None:
    found = people(opening(*range(20, 220), each=30))
    assert len(found) == pytest.approx(200 * 30 / 3600 * PEOPLE_OF_HOUR, rel=0.3)
