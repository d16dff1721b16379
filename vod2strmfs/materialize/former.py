"""How files are known that the plugin vod2strm by cmc0619 wrote, so that its users need not begin with an empty folder.

It wrote URLs like ours, and noted in the output root which. Its NFOs have no declaration, few elements in one order,
and are written right after the .strm that they belong to. One that was written later was updated, or edited by
somebody: it is taken for the user's.
"""

import json
import os
import re
from collections.abc import Collection

URL = re.compile(
    rb"https?://\S+/proxy/vod/(?:movie|episode)s?/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\?\S*)?\n?"
)
"""Matches the content of its .strm files, whatever the address of Dispatcharr was; the UUID is its group."""
MOVIE_PATHS = ("/proxy/vod/movie/{uuid}", "/proxy/vod/movies/{uuid}")
EPISODE_PATHS = ("/proxy/vod/episode/{uuid}", "/proxy/vod/episodes/{uuid}")
"""The paths of its URLs below the address of Dispatcharr, the original specification's among them."""
_MANIFEST = ".vod2strm_manifest.json"
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITTEN_WITHIN = 5_000_000_000
"""Nanoseconds between a .strm and its NFO."""
_TEXT = rb"[^<>]*"
_ELEMENTS = b"".join(
    rb"(?:  <%s>%s</%s>\n)?" % (tag, _TEXT, tag.partition(b" ")[0])
    for tag in (
        b"title", b"plot", b"season", b"episode", b"aired", b"plot", b"year", b"rating", b"genre",
        b'uniqueid type="tmdb"', b'uniqueid type="imdb"', b"thumb",
    )
)  # fmt: skip
_NFO = re.compile(rb"<(movie|episodedetails|tvshow)>\n%s</\1>\n" % _ELEMENTS)
_SEASON = re.compile(
    rb"<season>\n  <seasonnumber>\d+</seasonnumber>\n  <tvshowtitle>%s</tvshowtitle>\n</season>\n" % _TEXT
)


def noted_urls(root: int) -> frozenset[bytes]:
    """The URLs that it has noted as its own; none if there is no such note.

    Args:
        root: the descriptor of the output root.
    """
    try:
        with open(os.open(_MANIFEST, _FLAGS, dir_fd=root), "rb") as file:
            noted = json.load(file)["files"].values()
        return frozenset(entry["url"].encode() for entry in noted)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return frozenset()


def wrote_nfo(content: bytes, mtime: int, strm_mtimes: Collection[int]) -> bool:
    """Whether the plugin wrote an NFO, and nobody has changed it since.

    Args:
        content: of the NFO.
        mtime: of the NFO, ns.
        strm_mtimes: of the .strm files that it may belong to.
    """
    at_once = any(0 <= mtime - strm <= _WRITTEN_WITHIN for strm in strm_mtimes)
    return at_once and _NFO.fullmatch(content) is not None


def wrote_season(content: bytes) -> bool:
    """Whether the plugin wrote the NFO of a season."""
    return _SEASON.fullmatch(content) is not None
