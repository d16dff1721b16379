"""What the index has to say of titles that are not in the tree, or not as one would expect."""

from typing import NamedTuple

from vod2strmfs.library.kinds import WAITING_NODE, NodeKind

_REMARKS = f"""
    SELECT content.kind, coalesce(series.name, ''), coalesce(season.name, ''), node.name, content.uuid, what, node.plain
    FROM (
        SELECT id, 'collision' AS what FROM node WHERE plain IS NOT NULL
        UNION ALL SELECT id, 'cut' FROM node WHERE cut
        UNION ALL SELECT id, CASE held WHEN 1 THEN 'held' ELSE 'not renamed' END FROM node WHERE held
        UNION ALL SELECT id, 'long url' FROM node WHERE strm_size >= :long
        UNION ALL SELECT id, 'no episodes' FROM node WHERE kind = {NodeKind.SERIES:d} AND parent = {WAITING_NODE}
        UNION ALL SELECT id, 'bad fields' FROM content WHERE bad_fields > 0
    ) JOIN node USING (id) JOIN content USING (id)
    LEFT JOIN node AS season ON season.id = node.parent AND season.kind = {NodeKind.SEASON:d}
    LEFT JOIN node AS series ON series.id = season.parent
    UNION ALL
    SELECT CASE kind WHEN 'movie' THEN {NodeKind.MOVIE:d} WHEN 'series' THEN {NodeKind.SERIES:d}
        ELSE {NodeKind.EPISODE:d} END, '', '', title, uuid, 'filtered', setting
    FROM filtered"""


class Remark(NamedTuple):
    """Something that is not in the tree, or not as one would expect."""

    kind: int
    """A NodeKind."""
    series: str
    """Of an episode: the name of its series' directory, and of its season's."""
    season: str
    name: str
    uuid: str
    what: str
    """`collision`: its name was told from another's. `cut`: its name had no room for all of its title.
    `held`: gone from the catalogue, kept by the shrink brake. `not renamed`: called otherwise there, and not here.
    `no episodes`: a series that is not shown. `bad fields`: something that the provider said of it was left out.
    `filtered`: kept out by a setting."""
    detail: str | None
    """Of a collision, the name that it would have; of what is filtered, the setting."""
