"""The plugin's buttons, pressed in a Dispatcharr."""

import csv
import os
import re
import socket
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from dispatcharr_loader import KEY, Dispatcharr, PluginFailed, wait_for
from plugin_runs import BASE_URL, MANY, Installed

from vod2strmfs.dispatcharr_plugin.launch import is_here


def test_generates_what_the_button_says(plugin: Installed) -> None:
    said = plugin.run("generate_movies")
    assert said.get("error") is None
    assert {path.partition("/")[0] for path in plugin.files()} == {"Movies"}
    plugin.run("generate_series")
    assert {path.partition("/")[0] for path in plugin.files()} == {"Movies", "TV"}
    assert "Movies/Film 1 (2001)/Film 1 (2001).strm" in plugin.files()
    assert (
        (plugin.root / "Movies/Film 1 (2001)/Film 1 (2001).strm").read_text().startswith(f"{BASE_URL}/proxy/vod/movie/")
    )
    assert "ended at" in plugin.status()
    assert "created" in plugin.status()


def test_does_what_the_form_says(plugin: Installed) -> None:
    plugin.type(write_nfo=False, output_root=str(plugin.root / "deeper"))
    plugin.run("generate_all")
    assert plugin.files()
    assert all(path.endswith(".strm") and path.startswith("deeper/") for path in plugin.files())


def test_writes_reports_and_a_log_where_the_specification_has_them(plugin: Installed) -> None:
    said = plugin.run("generate_all")
    report = Path(said["report"])
    assert re.fullmatch(r"report_all_[\d_]+\.csv", report.name)
    assert report.parent == plugin.folder / "reports"
    assert report.read_text().splitlines()[0] == "type,series_name,season,title,uuid,action,reason"
    assert "Generate All begins." in plugin.log()


def test_counts_into_a_file(plugin: Installed) -> None:
    plugin.run("generate_movies")
    said = plugin.run("stats")
    rows = list(csv.reader(Path(said["report"]).read_text().splitlines()))
    assert rows[0] == ["scope", "metric", "value"]
    assert ["database", "movies", "6"] in rows
    assert ["output", "movies", "6"] in rows
    assert "6 movies" in plugin.status()


def test_cleans_up_as_the_form_says_and_apply_does_whatever_it_says(plugin: Installed) -> None:
    plugin.run("generate_all")
    gone = next(path for path in plugin.files() if path.startswith("Movies/Film 1 "))
    with psycopg.connect(plugin.dispatcharr.database) as session:
        session.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = 1")
        session.execute("DELETE FROM vod_movie WHERE id = 1")
    plugin.run("generate_all")
    assert gone in plugin.files()
    plugin.run("preview_cleanup")
    assert gone in plugin.files()
    assert "would delete" in plugin.status()
    plugin.run("generate_movies")
    assert gone in plugin.files()
    plugin.run("apply_cleanup")
    assert gone not in plugin.files()


def test_a_preview_writes_nothing(plugin: Installed) -> None:
    said = plugin.run("preview_cleanup")
    assert not plugin.root.exists()
    assert "Nothing was written" in said["message"]
    assert Path(said["report"]).is_file()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"concurrency": "seven"}, "Filesystem concurrency: must be a whole number (is 'seven')."),
        ({"schedule": "hourly"}, "Schedule: "),
        ({"base_url": "http://user:geheim@host:99999"}, "Base URL (for .strm): "),
    ],
)
def test_wrong_settings_are_shown_in_red_in_one_line(plugin: Installed, settings: dict[str, object], said: str) -> None:
    plugin.type(**settings)
    with pytest.raises(PluginFailed) as caught:
        plugin.press("generate_all")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert not plugin.root.exists()
    assert plugin.status().startswith("Nothing has run yet.")


def test_an_action_that_there_is_not_fails(plugin: Installed) -> None:
    with pytest.raises(PluginFailed, match="There is no action 'generate_nothing'"):
        plugin.press("generate_nothing")


def test_a_run_that_fails_says_so_without_a_secret(plugin: Installed) -> None:
    with psycopg.connect(plugin.dispatcharr.database) as session:
        session.execute("ALTER TABLE vod_movie RENAME TO gone")
    said = plugin.run("generate_all")
    password = plugin.dispatcharr.environment["POSTGRES_PASSWORD"]
    assert "vod_movie" in said["error"]
    assert said["error"] in plugin.status()
    assert "\n" not in said["error"]
    assert password not in plugin.status() + plugin.log()


def test_settings_are_read_by_their_owner_alone(busy_plugin: Installed) -> None:
    busy_plugin.type(base_url="http://user:geheim@host:9191")
    busy_plugin.press("generate_all")
    busy_plugin.wait("running")
    for path in busy_plugin.data.iterdir():
        with suppress(FileNotFoundError):  # It had another name until it was whole.
            assert path.name == "lib" or not path.stat().st_mode & 0o077, path
    busy_plugin.press("stop")
    busy_plugin.wait("ended")


