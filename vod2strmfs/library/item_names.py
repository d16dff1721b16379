"""The names of nodes, from their items. What is in a legal name is decided in `library.names`."""

from vod2strmfs.library.contents import Item
from vod2strmfs.library.items import Category, Episode, Season, Version
from vod2strmfs.library.names import (
    episode_name,
    fit,
    folder_name,
    folder_tag,
    safe_name,
    season_name,
    short_episode_name,
)
from vod2strmfs.settings import LibrarySettings

NO_CATEGORY = "Uncategorised"
"""The folder of titles without a category."""

_PLAIN_SPECIALS = "Season 00"
_SPECIALS = {"emby": _PLAIN_SPECIALS, "plex": _PLAIN_SPECIALS}
"""The folder of specials that Emby and Plex document; the others know `Season 00 (Specials)`."""


def node_name(item: Item, settings: LibrarySettings, tag: str = "") -> str:
    """The name of a category's, movie's, series' or season's directory, or of an episode's files without extension.

    Args:
        item: the item to be named.
        settings: the library's settings.
        tag: the end of the name that tells it from another item's; see `names.disambiguator`.

    Raises:
        TypeError: the item is a version.
    """
    match item:
        case Episode():
            return episode_name(item.season, item.number, item.title, tag, item.label, name_max=settings.name_max)
        case Season():
            if specials := _SPECIALS.get(settings.media_server):
                return season_name(item.number, specials=specials)
            return season_name(item.number)
        case Category():
            return fit(safe_name(item.name) if item.name.strip() else NO_CATEGORY, tag, name_max=settings.name_max)
        case Version():
            raise TypeError("the name of a version depends on its folder's: see version_name")
        case _:
            tag = folder_tag(settings.folder_ids, item.tmdb, item.imdb) + tag
            return folder_name(item.title, item.year or None, tag, name_max=settings.name_max)


def mark_of(name: str, plain: str | None) -> str:
    """The tag at the end of a name that tells it from another, with its leading space; "" where there is none.

    Args:
        name: the name of a directory.
        plain: the name before a collision changed it; None where it is the name.
    """
    return "".join(name.rpartition(" [")[1:]) if plain is not None else ""


def version_name(folder: str, label: str, settings: LibrarySettings, tag: str = "") -> str:
    """The name, without extension, of one of several .strm files of a movie: `Heat (1995) - Provider`.

    Jellyfin shows files as versions of one movie when their names begin with that of the folder.
    """
    return fit(f"{folder} - {safe_name(label)}", tag, reserve=len(".strm"), name_max=settings.name_max)


def account_tag(account: str) -> str:
    """The tag of a version that has the label of another one. It is short enough to leave the folder's name whole."""
    return fit(f" {safe_name(account)}", name_max=30)


def alias_name(item: Item, settings: LibrarySettings, tag: str = "") -> str:
    """The name, without extension, of an episode's second NFO; "" where there is none.

    `S01E01.nfo` is what the original specification asks for. No server reads it, but scripts may.
    """
    if isinstance(item, Episode) and settings.media_server in ("any", "spec"):
        return short_episode_name(item.season, item.number, tag)
    return ""
