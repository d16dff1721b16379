"""When `vod2strmfs run` runs."""

import subprocess
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from mounts import TIMEOUT, command, eventually

from vod2strmfs.demo.generator import write_demo
from vod2strmfs.errors import SettingsError
from vod2strmfs.schedule import next_time, zone
from vod2strmfs.settings import load

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        ("daily 03:30", "2026-11-22 12:00", "2026-11-23 03:30:00+01:00"),
        ("daily 23:05", "2026-11-22 12:00", "2026-11-22 23:05:00+01:00"),
        ("30 3 * * *", "2026-11-22 12:00", "2026-11-23 03:30:00+01:00"),
        ("0 30 3 * * *", "2026-11-22 12:00", "2026-11-23 03:30:00+01:00"),
        ("15 0 4 * * sun", "2026-11-22 12:00", "2026-11-29 04:00:15+01:00"),
        ("*/20 * * * *", "2026-11-22 12:01", "2026-11-22 12:20:00+01:00"),
        # 29 March 2026: 02:00 to 03:00 is skipped. 25 October: it comes twice.
        ("daily 02:30", "2026-03-28 12:00", "2026-03-29 03:00:00+02:00"),
        ("30 30 2 * * *", "2026-03-28 12:00", "2026-03-29 03:00:00+02:00"),
        ("daily 02:30", "2026-03-29 12:00", "2026-03-30 02:30:00+02:00"),
        ("daily 03:30", "2026-03-28 12:00", "2026-03-29 03:30:00+02:00"),
        ("daily 02:30", "2026-10-24 12:00", "2026-10-25 02:30:00+02:00"),
        ("30 30 2 * * *", "2026-10-24 12:00", "2026-10-25 02:30:30+02:00"),
        ("daily 02:30", "2026-10-25 02:30", "2026-10-26 02:30:00+01:00"),
        ("daily 03:30", "2026-10-24 12:00", "2026-10-25 03:30:00+01:00"),
        ("daily 12:00", "2026-03-28 12:00", "2026-03-29 12:00:00+02:00"),
        ("*/30 * * * *", "2026-03-29 01:40", "2026-03-29 03:00:00+02:00"),
        ("0 */30 * * * *", "2026-10-25 02:40", "2026-10-25 02:00:00+01:00"),
    ],
)
def test_the_next_time(schedule: str, after: str, due: str) -> None:
    assert str(next_time(schedule, datetime.fromisoformat(after).replace(tzinfo=BERLIN))) == due


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        # 8 March 2026: 02:00 to 03:00 is skipped. 1 November: 01:00 to 02:00 comes twice.
        ("daily 02:30", "2026-03-07 12:00", "2026-03-08 03:00:00-04:00"),
        ("30 30 2 * * *", "2026-03-07 12:00", "2026-03-08 03:00:00-04:00"),
        ("daily 03:30", "2026-03-07 12:00", "2026-03-08 03:30:00-04:00"),
        ("daily 01:30", "2026-10-31 12:00", "2026-11-01 01:30:00-04:00"),
        ("daily 01:30", "2026-11-01 01:30", "2026-11-02 01:30:00-05:00"),
        ("daily 03:30", "2026-10-31 12:00", "2026-11-01 03:30:00-05:00"),
    ],
)
def test_the_next_time_in_new_york(schedule: str, after: str, due: str) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo("America/New_York"))
    assert str(next_time(schedule, moment)) == due


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("month", [3, 10, 11])
def test_a_daily_run_comes_once_on_each_day(name: str, month: int) -> None:
    place = ZoneInfo(name)
    moment = datetime(2026, month, 1, tzinfo=place)
    for schedule in ("daily 01:30", "daily 02:30", "0 30 2 * * *"):
        found = moment
        for _ in range(28):
            day = found.date()
            found = next_time(schedule, found)
            assert (found.date() - day).days == (1 if found.date().day > 1 else 0)


def test_a_start_within_the_hour_that_comes_twice_brings_no_run_of_the_past() -> None:
    second = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=BERLIN)
    assert str(next_time("daily 02:30", second)) == "2026-10-26 02:30:00+01:00"


def test_the_zone_of_this_host_has_its_daylight_saving_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert str(next_time("daily 03:30", datetime(2026, 10, 24, 12, tzinfo=zone("")))) == "2026-10-25 03:30:00+01:00"
    monkeypatch.setenv("TZ", ":America/New_York")
    assert zone("") == ZoneInfo("America/New_York")
    assert zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    monkeypatch.setenv("TZ", "XYZ3")
    assert datetime.now(zone("")).utcoffset() is not None
    monkeypatch.delenv("TZ")
    assert datetime.now(zone("")).utcoffset() == datetime.now().astimezone().utcoffset()


@pytest.mark.parametrize("schedule", ["daily", "daily 24:00", "daily 3", "* * *", "61 * * * *", "never", "@daily x"])
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(SettingsError, match=r"^--schedule: .*`daily (HH:MM|03:30)`"):
        load(None, {"schedule": schedule}, {})


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(SettingsError, match="--time-zone: is not a time zone"):
        load(None, {"time_zone": "Europe/Nowhere"}, {})


def test_the_service_runs_on_schedule_and_goes_on_after_a_failure(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/demo.db"
    arguments = (tmp_path / "output", "--database", url, "--state-dir", tmp_path / "state", "--schedule", "* * * * * *")
    log = tmp_path / "log"
    with log.open("wb") as output:
        service = subprocess.Popen(command("run", *arguments), stdout=output, stderr=output)
    try:
        eventually(lambda: "no SQLite file" in log.read_text())
        write_demo(url, movies=5, series=1, episodes=2, seed=1)
        eventually(lambda: len(list(tmp_path.glob("state/reports/report_all_*.csv"))) >= 2)
        assert list(tmp_path.glob("output/Movies/*/*.strm"))
    finally:
        service.terminate()
        service.wait(TIMEOUT)
