"""Seasons and series after their episodes changed: shown while they hold something, with NFOs that say what."""

from collections.abc import Set

from vod2strmfs.index.store import of_series
from vod2strmfs.library.contents import Record, decode, encode, nfo_file
from vod2strmfs.library.item_names import node_name, version_name
from vod2strmfs.library.items import Season, Series, TaggedSeries, Version
from vod2strmfs.library.kinds import TV_NODE, WAITING_NODE, NodeKind
from vod2strmfs.sync.brake import HELD_GONE
from vod2strmfs.sync.draft import Draft

_EMPTY = "NOT EXISTS (SELECT 1 FROM node AS below WHERE below.parent = content.id)"
_JOINED = "EXISTS (SELECT 1 FROM joined WHERE joined.node = content.id AND host != content.id)"


def settle_folders(draft: Draft, lost_series: Set[int]) -> None:
    """Remove empty seasons, show and hide series, and render what depends on both but for tvshow.nfo.

    Args:
        draft: with all episodes in place.
        lost_series: the series that are no longer in the catalogue. One that still has episodes is held.
    """
    # Of a draft that goes on from a generation, only what lost something, or came, can be empty.
    changed = "true" if draft.first or draft.everything else f"content.id IN ({_list(draft.dirty | draft.added)})"
    draft.remove(_nodes(draft, f"{changed} AND {_EMPTY}", NodeKind.SEASON))
    draft.hold(lost_series)
    draft.remove(_nodes(draft, f"held = {HELD_GONE} AND {_EMPTY}", NodeKind.SERIES))
    if draft.settings.empty_series == "hide":
        for node in _nodes(draft, f"parent != {WAITING_NODE} AND {_EMPTY}", NodeKind.SERIES):
            draft.place(node, WAITING_NODE, node_name(_series(draft, node), draft.settings))
    for node in _shown_series(draft):
        _place(draft, node)
    draft.flush()
    draft.remove(_nodes(draft, _EMPTY, NodeKind.CATEGORY))


def render_series(draft: Draft) -> None:
    """Render tvshow.nfo, now that series have their names: it tells one from another as those do."""
    for node in _shown_series(draft):
        record = Record(NodeKind.SERIES, "", 0, "", encode(_series(draft, node)))
        draft.set_nfo(node, nfo_file(of_series(draft.connection, node, record), draft.settings))


def _shown_series(draft: Draft) -> list[int]:
    """The series that are shown, and may be otherwise than before."""
    only = "" if draft.first or draft.everything else f"AND content.id IN ({_list(draft.series)})"
    # What waits for another row of its title has no episodes.
    shown = "NOT " + (_JOINED if draft.settings.empty_series == "show" else _EMPTY)
    return _nodes(draft, f"{shown} {only}", NodeKind.SERIES)


def _place(draft: Draft, node: int) -> None:
    """Show a series and its seasons where they belong, and render the season.nfo files."""
    connection, settings = draft.connection, draft.settings
    series = _series(draft, node)
    [created] = connection.execute("SELECT nfo_mtime FROM node WHERE id = ?", (node,)).fetchone()
    draft.place(node, draft.section(TV_NODE, series.category, created), node_name(series, settings))
    seasons = connection.execute(
        "SELECT id, source FROM content JOIN node USING (id) WHERE node.parent = ?", (node,)
    ).fetchall()
    for season, number in seasons:
        item = Season(number, series.title)
        connection.execute("UPDATE content SET item = ? WHERE id = ?", (encode(item), season))
        draft.place(season, node, node_name(item, settings))
        draft.set_nfo(season, nfo_file(Record(NodeKind.SEASON, "", 0, "", encode(item)), settings))


def name_versions(draft: Draft) -> None:
    """Name the .strm files of movies' versions, now that their folders have their names."""
    for node, parent, folder, data in draft.connection.execute(
        "SELECT node.id, folder.id, folder.name, item FROM node JOIN node AS folder ON folder.id = node.parent"
        " JOIN content ON content.id = node.id WHERE node.kind = ?",
        (NodeKind.VERSION,),
    ).fetchall():
        draft.place(node, parent, version_name(folder, decode(data, Version).label, draft.settings))


def _series(draft: Draft, node: int) -> Series:
    query = "SELECT coalesce(played.item, content.item) FROM content LEFT JOIN played USING (id) WHERE id = ?"
    [data] = draft.connection.execute(query, (node,)).fetchone()
    return decode(data, TaggedSeries)


def _list(nodes: Set[int]) -> str:
    return ", ".join(map(str, nodes))


def _nodes(draft: Draft, condition: str, kind: NodeKind) -> list[int]:
    query = f"SELECT content.id FROM content JOIN node USING (id) WHERE content.kind = ? AND {condition}"
    return [node for (node,) in draft.connection.execute(query, (kind,)).fetchall()]
