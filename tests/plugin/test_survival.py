"""Runs that are killed, and a plugin that is replaced, reloaded or deleted in the middle of one."""

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
from dispatcharr_loader import KEY, wait_for
from plugin_runs import MANY, Installed

_STRM = re.compile(r"http://192\.168\.1\.\d+:9191/proxy/vod/movie/[0-9a-f-]{36}\?stream_id=\d+&m3u_account_id=\d+\n")


def _half_files(root: Path) -> list[Path]:
    """Files of the library that are not whole."""
    strms = [path for path in root.rglob("*.strm") if not _STRM.fullmatch(path.read_text())]
    return strms + [path for path in root.rglob("*.nfo") if not path.read_text().endswith("</movie>\n")]


@pytest.fixture
def kills(soak: bool) -> int:
    """How many runs are killed."""
    return 20 if soak else 3


def test_runs_killed_at_random_points_leave_no_half_file_and_no_lock(busy_plugin: Installed, kills: int) -> None:
    dice = random.Random(14)
    for number in range(kills):
        busy_plugin.type(base_url=f"http://192.168.1.{number}:9191")  # so that every file is written anew
        busy_plugin.press("generate_movies")
        process = busy_plugin.wait("running")["process"]
        time.sleep(dice.uniform(0, 1.5))
        os.kill(process, signal.SIGKILL)
        said = busy_plugin.wait("ended")
        assert not busy_plugin.is_locked()
        assert "was killed (signal 9)" in said["error"]
        assert "The next run does what is left." in busy_plugin.status()
        assert not _half_files(busy_plugin.root)
    assert busy_plugin.run("generate_movies").get("error") is None
    files = busy_plugin.files()
    assert len(files) == 2 * MANY
    assert not _half_files(busy_plugin.root)
    left = [path.name for path in busy_plugin.data.iterdir() if path.name.endswith(".new")]
    assert not left


def test_a_run_whose_worker_went_with_it_is_seen_as_lost(busy_plugin: Installed) -> None:
    busy_plugin.press("generate_movies")
    process = busy_plugin.wait("running")["process"]
    busy_plugin.worker.kill()
    os.kill(process, signal.SIGKILL)
    other = busy_plugin.dispatcharr.worker()
    wait_for(lambda: not busy_plugin.is_locked())
    assert "lost its process before it had ended" in busy_plugin.press("status", other)
    busy_plugin.worker = other
    assert busy_plugin.run("generate_movies").get("error") is None
    assert len(busy_plugin.files()) == 2 * MANY


def test_an_update_in_the_middle_of_a_run_changes_nothing_for_it(busy_plugin: Installed, plugin_zip: Path) -> None:
    busy_plugin.press("generate_movies")
    busy_plugin.wait("running")
    busy_plugin.worker.call("install", str(plugin_zip), overwrite=True)
    assert "has been running" in busy_plugin.status()
    assert busy_plugin.wait("ended").get("error") is None
    assert len(busy_plugin.files()) == 2 * MANY
    assert (busy_plugin.folder / "reports").is_symlink()
    assert Path(busy_plugin.said()["report"]).is_file()
    assert "Generate Movies begins." in busy_plugin.log()
    assert "created" not in busy_plugin.run("generate_movies")["message"]
    assert (busy_plugin.root / "Movies" / "Film 7 (2000)" / "movie.nfo").is_file()


def test_a_reload_in_the_middle_of_a_run_changes_nothing_for_it(busy_plugin: Installed) -> None:
    busy_plugin.press("generate_movies")
    process = busy_plugin.wait("running")["process"]
    busy_plugin.worker.call("reload")
    assert busy_plugin.wait("ended").get("error") is None
    assert busy_plugin.said()["process"] == process


@pytest.mark.parametrize("how", ["disable", "delete"])
def test_disabling_or_deleting_ends_the_run_and_keeps_the_data(
    busy_plugin: Installed, plugin_zip: Path, how: str
) -> None:
    busy_plugin.press("generate_movies")
    wait_for(lambda: busy_plugin.root.exists() and len(busy_plugin.files()) > 200)
    if how == "disable":
        busy_plugin.worker.call("set_enabled", KEY, False)
    else:
        busy_plugin.worker.call("delete", KEY)
    wait_for(lambda: not busy_plugin.is_locked())
    written = busy_plugin.files()
    assert 0 < len(written) < 2 * MANY
    reports = set(os.listdir(busy_plugin.data / "reports"))
    busy_plugin.worker.call("install", str(plugin_zip), overwrite=True)
    busy_plugin.worker.call("set_enabled", KEY, True)
    busy_plugin.type()
    assert busy_plugin.run("generate_movies").get("error") is None
    assert len(busy_plugin.files()) == 2 * MANY
    assert reports < set(os.listdir(busy_plugin.folder / "reports"))


def test_what_another_plugin_kept_in_its_folder_is_kept(plugin: Installed) -> None:
    link = plugin.folder / "reports"
    link.unlink()
    link.mkdir()
    (link / "report_all_20250101_030000.csv").write_text("theirs")
    plugin.run("preview_cleanup")
    assert link.is_symlink()
    assert (link / "former" / "report_all_20250101_030000.csv").read_text() == "theirs"
