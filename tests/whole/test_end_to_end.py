"""The main job on real input, with real parts: PostgreSQL, a mount, real files."""

import os
import subprocess
import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path

import psycopg
from databases import Database
from mounts import command, eventually, mounted
from postgres_server import PostgresServer

from vod2strmfs.catalog.open import open_source
from vod2strmfs.demo.generator import write_demo


def materialize(database: Database, directory: Path) -> str:
    arguments = ("materialize", directory / "output", "--database", database.url, "--state-dir", directory / "state")
    return subprocess.run(command(*arguments), check=True, capture_output=True, text=True).stdout


def written(root: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of everything below a path."""
    found = {}
    for directory, folders, files in os.walk(root):
        for name in (*folders, *files):
            stat = os.lstat(os.path.join(directory, name))
            found[os.path.join(directory, name)] = (stat.st_ino, stat.st_ctime_ns)
    return found


def test_from_a_database_to_a_mounted_and_a_written_library(postgres: PostgresServer, tmp_path: Path) -> None:
    database = Database(postgres.new_database())
    write_demo(database.url, movies=2000, series=100, episodes=2000, seed=1)
    with closing(open_source(database.url)) as source, source.snapshot() as snapshot:
        movies, episodes = (sum(1 for _ in snapshot.rows(kind)) for kind in ("movie", "episode"))
    assert movies > 1900
    assert episodes > 1900

    with mounted(tmp_path, database.url) as mount:
        found = subprocess.run(
            ["find", mount.path, "-type", "f"], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        strms = [path for path in found if path.endswith(".strm")]
        assert len([path for path in strms if "/Movies/" in path]) == movies
        assert len([path for path in strms if "/TV/" in path]) == episodes
        for path in strms:
            [url] = Path(path).read_text().splitlines()
            assert url.startswith("http://192.168.199.10:9191/proxy/vod/")
        for path in found:
            if path.endswith(".nfo"):
                ET.parse(path)

        materialize(database, tmp_path)
        subprocess.run(["diff", "-r", "--exclude=.stats.csv", mount.path, tmp_path / "output"], check=True)
        times = ["rsync", "-rtin", "--delete", "--exclude=.stats.csv", f"{mount.path}/", f"{tmp_path}/output/"]
        assert subprocess.run(times, check=True, capture_output=True).stdout == b""

        before = written(tmp_path / "output")
        materialize(database, tmp_path)
        assert written(tmp_path / "output") == before

        strm = next(Path(path) for path in strms if "/Movies/" in path)
        uuid = strm.read_text().partition("/movie/")[2][:36]
        with psycopg.connect(database.url) as connection:
            [(movie, year)] = connection.execute("SELECT id, year FROM vod_movie WHERE uuid = %s", [uuid]).fetchall()
        renamed = mount.path / "Movies" / f"Quite Another Name ({year})"
        database.execute("UPDATE vod_movie SET name = 'Quite Another Name' WHERE id = ?", movie)
        eventually(lambda: (renamed / "movie.nfo").exists())
        assert not strm.exists()
        database.execute("DELETE FROM vod_m3umovierelation WHERE movie_id = ?", movie)
        eventually(lambda: not renamed.exists())
        database.execute(
            "INSERT INTO vod_m3umovierelation (m3u_account_id, movie_id, stream_id, last_seen, created_at, updated_at)"
            " SELECT id, ?, 'new-stream', now(), now(), now() FROM m3u_m3uaccount WHERE is_active LIMIT 1",
            movie,
        )
        eventually(lambda: renamed.exists())
        materialize(database, tmp_path)
        assert (tmp_path / "output/Movies" / renamed.name).exists()
