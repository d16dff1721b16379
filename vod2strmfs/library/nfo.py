"""NFO files: the XML in which media servers read an item.

An NFO has two spaces of indentation, one element a line, and nothing empty; the same item always gives the same bytes.
The order of elements is of no matter to the servers and made for people: what it is, when, what about, who, how it
looks.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from vod2strmfs.library.items import Episode, Movie, Season, Series, TaggedMovie, TaggedSeries, Title, Video
from vod2strmfs.library.names import UNKNOWN_SEASON
from vod2strmfs.settings import MediaServer


class _Forms(NamedTuple):
    """The forms of an NFO that servers disagree about: whether each is written."""

    id_elements: bool = True
    """`<tmdbid>` and `<imdbid>` beside `<uniqueid>`: all but Kodi."""
    rating: bool = True
    """A bare `<rating>`: all but Kodi."""
    ratings: bool = True
    """The block with maximum and default: Kodi. Jellyfin ignores these two, Emby honours them."""
    order: bool = True
    """An actor's `<order>`: Jellyfin, Kodi."""
    sort_order: bool = True
    """An actor's `<sortorder>`: Jellyfin, Emby."""
    remote_art: bool = True
    """`<thumb>` and `<fanart>` with URLs: all but Emby, which takes image files alone."""
    series_day: bool = True
    """The first day of the year where only the year of a series is known: Kodi takes a series' year from its day
    alone, and a series of 1970 has none. Two of one title and one day are one series to it."""
    episode_day: bool = False
    """The first day of the year where only the year of an episode is known: Kodi. Others show the day."""


_FORMS: dict[MediaServer, _Forms] = {
    "any": _Forms(),
    "jellyfin": _Forms(ratings=False, sort_order=False, series_day=False),
    "emby": _Forms(ratings=False, order=False, remote_art=False, series_day=False),
    "kodi": _Forms(id_elements=False, rating=False, sort_order=False, episode_day=True),
    "plex": _Forms(series_day=False),
    "spec": _Forms(series_day=False),
}


def movie_nfo(item: Movie, media_server: MediaServer = "any") -> bytes:
    """`movie.nfo`, or the NFO that is named like the movie's file."""
    forms = _FORMS[media_server]
    lines = _titles(item)
    _add_story(lines, item, "premiered")
    _add_ids(lines, item, forms)
    _add_details(lines, item, forms)
    if isinstance(item, TaggedMovie):
        _add_tags(lines, item.tags)
    _add_art(lines, item, forms, ' aspect="poster"')
    _add_streams(lines, item.video)
    return _document("movie", lines)


def tvshow_nfo(item: Series, seasons: Iterable[int | None], media_server: MediaServer = "any", mark: str = "") -> bytes:
    """`tvshow.nfo`, the NFO of a series.

    Args:
        item: the series.
        seasons: the numbers of the seasons that it has; None (unknown) gets no name.
        media_server: the server whose forms are written.
        mark: the tag that its folder's name has behind title and year, to tell it from another series of that name.
    """
    forms = _FORMS[media_server]
    lines = _titles(item, mark=mark if forms.series_day else "")
    _add_story(lines, item, "premiered", forms.series_day)
    _add_ids(lines, item, forms)
    _add_details(lines, item, forms)
    if isinstance(item, TaggedSeries):
        _add_tags(lines, item.tags)
    _add_art(lines, item, forms, ' aspect="poster"')
    for number in seasons:
        if number is not None:
            lines.append(f'  <namedseason number="{number}">{_season_title(number)}</namedseason>')
    return _document("tvshow", lines)


def season_nfo(item: Season, media_server: MediaServer = "any") -> bytes:
    """`season.nfo`: Jellyfin takes the title from `<seasonname>`, Emby from `<title>`; Kodi reads none."""
    title = _season_title(item.number)
    lines = [f"  <title>{title}</title>", f"  <seasonname>{title}</seasonname>"]
    if item.number is not None:
        lines.append(f"  <seasonnumber>{item.number}</seasonnumber>")
    return _document("season", lines)


