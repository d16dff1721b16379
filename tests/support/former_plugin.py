"""What the plugin vod2strm leaves in an output root: its names, with titles as panels send them, its URLs and its NFOs.

    python former_plugin.py DATABASE ROOT BASE_URL

The names and paths are those of its specification, and the NFOs those that cmc0619's release of it writes.
"""

import sys
from pathlib import Path
from xml.sax.saxutils import escape

import psycopg

_MOVIES = """
    SELECT DISTINCT name, coalesce(year, 0), uuid FROM vod_movie JOIN vod_m3umovierelation ON movie_id = vod_movie.id
    ORDER BY 1, 2, 3"""
_EPISODES = """
    SELECT DISTINCT vod_series.name, coalesce(year, 0), coalesce(season_number, 0), coalesce(episode_number, 0),
        vod_episode.name, vod_episode.uuid
    FROM vod_episode JOIN vod_series ON vod_series.id = series_id
    JOIN vod_m3uepisoderelation ON episode_id = vod_episode.id ORDER BY 1, 2, 3, 4, 5, 6"""
_MOVIE_NFO = "<movie>\n  <title>{}</title>\n</movie>\n"
_EPISODE_NFO = (
    "<episodedetails>\n  <title>{}</title>\n  <season>{}</season>\n  <episode>{}</episode>\n</episodedetails>\n"
)
_SEASON_NFO = "<season>\n  <seasonnumber>{}</seasonnumber>\n  <tvshowtitle>{}</tvshowtitle>\n</season>\n"


def fill(database: str, root: Path, base_url: str) -> None:
    """Write the tree for all that a database holds."""
    with psycopg.connect(database) as session:
        movies = session.execute(_MOVIES).fetchall()
        episodes = session.execute(_EPISODES).fetchall()
    for title, year, uuid in movies:
        name = _name(title, year)
        folder = root / "Movies" / name
        _write(folder / f"{name}.strm", f"{base_url}/proxy/vod/movies/{uuid}")
        _write(folder / "movie.nfo", _MOVIE_NFO.format(escape(title)))
    for series, year, season, number, title, uuid in episodes:
        folder = root / "TV" / _name(series, year) / (f"Season {season:02}" if season else "Season 00 (Specials)")
        code = f"S{season:02}E{number:02}"
        _write(folder / f"{code} – {_safe(title)}.strm", f"{base_url}/proxy/vod/episodes/{uuid}")
        _write(folder / f"{code}.nfo", _EPISODE_NFO.format(escape(title), season, number))
        _write(folder / "season.nfo", _SEASON_NFO.format(season, escape(series)))


def _name(title: str, year: int) -> str:
    return f"{_safe(title)} ({year})" if year else _safe(title)


def _safe(title: str) -> str:
    return "".join("_" if character in '/\\:*?"<>|' else character for character in title).strip()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    fill(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
