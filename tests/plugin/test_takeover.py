"""Taking over an output root that cmc0619's vod2strm has filled."""

import json
import os
from pathlib import Path

import psycopg
import pytest
from plugin_runs import BASE_URL, Installed

_OLD_URL = "http://localhost:9191"
_MOVIE_NFO = "<movie>\n  <title>{}</title>\n  <plot>As it was &amp; is.</plot>\n  <year>{}</year>\n</movie>\n"
_EPISODE_NFO = (
    "<episodedetails>\n  <title>{}</title>\n  <season>1</season>\n  <episode>{}</episode>\n</episodedetails>\n"
)
_SEASON_NFO = "<season>\n  <seasonnumber>1</seasonnumber>\n  <tvshowtitle>Series (2010)</tvshowtitle>\n</season>\n"
_SHOW_NFO = "<tvshow>\n  <title>Series</title>\n  <year>2010</year>\n</tvshow>\n"
_MINE = "<movie>\n  <title>What I call it</title>\n</movie>\n"


class Former:
    """What the other plugin leaves in an output root."""

    def __init__(self, plugin: Installed, base_url: str, plural: str = "") -> None:
        self.root = plugin.root
        with psycopg.connect(plugin.dispatcharr.database) as session:
            movies = session.execute("SELECT name, year, uuid, id FROM vod_movie ORDER BY id").fetchall()
            episodes = session.execute("SELECT name, episode_number, uuid, id FROM vod_episode ORDER BY id").fetchall()
        self.noted: dict[str, dict[str, str]] = {}
        for name, year, uuid, number in movies:
            folder = self.root / "Movies" / f"{name} ({year})"
            url = f"{base_url}/proxy/vod/movie{plural}/{uuid}?stream_id={number}"
            self._write(folder / f"{name} ({year}).strm", url, "movie", uuid)
            (folder / "movie.nfo").write_text(_MOVIE_NFO.format(name, year))
        season = self.root / "TV" / "Series (2010)" / "Season 01"
        for name, number, uuid, _ in episodes:
            url = f"{base_url}/proxy/vod/episode{plural}/{uuid}"
            self._write(season / f"S01E{number:02} - {name}.strm", url, "episode", uuid)
            (season / f"S01E{number:02}.nfo").write_text(_EPISODE_NFO.format(name, number))
        (season / "season.nfo").write_text(_SEASON_NFO)
        (season.parent / "tvshow.nfo").write_text(_SHOW_NFO)

    def _write(self, path: Path, url: str, kind: str, uuid: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{url}\n")
        self.noted[str(path)] = {"uuid": str(uuid), "type": kind, "url": url}

    def note(self) -> None:
        """Leave its note of what it has written."""
        (self.root / ".vod2strm_manifest.json").write_text(json.dumps({"files": self.noted, "version": 1}))


def _contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("base_url", "plural", "has_note"),
    [(BASE_URL, "s", False), (_OLD_URL, "", True)],
)
def test_what_it_wrote_becomes_ours(plugin: Installed, base_url: str, plural: str, has_note: bool) -> None:
    plugin.type(output_root=str(plugin.root / "fresh"))
    plugin.run("generate_all")
    fresh = _contents(plugin.root / "fresh")
    plugin.root /= "old"
    former = Former(plugin, base_url, plural)
    if has_note:
        former.note()
    mine = former.root / "Movies" / "Film 2 (2002)"
    (mine / "movie.nfo").write_text(_MINE)
    strm = (mine / "Film 2 (2002).strm").stat()
    os.utime(mine / "movie.nfo", ns=(strm.st_atime_ns, strm.st_mtime_ns + 60_000_000_000))
    (mine / "poster.jpg").write_bytes(b"my poster")
    (former.root / "Movies" / "My own.strm").write_text("http://elsewhere/film.mkv\n")
    before = _contents(former.root)
    plugin.type(output_root=str(former.root), cleanup="apply")

    said = plugin.run("preview_cleanup")
    assert said.get("error") is None
    assert _contents(former.root) == before
    report = (plugin.folder / "reports" / Path(said["report"]).name).read_text()
    assert "would" in report

    said = plugin.run("generate_all")
    after = _contents(former.root)
    mine_now = {"Movies/Film 2 (2002)/movie.nfo": _MINE.encode(), "Movies/Film 2 (2002)/poster.jpg": b"my poster"}
    kept = {"Movies/My own.strm": b"http://elsewhere/film.mkv\n"}
    note = {name: content for name, content in before.items() if name.startswith(".")}
    assert after == fresh | mine_now | kept | note


def test_what_leads_elsewhere_and_was_not_noted_is_not_its(plugin: Installed) -> None:
    Former(plugin, _OLD_URL)
    before = _contents(plugin.root)
    plugin.type(cleanup="apply")
    plugin.run("generate_all")
    after = _contents(plugin.root)
    assert before.items() <= after.items()