def episode_nfo(item: Episode, media_server: MediaServer = "any") -> bytes:
    """The NFO of an episode, whose `<thumb>` is a still and no poster."""
    forms = _FORMS[media_server]
    lines = _titles(item, _episode_title(item.number))
    if item.season is not None:
        lines.append(f"  <season>{item.season}</season>")
    if item.number is not None:
        lines.append(f"  <episode>{item.number}</episode>")
    _add_story(lines, item, "aired", forms.episode_day)
    _add_ids(lines, item, forms)
    _add_details(lines, item, forms)
    _add_art(lines, item, forms, "")
    _add_streams(lines, item.video)
    return _document("episodedetails", lines)


def _season_title(number: int | None) -> str:
    if number is None:
        return UNKNOWN_SEASON
    return f"Season {number}" if number else "Specials"


def _episode_title(number: int | None) -> str:
    """The title of an episode that has none: Kodi would show nothing at all."""
    return "Episode Unknown" if number is None else f"Episode {number}"


def _titles(item: Title, untitled: str = "", mark: str = "") -> list[str]:
    """The lines with a title and an original title.

    Args:
        item: the item that has them.
        untitled: the title where the item's is empty.
        mark: the text behind the title.
    """
    lines = [f"  <title>{_escape((item.title or untitled) + mark)}</title>"]
    if item.original_title:
        lines.append(f"  <originaltitle>{_escape(item.original_title)}</originaltitle>")
    return lines


def _add_story(lines: list[str], item: Title, date_element: str, any_day: bool = False) -> None:
    """Add the lines with the plot of an item, and with the day and year when it was first shown.

    The year stands beside the day because Jellyfin takes the one and Kodi the other first.

    Args:
        lines: the lines to add to.
        item: the item.
        date_element: the name of the element for the day.
        any_day: whether a year without a day gets one.
    """
    if item.year:
        lines.append(f"  <year>{item.year}</year>")
    if item.premiered:
        lines.append(f"  <{date_element}>{item.premiered}</{date_element}>")
    elif any_day and item.year:
        lines.append(f"  <{date_element}>{item.year}-01-01</{date_element}>")
    if item.plot:
        lines.append(f"  <plot>{_escape(item.plot)}</plot>")
    if item.runtime:
        lines.append(f"  <runtime>{item.runtime}</runtime>")
    if item.mpaa:
        lines.append(f"  <mpaa>{_escape(item.mpaa)}</mpaa>")


def _add_ids(lines: list[str], item: Title, forms: _Forms) -> None:
    """Add the lines with an item's ids. Kodi wants one of them marked as the default."""
    default = ' default="true"'
    for kind, identifier in (("tmdb", item.tmdb), ("imdb", item.imdb)):
        if identifier:
            lines.append(f'  <uniqueid type="{kind}"{default}>{identifier}</uniqueid>')
            if forms.id_elements:
                lines.append(f"  <{kind}id>{identifier}</{kind}id>")
            default = ""


def _add_details(lines: list[str], item: Title, forms: _Forms) -> None:
    if item.rating:
        lines.append(_rating(item.rating, forms.ratings, forms.rating))
    if item.genres:
        lines.append(_several("genre", item.genres))
    if item.countries:
        lines.append(_several("country", item.countries))
    if item.directors:
        lines += [f"  <director>{director}</director>" for director in _escape_all(item.directors)]
    if item.actors:
        orders = _orders(len(item.actors), forms.order, forms.sort_order)
        lines += [
            f"  <actor>\n    <name>{actor}</name>\n{order}  </actor>"
            for actor, order in zip(_escape_all(item.actors), orders, strict=True)
        ]
    if item.added:
        day, seconds = divmod(item.added, 86_400)
        minute, second = divmod(seconds, 60)
        lines.append(f"  <dateadded>{_day(day)} {_time(minute)}:{second:02}</dateadded>")


def _add_tags(lines: list[str], tags: Iterable[str]) -> None:
    lines += [f"  <tag>{_escape(tag)}</tag>" for tag in tags]


# What many items share is put together once: a sync renders every NFO, to know its size.