def test_one_run_at_a_time_whichever_worker_is_asked_and_all_answer_while_it_goes_on(busy_plugin: Installed) -> None:
    other = busy_plugin.dispatcharr.worker()
    busy_plugin.press("generate_all")
    busy_plugin.wait("running")
    for worker in (busy_plugin.worker, other):
        for action in ("generate_all", "stats", "apply_cleanup"):
            with pytest.raises(PluginFailed, match=r"Generate All has been running since .* One run at a time"):
                busy_plugin.press(action, worker)
        assert "Generate All has been running since" in busy_plugin.press("status", worker)
    assert busy_plugin.is_locked()
    busy_plugin.press("stop", other)
    busy_plugin.wait("ended")


def test_while_a_button_has_settings_checked_others_are_answered(busy_plugin: Installed) -> None:
    begun = [busy_plugin.worker.ask("run_action", KEY, action) for action in ("generate_all", "status")]
    assert busy_plugin.worker.finish(begun) == begun[::-1]
    busy_plugin.press("stop")
    busy_plugin.wait("ended")


def test_two_buttons_at_once_make_one_run(busy_plugin: Installed) -> None:
    other = busy_plugin.dispatcharr.worker()
    busy_plugin.run("stats")  # the settings are checked
    asked = [(worker, worker.ask("run_action", KEY, "generate_all")) for worker in (busy_plugin.worker, other)]
    answers = []
    for worker, number in asked:
        try:
            worker.answer(number)
            answers.append("begun")
        except PluginFailed as error:
            answers.append(str(error))
    assert answers.count("begun") == 1
    assert "One run at a time" in " ".join(answers)
    busy_plugin.press("stop")
    busy_plugin.wait("ended")


def test_stops_and_the_next_run_does_the_rest(busy_plugin: Installed) -> None:
    busy_plugin.press("generate_movies")
    wait_for(lambda: busy_plugin.root.exists() and len(busy_plugin.files()) > 200)
    assert "is told to stop" in busy_plugin.press("stop")
    said = busy_plugin.wait("ended")
    assert "Stopped" in said["message"]
    assert "Nothing is running" in busy_plugin.press("stop")
    written = len(busy_plugin.files())
    assert written < 2 * MANY
    assert "error" not in busy_plugin.run("generate_movies")
    assert len(busy_plugin.files()) == 2 * MANY


def test_stop_before_the_run_has_begun_is_heeded(busy_plugin: Installed) -> None:
    busy_plugin.run("stats")
    busy_plugin.press("generate_all")
    busy_plugin.press("stop")
    busy_plugin.wait("ended")
    wait_for(lambda: not busy_plugin.is_locked())
    assert busy_plugin.said()["message"].startswith("Stopped")


def test_says_who_looks_after_a_run_and_needs_no_celery(busy_plugin: Installed) -> None:
    busy_plugin.press("generate_all")
    busy_plugin.wait("running")
    assert f"a thread of process {busy_plugin.worker.process.pid}" in busy_plugin.status()
    busy_plugin.press("stop")
    busy_plugin.wait("ended")


def test_celerys_worker_for_long_tasks_looks_after_a_run(filled_with_redis: Dispatcharr, plugin_zip: Path) -> None:
    plugin = Installed(filled_with_redis, plugin_zip)
    filled_with_redis.celery("celery")
    filled_with_redis.celery("dvr")
    said = plugin.run("generate_all")
    assert said["where"].startswith("the Celery worker dvr@")
    assert len(plugin.files()) > 6


def test_a_worker_of_celery_that_does_not_know_the_plugin_is_done_without(
    filled_with_redis: Dispatcharr, plugin_zip: Path
) -> None:
    filled_with_redis.celery("dvr")
    plugin = Installed(filled_with_redis, plugin_zip)
    said = plugin.run("generate_all")
    assert said["where"].startswith("a thread of process ")
    assert len(plugin.files()) > 6


def test_a_worker_of_celery_in_another_container_is_done_without() -> None:
    here = socket.gethostname()
    assert is_here(f"dvr@{here}")
    assert not is_here(f"dvr@{here}-celery")
    assert not is_here(f"dvr@celery.{here}")
    assert not is_here("dvr")


def test_a_worker_of_celery_that_another_user_runs_is_done_without(
    filled_with_redis: Dispatcharr, plugin_zip: Path
) -> None:
    plugin = Installed(filled_with_redis, plugin_zip)
    filled_with_redis.celery("dvr")
    os.chown(plugin.data, 1000, 1000)
    assert plugin.run("generate_all")["where"].startswith("a thread of process ")


def test_a_run_outlives_the_web_worker_that_began_it(busy_plugin: Installed) -> None:
    other = busy_plugin.dispatcharr.worker()
    busy_plugin.press("generate_movies")
    busy_plugin.wait("running")
    busy_plugin.worker.kill()
    assert "has been running" in busy_plugin.press("status", other)
    assert "message" in busy_plugin.wait("ended")
    assert len(busy_plugin.files()) == 2 * MANY


def test_nothing_of_the_plugins_stands_where_others_look_for_modules(plugin: Installed) -> None:
    before = plugin.dispatcharr.worker()
    plugin.run("generate_all")
    said = plugin.worker.call("modules")
    assert not {"vod2strmfs", "pydantic", "msgspec"} & set(said["modules"])
    assert not [path for path in said["path"] if KEY in path]
    assert said["path"] == before.call("modules")["path"]


def test_leaves_no_process_behind(plugin: Installed) -> None:
    plugin.run("generate_all")
    process = plugin.said()["process"]
    wait_for(lambda: not os.path.exists(f"/proc/{process}"))
