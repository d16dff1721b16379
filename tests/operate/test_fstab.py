"""What mount(8) and /etc/fstab do with the library: the real mount, mount.fuse3 and umount."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounts import command

from vod2strmfs.cli.fstab import as_mount_command, is_mount_call
from vod2strmfs.demo.generator import write_demo
from vod2strmfs.errors import SettingsError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_demo(f"sqlite:///{tmp_path}/demo.db", movies=20, series=2, episodes=10, seed=4)
    file = tmp_path / "vod2strmfs, mine.toml"  # In fstab a comma is nothing special here, a space is \040.
    file.write_text(
        f'database = "sqlite:///{tmp_path}/demo.db"\nbase_url = "http://192.0.2.1:9191"\n'
        f'state_dir = "{tmp_path}/state"\n'
    )
    (tmp_path / "mount").mkdir()
    return file


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    """A folder with the program, which a shell of mount.fuse3 finds where /usr/local/bin is."""
    programs = tmp_path / "bin"
    programs.mkdir()
    script = programs / "vod2strmfs"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m vod2strmfs "$@"\n')
    script.chmod(0o755)
    yield programs
    subprocess.run(["pkill", "-f", str(tmp_path / "mount")], check=False)


def on_a_host(program: Path, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell script on what looks like a host of its own: mounts made there are seen nowhere else."""
    prepare = f"mount --bind '{program}' /usr/local/bin\n"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-eu", "-c", prepare + script], capture_output=True, text=True, check=False
    )


def test_a_line_in_fstab_mounts_once_and_umount_ends_it(config: Path, program: Path, tmp_path: Path) -> None:
    fstab = tmp_path / "fstab"
    source = str(config).replace(" ", "\\040")
    fstab.write_text(f"{source} {tmp_path}/mount fuse.vod2strmfs allow_other,uid=7,noatime,nofail,_netdev 0 0\n")
    done = on_a_host(
        program,
        f"""
        mount -a -T {fstab}
        ls {tmp_path}/mount
        stat -c %u {tmp_path}/mount/Movies
        mount -a -T {fstab}
        grep -c ' {tmp_path}/mount fuse.vod2strmfs ' /proc/mounts
        findmnt -n -o SOURCE {tmp_path}/mount
        umount {tmp_path}/mount
        ls {tmp_path}/mount
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["Movies", "TV", "7", "1", str(config)]


def test_autofs_mounts_it_when_somebody_looks_and_again_after_an_umount(
    config: Path, program: Path, tmp_path: Path
) -> None:
    settings = config.rename(tmp_path / "vod2strmfs.toml")  # Commas and spaces have meanings in its maps.
    (tmp_path / "master").write_text(f"/- file,sun:{tmp_path}/map --timeout=0\n")
    (tmp_path / "map").write_text(f"{tmp_path}/mount -fstype=fuse.vod2strmfs,allow_other :{settings}\n")
    done = on_a_host(
        program,
        f"""
        mount -t tmpfs tmpfs /run
        # In a process group of its own: what is in its group sees no automount.
        setsid automount --foreground {tmp_path}/master >&2 & automount=$!
        trap 'kill $automount; wait $automount' EXIT
        until grep -q ' {tmp_path}/mount autofs ' /proc/mounts; do sleep 0.05; done
        ls {tmp_path}/mount
        umount {tmp_path}/mount
        ls {tmp_path}/mount
        umount {tmp_path}/mount
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["Movies", "TV"] * 2


def test_mount_returns_an_error_when_the_library_cannot_be_mounted(config: Path, program: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("demo.db", "no.db"))
    done = on_a_host(program, f"mount -t fuse.vod2strmfs '{config}' {tmp_path}/no/folder")
    assert done.returncode != 0
    assert "mount" in done.stderr
    done = on_a_host(program, f"mount -t fuse.vod2strmfs '{config}' {tmp_path}/mount -o pol_interval=3")
    assert done.returncode != 0
    assert "mount option pol_interval: is neither an option of mount(8) nor a setting" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fake_mount_mounts_nothing(config: Path, tmp_path: Path) -> None:
    done = subprocess.run(command(config, tmp_path / "mount", "-f", "-o", "rw"), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


FLAGS, VALUED = {"allow_other", "write_nfo"}, {"uid", "base_url", "poll_interval"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("rw,defaults,x-systemd.automount,x-systemd.requires=postgresql.service,comment=mine,,_netdev", []),
        ("allow_other", ["--allow-other"]),
        ("allow_other=no,uid=7", ["--no-allow-other", "--uid=7"]),
        ("base_url=http://192.0.2.1:9191/?a=b", ["--base-url=http://192.0.2.1:9191/?a=b"]),
        ("debug", ["--debug"]),
    ],
)
def test_options_are_settings_or_passed_over(options: str, words: list[str]) -> None:
    found = as_mount_command(["/etc/v.toml", "/data/STRM", "-n", "-o", options, "-t", "fuse"], FLAGS, VALUED)
    assert found == [
        *("mount", "/data/STRM", "--daemon", "--source", "/etc/v.toml", "--config", "/etc/v.toml"),
        *words,
    ]


@pytest.mark.parametrize("option", ["remount", "uid", "uid=", "allow_other=perhaps", "uidd=7", "password=x", "bind"])
def test_an_option_that_would_do_nothing_is_an_error(option: str) -> None:
    with pytest.raises(SettingsError, match="mount option"):
        as_mount_command(["none", "/data/STRM", "-o", f"rw,{option}"], FLAGS, VALUED)


@pytest.mark.parametrize(
    ("words", "is_mount"),
    [
        (["/etc/v.toml", "/data/STRM"], True),
        (["none", "/data/STRM", "-o", "rw"], True),
        (["v.toml", "/data/STRM", "-o", "rw"], True),
        (["mount", "/data/STRM"], False),
        (["monut", "/data/STRM"], False),
        (["--debug", "/data/STRM"], False),
        (["/etc/v.toml"], False),
        ([], False),
    ],
)
def test_only_what_mount_writes_is_taken_for_its_call(words: list[str], is_mount: bool) -> None:
    assert is_mount_call(words, {"mount"}) is is_mount
