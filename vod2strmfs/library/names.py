"""Names of folders and files: legal on every file system, harmless to media servers, at most 255 bytes.

A name is legal when Linux, macOS and Windows clients (SMB) can all show and open it. It is harmless when no media
server takes the file for a trailer, a sample or another extra, or skips the folder:

* Jellyfin drops a file whose name ends in `-trailer`, `-sample`, `-scene` and the like, whatever digits follow, and
  one that is called `sample` or `trailer`. Older versions also drop ` trailer` and ` sample` at the end.
* Kodi drops a path with `-trailer` anywhere, or with `sample` as a word of its own.
* Both skip folders with names such as `extras`, `subs` or `metadata`.

So `trailer` and `sample` stand in apostrophes where they would be taken for a mark (`Free 'Sample'`), and the hyphen
before the other words becomes a space (`Crime-Scene` at the end: `Crime Scene`). Titles in NFOs stay as they are.

The name of an episode's files holds one number, its own. Kodi takes each further `S01E02` in a name, in any case and
without word borders, for another episode in the same file, Jellyfin some ranges for its end; and where the name begins
with no number of its own, both find one in nearly any figures, whatever the NFO says. Those figures stand in
apostrophes too: `S03E06 – What Happened in S02E'03'`, `S01 – '101' Ways`.
"""

import hashlib
import re
import unicodedata

import regex

from vod2strmfs.settings import FolderIds

NAME_MAX = 255
"""Bytes of UTF-8 that one name may have on common file systems."""
FILE_ROOM = 45
"""Bytes that stay free after the name of a folder or an episode: for a version label and `.strm`, or `-thumb.jpg`."""
PLACEHOLDER = "Untitled"
"""The name where nothing is left of a title."""
UNKNOWN_SEASON = "Season Unknown"
"""The folder of episodes without a season: Jellyfin's and Emby's own name for it. Kodi does not read season folders."""

_PLAIN = re.compile(r"[!#-)+\-0-9;=@-\[\]-{}~][!#-)+-.0-9;=@-\[\]-{}~]*(?: [!#-)+-.0-9;=@-\[\]-{}~]+)*")
_INVISIBLE = regex.compile(r"[[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Noncharacter_Code_Point}]--\s]", regex.VERSION1)
_DROPPED = re.compile(r"[?<>]|(?<![\w*])\*+|\*+(?![\w*])")
_SEPARATOR = re.compile(r"( ?)[/\\|:*]+( ?)")
_EDGES = " :/\\|"

_DEVICES = r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])"
_DEVICE = re.compile(_DEVICES + r" *$", re.IGNORECASE)
_DEVICE_AND_DOT = re.compile(rf"^{_DEVICES}(?= *\.)", re.IGNORECASE)
_DEVICE_STARTS = frozenset({"con", "prn", "aux", "nul", "com", "lpt"})

_END = r"(?=\d*[ .]*$)"
_MARK = re.compile(
    rf"(?:^|(?<=[!-._ ]))sample(?:(?=[-._ ])|{_END})|(?<=-)trailer[^\W_]*|(?:^|(?<=[._ ]))trailer{_END}", re.IGNORECASE
)
_EXTRAS = r"(?:scene|clip|short|extra|other|deleted|deletedscene|interview|featurette|behindthescenes)"
_EXTRA = re.compile(rf" ?-(?={_EXTRAS}{_END})", re.IGNORECASE)
_RAGGED_END = re.compile(rf"(?:[!-._ –]+(?:sample|trailer|{_EXTRAS})\d*)*[-. –]*$", re.IGNORECASE)

_FIGURE = re.compile("[0-9]")
_ANOTHER_NUMBER = re.compile(
    r"s[0-9]+[\]\[ ._x-]*e([0-9]+)"
    # What Jellyfin takes for the last of several episodes.
    r"|episode [0-9]+-([0-9]+)"
    r"| - [0-9]{1,3}-([0-9]{2,3})"
    r"|[0-9]x([0-9]{1,3})(?=(?:-| - )[0-9]{1,4}xe?[0-9]|(?:-| - )[0-9]{1,4}e[0-9]|(?:-| - )?[xe][0-9]|-x?e?[0-9])",
    re.IGNORECASE,
)
"""Text behind `S01E01` that servers read as a second number; the last group is what has to be kept apart."""
_ANY_NUMBER = re.compile(
    r"(?:(?<=e)|(?<=ep)|(?<=ep[ ._-])|(?<=episode )|(?<=[0-9]x)|(?<=-)|(?<=- ))([0-9]+)"
    r"|(?:(?<=[ ._-]pt[ ._-])|(?<=[ ._-]part[ ._-]))([0-9]+|[ivx]\w*)"
    r"|(?<=[ ._-])([0-9]{3,})"
    r"|([0-9]{4})(?=[ ._-][0-9]{2}[ ._-][0-9]{2})|(?<=[0-9]{2}[ ._-][0-9]{2}[ ._-])([0-9]{4})",
    re.IGNORECASE,
)
"""Text in a name without a number that servers read as one. The pattern looks at nothing behind the figures, which may
be cut."""
_HASH_NUMBER = re.compile("e(?=[0-9])")

