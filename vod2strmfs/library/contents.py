"""The contents of files: the URL of a .strm, the XML of an .nfo. The same functions size, compare and serve them."""

import re
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from vod2strmfs.library import nfo
from vod2strmfs.library.items import (
    Category,
    Episode,
    LabelledVersion,
    Movie,
    Season,
    Series,
    TaggedMovie,
    TaggedSeries,
    Title,
    Version,
)
from vod2strmfs.library.kinds import NodeKind
from vod2strmfs.settings import LibrarySettings, MediaServer

Item = Movie | Series | Season | Episode | Category | Version
ItemT = TypeVar("ItemT", Movie, Series, Season, Episode, Category, Version)

_ITEMS: dict[int, type[Item]] = {
    NodeKind.MOVIE: TaggedMovie,
    NodeKind.SERIES: TaggedSeries,
    NodeKind.SEASON: Season,
    NodeKind.EPISODE: Episode,
    NodeKind.CATEGORY: Category,
    NodeKind.VERSION: LabelledVersion,
}
_FOR_KODI = b"#KODIPROP:mimetype=video/x-matroska\n"
"""The line from which Kodi takes a film's type, right or wrong. Without it, Kodi asks the server first: with HEAD,
which Dispatcharr refuses, and then with GET, so that one start of a film is three connections to the provider. Jellyfin
skips the line; Emby joins the lines of a .strm."""
_KODI_LINE_BYTES = 4095
"""Bytes of a line from which on Kodi leaves the film out, in silence."""
_ENCODER = msgspec.msgpack.Encoder()


class Record(NamedTuple):
    """All that the contents of a node's files are made from."""

    kind: int
    """A NodeKind."""
    uuid: str
    account: int
    stream: str
    item: bytes
    """The item, as `encode` gives it."""
    seasons: tuple[int | None, ...] = ()
    """The numbers of a series' seasons, ascending, None last; else empty."""
    provider: str = ""
    """The provider's URL up to the kind of item, with its password, where direct URLs are asked for and possible."""
    mark: str = ""
    """The mark in a series' NFO, see `nfo.tvshow_nfo`; else empty."""


def encode(item: Item) -> bytes:
    """An item in the form in which the index keeps it (MessagePack); equal for equal items."""
    return _ENCODER.encode(item)


def decode(data: bytes, item: type[ItemT]) -> ItemT:
    """The inverse of `encode`.

    Raises:
        msgspec.MsgspecError: the data are not an item of that type.
    """
    return msgspec.msgpack.decode(data, type=item)


def decode_kind(data: bytes, kind: int) -> Item:
    """The item of a node of some NodeKind, as `encode` gave it.

    Raises:
        msgspec.MsgspecError: the data are not an item of that kind.
    """
    return msgspec.msgpack.decode(data, type=_ITEMS[kind])


def strm(record: Record, settings: LibrarySettings) -> bytes:
    """The content of a .strm file: one URL and one line end; for Kodi, a line before the URL."""
    url = (direct_url(record) if record.provider else proxy_url(record, settings)).encode()
    return _FOR_KODI + url + b"\n" if settings.media_server == "kodi" else url + b"\n"


def url_of(content: bytes) -> str:
    """The URL in a .strm of ours."""
    return content.decode().splitlines()[-1]


def long_strm(media_server: MediaServer) -> int:
    """The size, in bytes, from which on a .strm has a URL that is too long for Kodi."""
    return _KODI_LINE_BYTES + 1 + (len(_FOR_KODI) if media_server == "kodi" else 0)


def proxy_url(record: Record, settings: LibrarySettings) -> str:
    """Dispatcharr's URL. Its proxy finds a title by the pinned stream when a refresh has re-created its UUID."""
    path = settings.episode_path if record.kind == NodeKind.EPISODE else settings.movie_path
    url = settings.base_url + path.replace("{uuid}", record.uuid)
    if settings.pin_stream:
        mark = "&" if "?" in path else "?"
        url += f"{mark}stream_id={_quoted(record.stream)}&m3u_account_id={record.account}"
    return url


def direct_url(record: Record) -> str:
    """The URL of an Xtream panel: `SERVER/movie/USER/PASSWORD/STREAM.EXTENSION`, `series` for episodes."""
    item = decode_kind(record.item, record.kind)
    extension = item.extension if isinstance(item, Movie | Episode | Version) else ""
    kind = "series" if record.kind == NodeKind.EPISODE else "movie"
    return record.provider.replace("{kind}", kind) + f"{_quoted(record.stream)}.{extension or 'mp4'}"


def provider_url(server: str, user: str, password: str) -> str:
    """The beginning of an Xtream account's URLs, with `{kind}` where the kind of item belongs.

    Args:
        server: as Dispatcharr accepts it: perhaps with spaces, or a pasted address of the panel's API.
        user: the account's.
        password: the account's.

    Returns:
        "" where there is no server.
    """
    address = re.split(r"[?#]", "".join(server.split()), maxsplit=1)[0].rstrip("/")
    address = re.sub(r"(?<![:/])/+[^/]+\.php$", "", address, flags=re.IGNORECASE).rstrip("/")
    if not address:
        return ""
    if "://" not in address:
        address = f"http://{address}"
    return f"{address}/{{kind}}/{_quoted(user)}/{_quoted(password)}/"


def _quoted(text: str) -> str:
    if text.isalnum() and text.isascii():  # nearly all stream ids are; quote() costs as much as all the rest of a .strm
        return text
    return quote(text, safe="", errors="replace")


def nfo_file(record: Record, settings: LibrarySettings) -> bytes:
    """The NFO of a movie, a series, a season or an episode."""
    return nfo_of(decode_kind(record.item, record.kind), settings, record.seasons, record.mark)


def nfo_of(item: Item, settings: LibrarySettings, seasons: tuple[int | None, ...] = (), mark: str = "") -> bytes:
    """The NFO of an item; see `Record` for the seasons and the mark."""
    if settings.artwork == "off" and isinstance(item, Title):
        item = msgspec.structs.replace(item, poster="", fanart=())
    match item:
        case Movie():
            return nfo.movie_nfo(item, settings.media_server)
        case Series():
            return nfo.tvshow_nfo(item, seasons, settings.media_server, mark)
        case Season():
            return nfo.season_nfo(item, settings.media_server)
        case Episode():
            return nfo.episode_nfo(item, settings.media_server)
        case Category() | Version():
            return b""
