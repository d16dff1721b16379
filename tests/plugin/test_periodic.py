"""Runs of the plugin that nobody asked for: by a schedule, and after the catalogue has changed."""

import fcntl
import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from typing import Any

import psycopg
import pytest
from dispatcharr_loader import KEY, PYTHON, Dispatcharr, wait_for
from plugin_runs import Installed

from vod2strmfs.dispatcharr_plugin import work
from vod2strmfs.dispatcharr_plugin.periodic import _tend, for_beat
from vod2strmfs.dispatcharr_plugin.places import Places, read, write
from vod2strmfs.dispatcharr_plugin.runs import current, is_locked
from vod2strmfs.dispatcharr_plugin.work import is_enabled

_TASKS = """
    SELECT task.name, task.task, task.queue, task.enabled, task.kwargs,
        concat_ws(' ', at.minute, at.hour, at.day_of_month, at.month_of_year, at.day_of_week), at.timezone
    FROM django_celery_beat_periodictask task JOIN django_celery_beat_crontabschedule at ON at.id = task.crontab_id
"""


def _tasks(dispatcharr: Dispatcharr) -> list[tuple[Any, ...]]:
    with psycopg.connect(dispatcharr.database) as session:
        return session.execute(_TASKS).fetchall()


def _keep(plugin: Installed) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads((plugin.data / "keep.json").read_text())
    except FileNotFoundError:
        return {}
    return said


def _has_keeper(plugin: Installed) -> bool:
    return is_locked(plugin.data / "keep.lock")


@pytest.mark.parametrize(
    ("schedule", "crontab"),
    [
        ("daily 03:30", "30 3 * * *"),
        ("Daily 3:05", "5 3 * * *"),
        ("0 30 3 * * *", "30 3 * * *"),
        ("*/15 * * * *", "*/15 * * * *"),
        ("0 4 1,15 * *", "0 4 1,15 * *"),
        ("0 4 * * 1-5", "0 4 * * 1-5"),
        ("", ""),
        ("0 4 1 * 1", ""),  # cron: the 1st and every Monday; beat: a Monday that is a 1st
        ("0 4 * * 7", ""),  # beat has no 7
        ("0 4 L * *", ""),
        ("0 4 * * mon", ""),
        ("*/10 * * * * *", ""),  # every ten seconds
    ],
)
def test_beat_gets_what_it_understands_as_we_do(schedule: str, crontab: str) -> None:
    assert for_beat(schedule) == crontab


def test_dispatcharrs_scheduler_keeps_the_schedule_as_it_is_set_and_changed(
    filled_with_redis: Dispatcharr, plugin_zip: Path
) -> None:
    with psycopg.connect(filled_with_redis.database) as session:
        session.execute(
            "INSERT INTO core_coresettings (key, name, value) VALUES ('system_settings', 'System Settings', %s)",
            (json.dumps({"time_zone": "Europe/Berlin"}),),
        )
    plugin = Installed(filled_with_redis, plugin_zip)
    filled_with_redis.celery("dvr")
    plugin.type(schedule="daily 03:30")
    wait_for(lambda: _tasks(filled_with_redis))
    ((name, task, queue, enabled, kwargs, crontab, zone),) = wait_for(
        lambda: [each for each in _tasks(filled_with_redis) if each[2]]
    )
    assert (name, queue, enabled) == ("vod2strm-schedule", "dvr", True)
    assert json.loads(kwargs) == {"folder": str(plugin.folder)}
    assert (crontab, zone) == ("30 3 * * *", "Europe/Berlin")
    wait_for(lambda: "scheduler runs Generate All at 30 3 * * * (Europe/Berlin)" in plugin.status())
    assert not _has_keeper(plugin)
    plugin.type(schedule="0 15 4 * * *")
    wait_for(lambda: [each[5] for each in _tasks(filled_with_redis)] == ["15 4 * * *"])
    plugin.type(schedule="")
    wait_for(lambda: not _tasks(filled_with_redis))
    plugin.type(schedule="daily 05:00")
    wait_for(lambda: _tasks(filled_with_redis))
    plugin.worker.call("set_enabled", KEY, False)
    wait_for(lambda: not _tasks(filled_with_redis))
    plugin.worker.call("set_enabled", KEY, True)
    wait_for(lambda: [each[5] for each in _tasks(filled_with_redis)] == ["0 5 * * *"])
    # The task runs what the schedule is for, and asks first whether it is wanted.
    _send(filled_with_redis, task, json.loads(kwargs))
    assert plugin.wait("ended")["where"].startswith("the Celery worker dvr@")
    assert len(plugin.files()) > 6
    with psycopg.connect(filled_with_redis.database) as session:
        session.execute("UPDATE plugins_pluginconfig SET enabled = false")
    ended = plugin.said()["id"]
    _send(filled_with_redis, task, json.loads(kwargs))
    wait_for(lambda: not _tasks(filled_with_redis))
    assert plugin.said()["id"] == ended


def _send(dispatcharr: Dispatcharr, task: str, arguments: dict[str, Any]) -> None:
    """Send a task to the queue `dvr`, as beat does."""
    code = (
        "import dispatcharr, json, sys\n"
        "dispatcharr.celery_app.send_task(sys.argv[1], kwargs=json.loads(sys.argv[2]), queue='dvr')"
    )
    command = [str(PYTHON), "-c", code, task, json.dumps(arguments)]
    subprocess.run(command, env=dispatcharr.environment, check=True)