_SKIPPED_FOLDERS = frozenset(
    {
        "backdrops", "behind the scenes", "clips", "deleted scenes", "extra", "extras", "featurettes", "interviews",
        "other", "samples", "scenes", "shorts", "trailers",
        "eadir", "extrafanart", "extrathumbs", "lost+found", "metadata", "proof", "ps3_update", "ps3_vprm", "subs",
        "system volume information", "temprec", "tempsbe", "theme-music",
    }
)  # fmt: skip

_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")


def safe_name(text: str) -> str:
    """A whole name, legal and harmless, that reads like a text; `PLACEHOLDER` when nothing is left of it.

    Characters that are not allowed give way to ones that are (`Mission: Impossible` becomes `Mission - Impossible`,
    `AC/DC` becomes `AC-DC`, `"Quoted"` becomes `'Quoted'`), or go (`What?`). Control, format and private characters
    go too, and with them the joiners of Persian words and of emoji: file systems disagree about them, and the
    title in the NFO keeps them. White space becomes single spaces; the form is NFC. Dots at either end go: a leading
    one hides a file, Windows drops a trailing one. A name that Windows reserves for a device, or that servers skip,
    gets an underscore. The name may be too long: `fit` cuts it.
    """
    name = _legible(text).rstrip(" .")
    if _DEVICE.match(name) or name.lower() in _SKIPPED_FOLDERS:
        return name + "_"
    return name or PLACEHOLDER


def _legible(text: str) -> str:
    """The text as a part of a name, which may end in dots; "" when nothing is left."""
    if not _PLAIN.fullmatch(text):
        text = _legal(text)
    lower = text.lower()
    if "sample" in lower or "trailer" in lower:
        text = _MARK.sub(r"'\g<0>'", text)
    if "-" in text:
        text = _EXTRA.sub(" ", text).lstrip()
    if lower[:3] in _DEVICE_STARTS:
        text = _DEVICE_AND_DOT.sub(r"\g<0>_", text)
    return text


def _legal(text: str) -> str:
    if not text.isprintable():
        text = _INVISIBLE.sub("", text)
    text = _DROPPED.sub("", text.replace('"', "'"))
    text = _SEPARATOR.sub(_hyphen, " ".join(text.split()).strip(_EDGES))
    return unicodedata.normalize("NFC", " ".join(text.split()).lstrip(" ."))


def _hyphen(match: re.Match[str]) -> str:
    return " - " if match[1] or match[2] else "-"


class CutName(str):
    """A name that had no room for all of its stem."""

    __slots__ = ()


def fit(stem: str, suffix: str = "", *, reserve: int = 0, name_max: int = NAME_MAX) -> str:
    """Stem and suffix in at most `name_max - reserve` bytes. Only the stem is cut, between grapheme clusters.

    A cut stem ends in no space, dot or dash, nor in a word that would make the file an extra.

    Args:
        stem: a legal name, or the beginning of one.
        suffix: what has to stay whole, such as ` (1995)`.
        reserve: bytes to keep free after the suffix.
        name_max: how many bytes a name may have.

    Returns:
        A `CutName` if the stem was cut.

    Raises:
        ValueError: suffix and reserve leave no room for a stem.
    """
    room = name_max - reserve - len(suffix.encode())
    if len(stem.encode()) <= room:
        return stem + suffix
    if room < 1:
        raise ValueError(f"no room for a name before {suffix!r} and {reserve} more bytes")
    return CutName(_cut(stem, room) + suffix)


def _cut(stem: str, room: int) -> str:
    used = end = 0
    for cluster in regex.finditer(r"\X", stem):
        used += len(cluster[0].encode())
        if used > room:
            break
        end = cluster.end()
    # One letter under hundreds of accents is a single cluster: that one is cut between code points.
    cut = stem[:end] or stem.encode()[:room].decode(errors="ignore")
    return _RAGGED_END.sub("", cut, count=1) or PLACEHOLDER[:room]


def folder_name(title: str, year: int | None, tag: str = "", *, name_max: int = NAME_MAX) -> str:
    """The folder of a movie or series, and the stem of the movie's file: `Heat (1995)`, `Heat (1995) [tmdbid-949]`.

    Args:
        title: as it is shown; made legal here.
        year: the year of the title; None or 0 where unknown.
        tag: from `folder_tag` or `disambiguator`, with its leading space.
        name_max: how many bytes a name may have.

    Returns:
        At most `name_max - FILE_ROOM` bytes.
    """
    suffix = f" ({year}){tag}" if year else tag
    stem = (_legible(title) or PLACEHOLDER) if suffix else safe_name(title)
    return fit(stem, suffix, reserve=FILE_ROOM, name_max=name_max)


def season_name(number: int | None, *, specials: str = "Season 00 (Specials)") -> str:
    """The folder of a season: `Season 01`, the specials' name for 0, `UNKNOWN_SEASON` for None or less than 0."""
    if number is None or number < 0:
        return UNKNOWN_SEASON
    return f"Season {number:02}" if number else specials


