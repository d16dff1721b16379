"""The plugin's tree is that of `vod2strmfs materialize` with the same settings, byte for byte; what it costs a page."""

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from dispatcharr_loader import Dispatcharr, PluginFailed, new_database
from mounts import command
from plugin_runs import BASE_URL, Installed, seconds_of
from postgres_server import PostgresServer

from vod2strmfs.demo.generator import write_demo

_FORMS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "all changed": {
        "write_nfo": False, "clean_titles": True, "versions": "all", "media_server": "kodi", "concurrency": 3,
        "categories": "!*drama*", "cleanup": "apply", "max_shrink": 100, "overwrite": True,
    },
}  # fmt: skip


def demo(**counts: int) -> Callable[[str], None]:
    return lambda url: write_demo(url, **{"movies": 120, "series": 12, "episodes": 60} | counts, seed=3)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def catalogue(postgres: PostgresServer) -> str:
    return new_database(postgres, demo())


def contents(root: Path) -> dict[str, bytes | None]:
    """Everything below a folder; None stands for a folder."""
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def environment(settings: dict[str, Any]) -> dict[str, str]:
    """What was typed into the form, as environment variables."""
    return os.environ | {f"VOD2STRMFS_{name.upper()}": str(value).lower() for name, value in settings.items()}


@pytest.mark.parametrize("form", _FORMS)
def test_the_tree_is_that_of_materialize_byte_for_byte(
    form: str, tmp_path: Path, catalogue: str, postgres: PostgresServer, plugin_zip: Path
) -> None:
    settings = _FORMS[form]
    database = postgres.new_database(catalogue)
    with Dispatcharr(tmp_path / "data", database) as dispatcharr:
        plugin = Installed(dispatcharr, plugin_zip, **settings)
        assert "error" not in plugin.run("generate_all")
    places = ["--state-dir", str(tmp_path / "state"), "--database", database, "--base-url", BASE_URL]
    materialize = command("materialize", str(tmp_path / "output"), *places)
    subprocess.run(materialize, check=True, capture_output=True, env=environment(settings))
    written = contents(plugin.root)
    assert written == contents(tmp_path / "output")
    assert len(written) > 100


def test_buttons_answer_at_once_during_a_run_and_cost_a_web_worker_little_memory(
    tmp_path: Path,
    postgres: PostgresServer,
    plugin_zip: Path,
    soak: bool,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    films = {"movies": 40_000, "series": 500, "episodes": 10_000} if soak else {"movies": 4_000}
    with Dispatcharr(tmp_path / "data", new_database(postgres, demo(**films))) as dispatcharr:
        plugin = Installed(dispatcharr, plugin_zip)
        plugin.worker.forget_peak()
        before = plugin.worker.peak_memory()
        plugin.press("generate_all")
        plugin.wait("running")
        plugin.worker.call("longest_pause")
        took: list[float] = []
        while plugin.is_locked():
            took.append(seconds_of(plugin.status))
            took.append(seconds_of(refused, plugin))
        pause = plugin.worker.call("longest_pause")
        grown = plugin.worker.peak_memory() - before
    record_property("longest answer, longest pause of the page", f"{max(took):.2f} s, {pause:.2f} s, of {len(took)}")
    record_property("memory of the web worker", f"+{grown / 1e6:.1f} MB")
    assert len(took) > 10
    assert grown < 15_000_000


def refused(plugin: Installed) -> None:
    """Press a button for which there is no place during a run; it may just have ended."""
    with suppress(PluginFailed):
        plugin.press("stats")
