"""What the index has to say of titles that are not in the tree, or not as one would expect."""

import sqlite3
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from vod2strmfs.index.joined import has_contradictions, has_titles
from vod2strmfs.index.shelves import shown_shelves
from vod2strmfs.library.contents import long_strm
from vod2strmfs.library.kinds import WAITING_NODE, NodeKind
from vod2strmfs.settings import LibrarySettings


class RemarkKind(StrEnum):
    """What a remark says of a title. Each is the value of a `reports.rows.Reason` too."""

    COLLISION = "collision"
    """Its name was told from another's."""
    CUT = "cut"
    """Its name had no room for all of its title."""
    HELD = "held"
    """The title is gone from the catalogue, and kept by the shrink brake."""
    NOT_RENAMED = "not renamed"
    """The title has another name in the catalogue; the shrink brake keeps the one it had."""
    LONG_URL = "long url"
    """Its URL is too long for the media server; see `contents.long_strm`."""
    NO_EPISODES = "no episodes"
    """The title is a series that is not shown, since no episode of it is known."""
    BAD_FIELDS = "bad fields"
    """Something that the provider said of it was left out."""
    FILTERED = "filtered"
    """A setting keeps it out of the tree."""
    MERGED = "merged"
    """Another row of the catalogue stands for its title."""
    OTHER_QUALITY = "other quality"
    """Its mark says another quality than was measured."""
    NO_TITLE = "no such title"
    """It is no title, but a line of a shelf's file of picks, or a pattern of a shelf's, that means none."""
    STAYS = "stays on shelf"
    """Nothing puts it on a shelf any more; the shrink brake keeps it there."""


_REMARKS = f"""
    SELECT content.kind, coalesce(series.name, ''), coalesce(season.name, ''), node.name, content.uuid, what, node.plain
    FROM (
        SELECT id, '{RemarkKind.COLLISION}' AS what FROM node WHERE plain IS NOT NULL
        UNION ALL SELECT id, '{RemarkKind.CUT}' FROM node WHERE cut
        UNION ALL SELECT id, CASE held WHEN 1 THEN '{RemarkKind.HELD}' ELSE '{RemarkKind.NOT_RENAMED}' END
            FROM node WHERE held
        UNION ALL SELECT id, '{RemarkKind.LONG_URL}' FROM node WHERE strm_size >= :long
        UNION ALL SELECT id, '{RemarkKind.NO_EPISODES}' FROM node
            WHERE kind = {NodeKind.SERIES:d} AND parent = {WAITING_NODE} {{series}}
        UNION ALL SELECT id, '{RemarkKind.BAD_FIELDS}' FROM content WHERE bad_fields > 0
    ) JOIN node USING (id) JOIN content USING (id)
    LEFT JOIN node AS season ON season.id = node.parent AND season.kind = {NodeKind.SEASON:d}
    LEFT JOIN node AS series ON series.id = season.parent
    UNION ALL
    SELECT CASE kind WHEN 'movie' THEN {NodeKind.MOVIE:d} WHEN 'series' THEN {NodeKind.SERIES:d}
        ELSE {NodeKind.EPISODE:d} END, '', '', title, uuid, '{RemarkKind.FILTERED}', setting
    FROM filtered"""
_NOT_MERGED = "AND NOT EXISTS (SELECT 1 FROM joined WHERE joined.node = node.id AND host != node.id)"
_MERGED = f"""
    SELECT node.kind, '', '', node.name, content.uuid, '{RemarkKind.MERGED}', host.name || ' (' || joined.why || ')'
    FROM joined JOIN node ON node.id = joined.node JOIN content USING (id) JOIN node AS host ON host.id = joined.host
    WHERE joined.node != joined.host"""

_CONTRADICTED = f"""
    SELECT node.kind, '', '', node.name, content.uuid, '{RemarkKind.OTHER_QUALITY}', contradicted.what
    FROM contradicted JOIN node USING (id) JOIN content USING (id)"""


class Remark(NamedTuple):
    """Something that is not in the tree, or not as one would expect."""

    kind: int
    """A NodeKind."""
    series: str
    """The name of an episode's series' directory; of what is about a shelf, the shelf's; else empty."""
    season: str
    """The name of an episode's season's directory; else empty."""
    name: str
    """The name of its node, or the title of what is filtered."""
    uuid: str
    what: str
    """A RemarkKind."""
    detail: str | None
    """The name that what collides would have; the setting that filters, or that a shelf's pattern stands in; of what is
    merged, the name under which it stands, and why; what its mark says and what was measured; the nearest title; the
    shelf on which it stays; else None."""


_OF_SHELVES = f"""
    SELECT {NodeKind.SHELF:d}, shelf.name, '', text, '', '{RemarkKind.NO_TITLE}',
        CASE WHEN detail != '' THEN 'the nearest is ' || detail
            WHEN what != '{RemarkKind.NO_TITLE}' THEN what END
    FROM shelf_remark JOIN shelf ON shelf.number = shelf_remark.shelf
    UNION ALL
    SELECT node.kind, '', '', node.name, uuid, '{RemarkKind.STAYS}', shelf.name
    FROM shelved JOIN shelf ON shelf.number = shelved.shelf
    JOIN node ON node.id = shelved.node JOIN content ON content.id = node.id WHERE shelved.held"""


def remarks(connection: sqlite3.Connection, settings: LibrarySettings) -> Iterator[Remark]:
    """All remarks about the generation that a connection sees, which was made with these settings."""
    query = _REMARKS.format(series="")
    if has_titles(connection):
        query = f"{_REMARKS.format(series=_NOT_MERGED)} UNION ALL {_MERGED}"
    if has_contradictions(connection):
        query += f" UNION ALL {_CONTRADICTED}"
    yield from map(Remark._make, connection.execute(query, {"long": long_strm(settings.media_server)}))
    if shown_shelves(connection):
        yield from map(Remark._make, connection.execute(_OF_SHELVES))
