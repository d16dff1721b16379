"""What stands beside a mount and reads it: Samba, NFS, mergerfs, overlayfs, updatedb; and what `doctor` says of them.

Each is the real one, with the lines that the documents tell to copy.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mounts import Mount, eventually, mounted
from postgres_server import free_port
from test_doctor import ROOT, SetUp, broken, elsewhere

from vod2strmfs.demo.generator import write_demo
from vod2strmfs.doctor.finding import Finding, Level


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SetUp, Mount]]:
    """A library that is mounted for all who look only."""
    set_up = SetUp(tmp_path_factory.mktemp("neighbours"), "http://192.0.2.1:9191")
    with mounted(set_up.folder, set_up.database.url, "--allow-other") as mount:
        yield set_up, mount


@pytest.fixture
def set_up(whole: tuple[SetUp, Mount]) -> SetUp:
    """That library, on a host that has a Samba without shares and an updatedb that leaves it alone."""
    return on_a_quiet_host(whole[0])


def on_a_quiet_host(set_up: SetUp) -> SetUp:
    """The same, whose Samba has no shares and whose updatedb leaves the mount alone."""
    (set_up.folder / "smb.conf").write_text("[global]\n")
    (set_up.folder / "updatedb.conf").write_text('PRUNEFS="nfs fuse.vod2strmfs"\n')
    return set_up


@pytest.fixture
def mount(whole: tuple[SetUp, Mount]) -> Mount:
    """Its mount."""
    return whole[1]


@pytest.fixture
def folder(whole: tuple[SetUp, Mount]) -> Path:
    """The folder above it."""
    return whole[0].folder


def found(set_up: SetUp, shell: str = "") -> list[Finding]:
    """What the check finds on that host, after a shell command there."""
    settings = {"smb.conf": "/etc/samba/smb.conf", "updatedb.conf": "/etc/updatedb.conf"}
    binds = [f"mount --bind {set_up.folder}/{name} {place}" for name, place in settings.items()]
    return elsewhere("neighbours", "\n".join([*binds, shell]), set_up.options, module="neighbours")


def block(page: str, language: str, number: int = 0) -> str:
    """A block of a page that is to be copied."""
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", (ROOT / "docs" / page).read_text(), re.M | re.S)
    return str(blocks[number][1])


def test_a_host_whose_programs_leave_the_mount_alone_is_told_nothing(set_up: SetUp, mount: Mount) -> None:
    assert found(set_up) == []


def test_real_files_need_no_care(tmp_path: Path) -> None:
    set_up = SetUp(tmp_path, "http://192.0.2.1:9191")
    (tmp_path / "updatedb.conf").write_text("")
    share(tmp_path, f"[library]\npath = {tmp_path}/mount\n")
    assert found(set_up) == []


# Layers


def test_an_overlay_over_the_mount_is_warned_of(set_up: SetUp, mount: Mount, folder: Path) -> None:
    over = f"""
    cd {folder}/state/logs
    mount -t tmpfs none .
    cd {folder}/state/logs
    mkdir upper work
    mount -t overlay overlay -o upperdir=upper,workdir=work,lowerdir=LOWER /mnt
    """
    (folder / "state/logs").mkdir(exist_ok=True)
    for lower in (mount.path, mount.path / "Movies"):
        findings = found(set_up, over.replace("LOWER", str(lower)))
        broken(findings, "the overlay at /mnt", "Do not put the mount under overlayfs", Level.WARNING)
    assert found(set_up, over.replace("LOWER", "/usr")) == []


@pytest.fixture
def mergerfs(tmp_path: Path) -> Iterator[Path]:
    """A folder to mount a mergerfs at, which is not left mounted."""
    folder = tmp_path / "merged"
    folder.mkdir()
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("branch", ["mount", "mount/Movies", "."], ids=["it", "in it", "above it"])
def test_a_mergerfs_with_the_mount_in_it_is_warned_of(
    set_up: SetUp, mount: Mount, folder: Path, mergerfs: Path, branch: str
) -> None:
    (folder / "posters").mkdir(exist_ok=True)
    subprocess.run(["mergerfs", f"{folder}/posters=RW:{folder / branch}=RO", mergerfs], check=True)
    broken(found(set_up), f"the mergerfs at {mergerfs}", f"Give media servers {mount.path} itself", Level.WARNING)


def test_a_mergerfs_over_a_dead_mount_lists_what_the_other_folders_have_and_is_warned_of(
    tmp_path: Path, mergerfs: Path
) -> None:
    set_up = on_a_quiet_host(SetUp(tmp_path, "http://192.0.2.1:9191"))
    (tmp_path / "posters/Movies/Ran (1985)").mkdir(parents=True)
    with mounted(tmp_path, set_up.database.url, "--allow-other") as mount:
        subprocess.run(["mergerfs", f"{tmp_path}/posters=RW:{mount.path}=RO", mergerfs], check=True)
        assert set(os.listdir(mergerfs / "Movies")) == {"Heat (1995)", "Ran (1985)"}
        mount.process.kill()
        mount.process.wait()
        assert os.listdir(mergerfs / "Movies") == ["Ran (1985)"]
        broken(found(set_up), "if the mount dies", "Give media servers", Level.WARNING)


def test_a_mergerfs_of_other_folders_is_none_of_our_business(
    set_up: SetUp, mount: Mount, tmp_path: Path, mergerfs: Path
) -> None:
    for name in ("a", "mount of another"):
        (tmp_path / name).mkdir()
    subprocess.run(["mergerfs", f"{tmp_path}/a:{tmp_path}/mount of another", mergerfs], check=True)
    assert found(set_up) == []


# Samba


def share(folder: Path, text: str) -> None:
    (folder / "smb.conf").write_text(f"[global]\nserver role = standalone server\n{text}")


def test_a_share_with_the_lines_of_the_documents_is_right(set_up: SetUp, mount: Mount, folder: Path) -> None:
    lines = block("samba.md", "ini").replace("/data", str(folder))
    assert str(folder) in lines
    share(folder, lines)
    assert found(set_up) == []
    # For all shares, with the other words that Samba knows, and in a file of its own.
    (folder / "more.conf").write_text("EA Support = False\nstore dos attributes = 0\ncasesignames = 1\n")
    share(folder, f"include = {folder}/more.conf\n[vod]\ndirectory = {folder}\n")
    assert found(set_up) == []


@pytest.mark.parametrize("line", ["case sensitive = yes", "store dos attributes = no", "ea support = no"])
def test_each_line_that_a_share_lacks_is_named(set_up: SetUp, mount: Mount, folder: Path, line: str) -> None:
    lines = block("samba.md", "ini").replace("/data", str(folder))
    share(folder, lines.replace(line, ""))
    broken(
        found(set_up), "the share library asks", re.escape(f"Add to [library] in smb.conf: {line}") + "$", Level.NOTE
    )


def test_a_share_of_the_mount_itself_is_warned_of(set_up: SetUp, mount: Mount, folder: Path) -> None:
    lines = block("samba.md", "ini").replace("/data", str(mount.path))
    share(folder, f"[music]\npath = /srv\n{lines}")
    broken(found(set_up), "the share library is the mount itself", f"path = {folder}$", Level.WARNING)


def test_a_share_of_a_mount_that_only_its_user_can_read_is_warned_of(tmp_path: Path) -> None:
    set_up = on_a_quiet_host(SetUp(tmp_path, "http://192.0.2.1:9191"))
    share(tmp_path, block("samba.md", "ini").replace("/data", str(tmp_path)))
    with mounted(tmp_path, set_up.database.url):
        broken(found(set_up), "only root can read it", "allow_other = true", Level.WARNING)


def test_a_samba_whose_settings_are_broken_or_hidden_is_passed_over(set_up: SetUp, mount: Mount, folder: Path) -> None:
    (folder / "smb.conf").write_text("[library\npath = /\n")
    assert found(set_up) == []
    assert found(set_up, "export PATH=/nonesuch") == []


# updatedb


def test_updatedb_walks_the_mount_until_its_settings_have_our_line(set_up: SetUp, mount: Mount, folder: Path) -> None:
    def locates(settings: str) -> bool:
        (folder / "updatedb.conf").write_text(settings)
        script = f"""
        mount --bind {folder}/updatedb.conf /etc/updatedb.conf
        updatedb.plocate --require-visibility no --database-root {folder} --output {folder}/names.db
        plocate --database {folder}/names.db -c 'Heat (1995).strm' || true
        """
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", script], capture_output=True, text=True, check=True, timeout=120
        )
        return int(done.stdout) > 0

    debian = (
        'PRUNE_BIND_MOUNTS="yes"\n# PRUNENAMES=".git"\nPRUNEPATHS="/tmp-x /var/spool"\nPRUNEFS="NFS afs fuse.sshfs"\n'
    )
    assert locates(debian)
    broken(found(set_up), "updatedb reads the whole library", "Add fuse.vod2strmfs to PRUNEFS", Level.NOTE)
    for right in (
        debian.replace("fuse.sshfs", "fuse.sshfs fuse.vod2strmfs"),
        debian.replace("/tmp-x", f"/tmp-x {mount.path}"),
    ):
        assert not locates(right), right
        assert found(set_up) == [], right
    (set_up.folder / "updatedb.conf").write_text(debian.replace("/tmp-x", str(set_up.folder)))
    assert found(set_up) == []


# NFS


@contextmanager
def ganesha(folder: Path, shared: Path) -> Iterator[str]:
    """An nfs-ganesha with the settings of the documents; gives what an address of it ends with."""
    port = free_port()
    text = block("nfs.md", "text", 1).replace("/data/STRM", str(shared))
    ours = f"Protocols = 4; NFS_Port = {port}; Bind_addr = 127.0.0.1; Enable_NLM = false; Enable_RQUOTA = false;"
    assert "Protocols = 4;" in text
    (folder / "recovery").mkdir(exist_ok=True)
    (folder / "ganesha.conf").write_text(
        text.replace("Protocols = 4;", ours).replace(
            "Graceless = true;", f"Graceless = true; RecoveryRoot = {folder}/recovery;"
        )
    )
    log = folder / "ganesha.log"
    server = subprocess.Popen(
        ["ganesha.nfsd", "-F", "-f", folder / "ganesha.conf", "-L", log, "-p", folder / "ganesha.pid"]
    )
    end = f"?version=4&nfsport={port}"
    try:
        eventually(lambda: server.poll() is not None or nfs("ls", "", end).returncode == 0)
        assert server.poll() is None, log.read_text()
        yield end
    finally:
        server.terminate()
        server.wait(120)


def nfs(what: str, path: str, end: str) -> "subprocess.CompletedProcess[bytes]":
    """What a client of NFS in user space says of a path."""
    options = ["-R"] if what == "ls -R" else []
    whole = [f"nfs-{what.split()[0]}", *options, f"nfs://127.0.0.1/films/{path}{end}"]
    return subprocess.run(whole, capture_output=True, check=False, timeout=120)


def listed(end: str) -> set[str]:
    """All paths that a client of NFS finds."""
    done = nfs("ls -R", "", end)
    assert done.returncode == 0, done.stderr
    return {line.split(maxsplit=5)[5] for line in done.stdout.decode().splitlines() if line}


def in_the_tree(place: Path) -> dict[str, bytes | None]:
    """All paths of a tree, and what is in the files."""
    return {str(path.relative_to(place)): path.read_bytes() if path.is_file() else None for path in place.rglob("*")}


def test_nfs_serves_it_whole_and_again_after_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/dispatcharr.db"
    write_demo(url, movies=40, series=3, episodes=20, seed=2)
    with mounted(tmp_path, url, "--allow-other") as mount:
        tree = in_the_tree(mount.path)
        with ganesha(tmp_path, mount.path) as end:
            assert listed(end) == set(tree)
            for path, content in tree.items():
                if content is not None:
                    assert nfs("cat", path, end).stdout == content
            assert nfs("cat", "Movies/nonesuch", end).returncode != 0
    with mounted(tmp_path, url, "--allow-other") as mount, ganesha(tmp_path, mount.path) as end:
        assert listed(end) == set(in_the_tree(mount.path)) == set(tree)
        film = next(path for path in tree if path.endswith(".strm"))
        assert nfs("cat", film, end).stdout == tree[film]
