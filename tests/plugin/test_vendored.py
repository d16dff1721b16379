"""What the plugin brings along: imports of others are left alone, and runs keep the release that they began with."""

import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from disks import small_disk
from dispatcharr_loader import KEY, PYTHON, Dispatcharr, PluginFailed
from plugin_runs import Installed

_SAY_WHERE = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import vendored
try:
    print(vendored.environment(Path(sys.argv[2]))["PYTHONPATH"])
except vendored.VendoredError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def folder(plugin_zip: Path, tmp_path: Path) -> Path:
    """The plugin's folder."""
    return unpack(plugin_zip, tmp_path / "plugins")


def unpack(archive: Path, plugins: Path) -> Path:
    with zipfile.ZipFile(archive) as file:
        file.extractall(plugins)
    return plugins / KEY


def ask(folder: Path, data: Path) -> "subprocess.CompletedProcess[str]":
    """Ask for the copy of `lib`, in a process that begins with that release of the plugin."""
    return subprocess.run([PYTHON, "-c", _SAY_WHERE, folder, data], capture_output=True, text=True)


def copy_of(folder: Path, data: Path) -> Path:
    done = ask(folder, data)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def contents(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_processes_of_ours_run_a_copy_beside_the_data(folder: Path, tmp_path: Path) -> None:
    copy = copy_of(folder, tmp_path / "data")
    assert copy.is_relative_to(tmp_path / "data")
    assert contents(copy) == contents(folder / "lib")
    assert copy_of(folder, tmp_path / "data") == copy


def test_a_copy_stays_when_the_folder_is_gone(folder: Path, tmp_path: Path) -> None:
    copy = copy_of(folder, tmp_path / "data")
    shutil.rmtree(folder)
    program = "import vod2strmfs.settings, vod2strmfs.sync.run, vod2strmfs.materialize.run"
    environment = os.environ | {"PYTHONPATH": str(copy)}
    subprocess.run([PYTHON, "-P", "-c", program], env=environment, cwd=tmp_path, check=True)


def test_another_release_has_another_copy(folder: Path, tmp_path: Path) -> None:
    first = copy_of(folder, tmp_path / "data")
    (folder / "lib/DIGEST").write_text("another release\n")
    assert copy_of(folder, tmp_path / "data") != first
    assert (first / "vod2strmfs").is_dir()


def test_a_copy_that_nobody_asked_for_in_a_week_goes_with_the_next_release(folder: Path, tmp_path: Path) -> None:
    first = copy_of(folder, tmp_path / "data")
    os.utime(first, (time.time() - 8 * 24 * 3600,) * 2)
    (folder / "lib/DIGEST").write_text("another release\n")
    copy_of(folder, tmp_path / "data")
    assert not first.exists()


def test_asking_for_a_copy_keeps_it(folder: Path, tmp_path: Path) -> None:
    first = copy_of(folder, tmp_path / "data")
    os.utime(first, (time.time() - 8 * 24 * 3600,) * 2)
    copy_of(folder, tmp_path / "data")
    (folder / "lib/DIGEST").write_text("another release\n")
    copy_of(folder, tmp_path / "data")
    assert first.exists()


def test_many_processes_at_once_make_one_whole_copy(folder: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        copies = set(pool.map(lambda _: copy_of(folder, tmp_path / "data"), range(6)))
    (copy,) = copies
    assert contents(copy) == contents(folder / "lib")
    assert list((tmp_path / "data/lib").iterdir()) == [copy]


def test_a_folder_that_is_replaced_while_it_is_copied_is_no_release(folder: Path, tmp_path: Path) -> None:
    # The digest is read with the module, and the folder replaced before it is asked.
    replaced = _SAY_WHERE.replace("try:", "vendored.LIB.joinpath('DIGEST').write_text('another')\ntry:")
    done = subprocess.run([PYTHON, "-c", replaced, folder, tmp_path / "data"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "The plugin was replaced just now: try again.\n")
    assert list((tmp_path / "data/lib").iterdir()) == []


def test_another_python_is_told_which_one_it_needs(folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*.so"):
        path.rename(path.with_name(path.name.replace("313", "312")))
    done = ask(folder, tmp_path / "data")
    assert done.returncode == 1
    assert done.stderr.startswith("This release of the plugin is made for cpython-312-aarch64-linux-gnu and")
    assert "Dispatcharr runs on cpython-313-" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk_is_named_and_nothing_is_left_of_the_copy(folder: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        done = ask(folder, disk)
        assert done.stderr == f"The plugin cannot be unpacked into {disk}/lib: No space left on device.\n"
        assert list((disk / "lib").iterdir()) == []


def test_the_page_says_in_one_line_that_python_is_another(plugin: Installed) -> None:
    for path in plugin.folder.rglob("*.so"):
        path.rename(path.with_name(path.name.replace("313", "312")))
    with pytest.raises(PluginFailed, match=r"^This release of the plugin is made for cpython-312-[^\n]*$"):
        plugin.press("generate_all")


def test_other_releases_that_dispatcharr_or_another_plugin_has_are_not_met(plugin: Installed, tmp_path: Path) -> None:
    # They would end any process that imported them in our stead.
    others = tmp_path / "others"
    for name in ("pydantic", "msgspec", "vod2strmfs", "cronsim"):
        (others / name).mkdir(parents=True)
        (others / name / "__init__.py").write_text("import os\nos._exit(9)\n")
    plugin.dispatcharr.environment["PYTHONPATH"] += f":{others}"
    said = plugin.run("generate_all")
    assert "error" not in said
    assert plugin.files()


def test_a_web_worker_imports_nothing_of_it(filled: Dispatcharr, plugin_zip: Path) -> None:
    worker = filled.worker()
    before = worker.call("modules")
    worker.install(plugin_zip, {"output_root": str(filled.data / "STRM")})
    for action in ("status", "generate_all", "stop"):
        worker.run(action)
    after = worker.call("modules")
    assert after["path"] == before["path"]
    brought = {path.name.removesuffix(".py") for path in (filled.folder / "lib").iterdir()} - {"typing_extensions"}
    new = set(after["modules"]) - set(before["modules"])
    assert not {name for name in new if name.partition(".")[0] in brought}
