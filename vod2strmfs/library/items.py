"""Items: what the library shows of a movie, a series or an episode, from the content of the catalogue's rows.

The index keeps items as MessagePack arrays, so the order of their fields stays. A field that is empty or None is not
shown. Texts hold no control characters, but for a plot's line feeds; `extract.texts` decides their form.
"""

import msgspec


class Video(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Stream details (`<streamdetails>`) where the relation knows them."""

    codec: str = ""
    width: int = 0
    height: int = 0
    audio_codec: str = ""
    channels: int = 0
    seconds: int = 0
    """The duration, where it is known."""


class Title(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, kw_only=True):
    """What movies, series and episodes have in common."""

    title: str = ""
    """Cleaned; never empty for a movie or series, may be empty for an episode."""
    original_title: str = ""
    """The provider's title, only where cleaning took more from it than the year."""
    plot: str = ""
    year: int = 0
    premiered: str = ""
    """`yyyy-MM-dd`; for an episode the day it aired."""
    runtime: int = 0
    """Minutes."""
    rating: float = 0.0
    """0 < rating <= 10."""
    mpaa: str = ""
    tmdb: str = ""
    """Digits only."""
    imdb: str = ""
    """`tt` and digits."""
    genres: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    directors: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    trailer: str = ""
    """A YouTube video id (11 characters)."""
    poster: str = ""
    """http(s) URL."""
    fanart: tuple[str, ...] = ()
    """http(s) URLs."""
    added: int = 0
    """Seconds since the epoch when the provider added it; 0 where unknown."""
    category: str = ""
    adult: bool = False


class Movie(Title, frozen=True, array_like=True, omit_defaults=True, kw_only=True):
    """A movie."""

    video: Video = Video()
    extension: str = ""
    """The container's, without the dot; used for direct URLs."""


class Series(Title, frozen=True, array_like=True, omit_defaults=True, kw_only=True):
    """A series; its seasons are separate."""


# What most items lack has a class of its own: another field would be another item in every index that is there.


class SpokenMovie(Movie, frozen=True, array_like=True, omit_defaults=True, kw_only=True):
    """A movie of which Dispatcharr knows the language."""

    language: str = ""
    """A code such as `EN`."""


class SpokenSeries(Series, frozen=True, array_like=True, omit_defaults=True, kw_only=True):
    """A series of which Dispatcharr knows the language."""

    language: str = ""
    """A code such as `EN`."""


class TaggedMovie(SpokenMovie, frozen=True, array_like=True, omit_defaults=True, kw_only=True):
    """A movie of which Dispatcharr knows the quality, or whose NFO says which versions there are (`version_tags`)."""

    tags: tuple[str, ...] = ()
    """Names of languages, then of qualities."""
    quality: str = ""
    """As its category is tagged: a name such as `4K`."""


class TaggedSeries(SpokenSeries, frozen=True, array_like=True, omit_defaults=True, kw_only=True):
    """A series of which Dispatcharr knows the quality, or whose NFO says which versions there are (`version_tags`)."""

    tags: tuple[str, ...] = ()
    """As a movie's."""
    quality: str = ""
    """As a movie's."""


class Episode(Title, frozen=True, array_like=True, omit_defaults=True, kw_only=True):
    """An episode."""

    season: int | None = None
    number: int | None = None
    label: str = ""
    """The account's name, where every relation has files of its own."""
    video: Video = Video()
    extension: str = ""


class Season(msgspec.Struct, frozen=True, array_like=True):
    """A season of a series: its number (None for episodes whose season is unknown) and the series' title."""

    number: int | None
    series_title: str


class Version(msgspec.Struct, frozen=True, array_like=True):
    """One relation of a movie, where each has a .strm of its own."""

    label: str
    """The account's name; of a `LabelledVersion` another one."""
    extension: str
    """As of a movie."""


class LabelledVersion(Version, frozen=True, array_like=True):
    """A version that language and quality tell from others."""

    account: str = ""
    """The account's name; "" where that is the label."""


class Category(msgspec.Struct, frozen=True, array_like=True):
    """A category, as the folder between `Movies` or `TV` and the titles."""

    name: str
    """As the provider wrote it; empty for titles without one."""
