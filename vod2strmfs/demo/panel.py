"""What providers' panels say of an item, as Dispatcharr keeps it in the relations' `custom_properties`.

Numbers as text, empty strings for what is unknown: the types are the panels' own.
"""

from random import Random
from typing import Any, NamedTuple

from vod2strmfs.demo.titles import person
from vod2strmfs.demo.writer import Record


class Credits(NamedTuple):
    """Who made a film or an episode, and when; `cast` is comma-separated, `released` an ISO date."""

    cast: str
    director: str
    released: str

    @classmethod
    def invent(cls, random: Random, year: int) -> "Credits":
        """Three to six actors, a director, and a day in the year."""
        cast = ", ".join(person(random) for _ in range(random.randint(3, 6)))
        return cls(cast, person(random), f"{year}-{random.randint(1, 12):02}-{random.randint(1, 28):02}")


def movie_entry(movie: Record, credits: Credits, stream_id: str, poster: str, category: Record) -> dict[str, Any]:
    """An entry of the panel's list of movies (`basic_data`)."""
    return _entry(movie, credits, category) | {
        "num": int(stream_id),
        "title": movie.name,
        "year": str(movie.year or ""),
        "stream_type": "movie",
        "stream_id": int(stream_id),
        "stream_icon": poster,
        "added": str(int(movie.created_at.timestamp())),
        "is_adult": str(int(movie.is_adult)),
        "category_ids": [category.id],
        "container_extension": "mkv",
        "custom_sid": None,
        "direct_source": "",
        "tmdb": movie.tmdb_id or "",
        "trailer": _trailer(movie),
        "release_date": credits.released,
    }


def movie_detail(random: Random, movie: Record, credits: Credits, poster: str) -> dict[str, Any]:
    """What the panel adds when it is asked for one movie (`detailed_info`)."""
    return {
        "name": movie.name,
        "o_name": movie.name,
        "cover_big": poster,
        "backdrop_path": [poster.replace("poster", "backdrop")],
        "cast": credits.cast,
        "actors": credits.cast,
        "director": credits.director,
        "genre": movie.genre,
        "country": random.choice(("United Kingdom", "Ireland", "Denmark", "Canada", "")),
        "mpaa_rating": random.choice(("PG", "PG-13", "R", "")),
        "plot": movie.description,
        "releasedate": credits.released,
        **stream_facts(random, movie.duration_secs),
    }


def movie_data(movie: Record, stream_id: str, category: Record) -> dict[str, Any]:
    """The stream that the panel names along with the details."""
    return {
        "stream_id": int(stream_id),
        "name": movie.name,
        "added": str(int(movie.created_at.timestamp())),
        "category_id": str(category.id),
        "container_extension": "mkv",
    }


def series_entry(series: Record, credits: Credits, series_id: str, poster: str, category: Record) -> dict[str, Any]:
    """An entry of the panel's list of series (`basic_data`)."""
    return _entry(series, credits, category) | {
        "num": int(series_id),
        "series_id": int(series_id),
        "cover": poster,
        "backdrop_path": [poster.replace("poster", "backdrop")],
        "releaseDate": credits.released,
        "last_modified": str(int(series.updated_at.timestamp())),
        "youtube_trailer": _trailer(series),
        "episode_run_time": "45",
    }


def episode_entry(random: Random, episode: Record, stream_id: str) -> dict[str, Any]:
    """An episode in the panel's answer for its series (`info`)."""
    return {
        "id": stream_id,
        "title": episode.name,
        "season": episode.season_number,
        "episode_num": episode.episode_number,
        "container_extension": "mkv",
        "added": str(int(episode.created_at.timestamp())),
        "custom_sid": "",
        "direct_source": "",
        "info": {
            "plot": episode.description or "",
            "releasedate": episode.air_date or "0000-00-00",
            "rating": episode.rating or "",
            "movie_image": f"https://images.example/still/{episode.id}.jpg",
            **stream_facts(random, episode.duration_secs),
        },
    }


def stream_facts(random: Random, seconds: int) -> dict[str, Any]:
    """Duration, bitrate (kbit/s), picture and sound."""
    width, height, codec = random.choice(_PICTURES)
    channels = random.choice((2, 6))
    return {
        "duration_secs": seconds,
        "duration": f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}",
        "bitrate": random.randint(1500, 12000),
        "video": {"codec_name": codec, "width": width, "height": height},
        "audio": {"codec_name": "eac3" if channels == 6 else "aac", "channels": channels},
    }


_PICTURES = ((1920, 1080, "h264"), (1920, 1080, "hevc"), (1280, 720, "h264"), (3840, 2160, "hevc"), (720, 576, "mpeg4"))


def _entry(item: Record, credits: Credits, category: Record) -> dict[str, Any]:
    return {
        "name": item.name,
        "plot": item.description or "",
        "cast": credits.cast,
        "director": credits.director,
        "genre": item.genre,
        "rating": item.rating,
        "rating_5based": round(float(item.rating) / 2, 1),
        "category_id": str(category.id),
    }


def _trailer(item: Record) -> str:
    return f"demo{item.id:07}" if item.id % 3 == 0 else ""