def test_where_there_is_no_scheduler_a_process_keeps_the_schedule(plugin: Installed) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=4)
    # Of each minute: where the process takes longer than that to start, it is the next one's.
    plugin.type(schedule=f"{soon.second} * * * * *")
    wait_for(lambda: _has_keeper(plugin))
    assert "A process of the plugin runs Generate All at" in plugin.status()
    said = plugin.wait("ended")
    assert said["where"] == "the plugin's keeper"
    assert said.get("error") is None
    assert len(plugin.files()) > 6
    plugin.type(schedule="")
    wait_for(lambda: not _has_keeper(plugin))


def test_one_process_keeps_it_for_all_and_goes_on_after_the_worker_that_started_it(plugin: Installed) -> None:
    plugin.type(schedule="daily 03:30")
    wait_for(lambda: _has_keeper(plugin))
    first, plugin.worker = plugin.worker, plugin.dispatcharr.worker()
    first.kill()
    time.sleep(1.5)
    assert _has_keeper(plugin)


def test_runs_when_the_catalogue_has_changed_and_come_to_rest(
    filled: Dispatcharr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper in this process, which waits for less long."""
    settings_of = work.settings_of
    monkeypatch.setattr(work, "_SETTLE_SECONDS", 1.0)
    monkeypatch.setattr(
        work, "settings_of", lambda *asked: settings_of(*asked).model_copy(update={"poll_interval": 0.3})
    )
    for name, value in filled.environment.items():
        if name.startswith("POSTGRES_"):
            monkeypatch.setenv(name, value)
    places = Places(filled.folder)
    shutil.copytree(Path(work.__file__).parent, places.folder)
    places.prepare()
    root = filled.data / "STRM"
    write(places.keep, {"settings": {"auto": True, "output_root": str(root), "base_url": "http://192.168.1.10:9191"}})
    with ThreadPoolExecutor() as pool, (places.data / "keep.lock").open("w") as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)  # Somebody just looks whether there is a keeper.
        Timer(0.1, looked_at.close).start()
        keeper = pool.submit(work.keep, places)
        try:
            first = wait_for(lambda: (said := read(places.run)).get("state") == "ended" and said)
            assert first.get("error") is None  # what changed before is not known
            with psycopg.connect(filled.database) as session:
                session.execute("UPDATE vod_movie SET name = 'Another name' WHERE id = 1")
            wait_for(lambda: list(root.glob("Movies/Another name*/*.strm")))
            wait_for(lambda: read(places.run)["state"] == "ended")
            assert read(places.run)["id"] != first["id"]
            time.sleep(2)
            assert read(places.run)["state"] == "ended"  # nothing has changed since
        finally:
            write(places.keep, {"settings": None})
            keeper.result(120)


@pytest.mark.parametrize("how", ["disable", "delete"])
def test_the_process_ends_with_the_plugin(plugin: Installed, how: str) -> None:
    plugin.type(schedule="daily 03:30")
    wait_for(lambda: _has_keeper(plugin))
    if how == "disable":
        plugin.worker.call("set_enabled", KEY, False)
    else:
        plugin.worker.call("delete", KEY)
    wait_for(lambda: not _has_keeper(plugin))


def test_the_process_knows_whether_the_plugin_is_enabled(plugin: Installed) -> None:
    places, database = Places(plugin.folder), plugin.dispatcharr.database
    assert is_enabled(places, database)
    with psycopg.connect(database) as session:
        session.execute("UPDATE plugins_pluginconfig SET enabled = false")
    assert not is_enabled(places, database)
    with psycopg.connect(database) as session:
        session.execute("DELETE FROM plugins_pluginconfig")
    assert not is_enabled(places, database)
    with psycopg.connect(database) as session:
        session.execute("DROP TABLE plugins_pluginconfig")
    assert is_enabled(places, database)  # nobody knows


def test_what_was_asked_for_by_a_clock_that_was_set_back_since_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "plugin").mkdir()
    places = Places(tmp_path / "plugin")
    places.prepare()
    write(places.keep, {"asked": time.time() + 365 * 86400, "settings": {"schedule": "daily 03:30"}})
    _tend(places, {"schedule": ""}, time.time())
    assert read(places.keep)["settings"] == {"schedule": ""}
    # What is done in another order than it was asked for in is not.
    _tend(places, {"schedule": "", "auto": "false"}, time.time() - 60)
    assert read(places.keep)["settings"] == {"schedule": ""}
    write(places.run, {"id": "1", "state": "claimed", "claimed": time.time() + 365 * 86400})
    assert current(places)["state"] == "lost"


def test_a_schedule_that_is_wrong_is_shown_and_waits_for_another(plugin: Installed) -> None:
    plugin.type(schedule="hourly")
    wait_for(lambda: "Nothing is scheduled: Schedule: " in plugin.status())
    plugin.type(schedule="daily 03:30")
    wait_for(lambda: _keep(plugin).get("schedule") == "daily 03:30")
    wait_for(lambda: _has_keeper(plugin))