def episode_name(
    season: int | None, number: int | None, title: str, tag: str = "", label: str = "", *, name_max: int = NAME_MAX
) -> str:
    """The stem of an episode's files: `S01E01 – Pilot`, or `S01E01` where the title is empty.

    A negative number counts as unknown. What is not known is not invented, or a server would put the episode in
    another one's place: without a number it is `S01 – Pilot`, without a season `Episode 7 – Pilot`, without both
    `Episode Unknown – Pilot`. Jellyfin and Emby show these by their NFO; Kodi leaves them out.

    Args:
        season: the number of the season, 0 for specials; None where unknown.
        number: the number of the episode in its season; None where unknown.
        title: as it is shown; made legal here.
        tag: from `disambiguator`, with its leading space.
        label: the account's name, where every relation has files of its own. It may take half of the room.
        name_max: how many bytes a name may have.

    Returns:
        At most `name_max - FILE_ROOM` bytes.
    """
    code = _code(season, number)
    title = _legible(title)
    is_numbered = season is not None and season >= 0 and number is not None and number >= 0
    stem = code + _without_numbers(f" – {title}", is_numbered) if title else code
    suffix = tag if is_numbered else _HASH_NUMBER.sub("h", tag)
    if label:
        whose = _without_numbers(f" - {safe_name(label)}", is_numbered)
        suffix = fit(whose, name_max=(name_max - FILE_ROOM) // 2) + suffix
    return fit(stem if suffix else stem.rstrip(" ."), suffix, reserve=FILE_ROOM, name_max=name_max)


def _without_numbers(text: str, is_numbered: bool) -> str:
    """The text with the figures that a server would take for an episode's number in apostrophes."""
    if is_numbered:
        if _FIGURE.search(text) is None:
            return text
        apart = _ANOTHER_NUMBER.sub(_apart, text)
    else:
        # Behind square brackets Jellyfin finds a number in `[tmdbid-949]` too.
        apart = _ANY_NUMBER.sub(_apart, text.replace("[", "(").replace("]", ")"))
    # Behind an apostrophe a word can be a mark that was none.
    return _MARK.sub(r"'\g<0>'", apart) if apart != text else text


def _apart(match: re.Match[str]) -> str:
    group = match.lastindex or 0
    return f"{match[0][: match.start(group) - match.start()]}'{match[group]}'"


def short_episode_name(season: int | None, number: int | None, tag: str = "") -> str:
    """The stem of the NFO that the original specification puts beside an episode: `S01E01`."""
    return _code(season, number) + tag


def _code(season: int | None, number: int | None) -> str:
    if season is not None and season >= 0:
        return f"S{season:02}E{number:02}" if number is not None and number >= 0 else f"S{season:02}"
    if number is None or number < 0:
        return "Episode Unknown"
    # Of three figures Kodi makes season and episode.
    return f"Episode {number}" if number < 100 else f"Episode '{number}'"


def folder_tag(kind: FolderIds, tmdb: str, imdb: str) -> str:
    """The id that a server reads from a folder's name: ` {tmdb-1}` (plex) or ` [tmdbid-1]` (jellyfin).

    Args:
        kind: the server whose form is wanted; Emby reads both, Kodi reads Plex's.
        tmdb: digits, or "".
        imdb: `tt` and digits, or "". Used when there is no TMDB id.

    Returns:
        The tag with its leading space; "" for kind `none` or without an id.
    """
    if kind == "none" or not (tmdb or imdb):
        return ""
    if kind == "plex":
        return f" {{tmdb-{tmdb}}}" if tmdb else f" {{imdb-{imdb}}}"
    return f" [tmdbid-{tmdb}]" if tmdb else f" [imdbid-{imdb}]"


def disambiguator(tmdb: str, imdb: str, account_id: int, stream_id: str) -> str:
    """The tag that tells apart two items that would have the same name: an id, else eight hexadecimal digits.

    The digits depend on account and stream id alone, which outlive the keys that Dispatcharr makes anew.
    """
    if tag := folder_tag("jellyfin", tmdb, imdb):
        return tag
    return f" [{hashlib.blake2s(f'{account_id} {stream_id}'.encode(), digest_size=4).hexdigest()}]"


def fold(name: str) -> str:
    """The key under which two names collide: names with an equal key must not stand in one folder.

    The key is at least as coarse as any file system that tells names apart by less than their bytes: NTFS and exFAT
    compare upper case; APFS, HFS+ and ext4's casefold compare a decomposed, case-folded form without ignorable
    characters; ZFS can compare compatibility forms. So the key is NFKD of the case-folded upper case, without ignorable
    characters, repeated until it stays the same. `fold(fold(name)) == fold(name)`.
    """
    if name.isascii():
        return name.lower()
    folded = unicodedata.normalize("NFKD", _IGNORABLE.sub("", name).upper().casefold())
    return folded if folded == name else fold(folded)