@lru_cache(maxsize=1024)
def _rating(rating: float, ratings: bool, bare: bool) -> str:
    """The lines of a rating, in both forms or one."""
    parts = [_RATINGS.format(rating)] if ratings else []
    if bare:
        parts.append(f"  <rating>{rating:g}</rating>")
    return "\n".join(parts)


_RATINGS = """\
  <ratings>
    <rating name="default" max="10" default="true">
      <value>{:g}</value>
    </rating>
  </ratings>"""


@lru_cache(maxsize=1024)
def _several(name: str, texts: tuple[str, ...]) -> str:
    """The lines of several elements of one name."""
    return "\n".join(f"  <{name}>{text}</{name}>" for text in _escape_all(texts))


@lru_cache(maxsize=128)
def _orders(number: int, order: bool, sort_order: bool) -> tuple[str, ...]:
    """The places of so many actors, with a line end after each line."""
    first = "    <order>{0}</order>\n" if order else ""
    second = "    <sortorder>{0}</sortorder>\n" if sort_order else ""
    return tuple((first + second).format(place) for place in range(number))


@lru_cache(maxsize=1024)
def _day(number: int) -> str:
    """A day, by its number since 1970."""
    return f"{_EPOCH + timedelta(days=number)}"


@lru_cache(maxsize=1440)
def _time(minute: int) -> str:
    """Hours and minutes, by the number of the minute in a day."""
    return f"{minute // 60:02}:{minute % 60:02}"


_EPOCH = date(1970, 1, 1)


def _add_art(lines: list[str], item: Title, forms: _Forms, aspect: str) -> None:
    if item.trailer:
        # The form that Jellyfin understands, and Kodi plays.
        lines.append(
            f"  <trailer>plugin://plugin.video.youtube/?action=play_video&amp;videoid={item.trailer}</trailer>"
        )
    if forms.remote_art:
        if item.poster:
            lines.append(f"  <thumb{aspect}>{_escape(item.poster)}</thumb>")
        if item.fanart:
            lines.append("  <fanart>")
            lines += [f"    <thumb>{_escape(url)}</thumb>" for url in item.fanart]
            lines.append("  </fanart>")


def _add_streams(lines: list[str], video: Video) -> None:
    if video == _NO_VIDEO:
        return
    picture = _picture(video.codec, video.width, video.height)
    if video.seconds:
        picture += f"        <durationinseconds>{video.seconds}</durationinseconds>\n"
    if picture:
        picture = f"      <video>\n{picture}      </video>\n"
    sound = _sound(video.audio_codec, video.channels)
    lines.append(f"  <fileinfo>\n    <streamdetails>\n{picture}{sound}    </streamdetails>\n  </fileinfo>")


_NO_VIDEO = Video()


@lru_cache(maxsize=1024)
def _picture(codec: str, width: int, height: int) -> str:
    """The elements in `<video>`, but for the duration, with a line end after each line."""
    return _element("codec", codec) + _element("width", width) + _element("height", height)


@lru_cache(maxsize=1024)
def _sound(codec: str, channels: int) -> str:
    """The element `<audio>`, with a line end after each line; "" when nothing is known."""
    elements = _element("codec", codec) + _element("channels", channels)
    return f"      <audio>\n{elements}      </audio>\n" if elements else ""


def _element(name: str, value: str | int) -> str:
    return f"        <{name}>{_escape(str(value))}</{name}>\n" if value else ""


def _escape_all(texts: tuple[str, ...]) -> Iterable[str]:
    """Several texts; most hold nothing that has to be escaped."""
    together = "".join(texts)
    return map(_escape, texts) if "&" in together or "<" in together or ">" in together else texts


def _escape(text: str) -> str:
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    return text


_DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_CONTROLS = bytes({*range(32)} - {*b"\t\n"})


def _document(root: str, lines: list[str]) -> bytes:
    """A whole NFO. Whatever XML forbids is dropped here once more, so that no item can make an NFO unreadable."""
    text = "\n".join((_DECLARATION, f"<{root}>", *lines, f"</{root}>", ""))
    if "\ufffe" in text or "\uffff" in text:
        text = text.replace("\ufffe", "").replace("\uffff", "")
    return text.encode("utf-8", "ignore").translate(None, _CONTROLS)
