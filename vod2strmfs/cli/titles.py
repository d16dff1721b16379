"""`vod2strmfs titles`."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from vod2strmfs.cli.answer import ended, json_option, say_json
from vod2strmfs.cli.index import open_index
from vod2strmfs.cli.options import STATE, Group, GroupedCommand, with_settings
from vod2strmfs.errors import Exit
from vod2strmfs.host.printable import printable
from vod2strmfs.settings import LibrarySettings, Settings

if TYPE_CHECKING:
    from vod2strmfs.index.joined import TitleVersion

_GAP = "  "


@click.command(cls=GroupedCommand, short_help="List a title's rows, and which one plays.")
@click.argument("glob", metavar="[GLOB]", required=False)
@json_option
@with_settings(Group(STATE.heading, ("state_dir",)))
def titles(settings: Settings, glob: str | None, as_json: bool) -> None:
    """List which rows of the catalogue a title has, where each comes from, and which one plays.

    GLOB is a part of the names of folders, or a pattern for whole names (default: all titles of several rows). Each row
    is shown with the provider's title, account, category, languages and quality; * marks the one that plays. Of a
    series it is chosen for each episode.
    """
    found = [_title(library, versions) for library, versions in _groups(settings, glob)]
    if as_json:
        say_json({"titles": found} | ended(Exit.OK, None))
        return
    for title in found:
        click.echo("\n".join(_lines(title)))
    if not found:
        click.echo("No folder is called so." if glob else "No title has several rows.")


def _groups(settings: Settings, glob: str | None) -> "Iterator[tuple[LibrarySettings, list[TitleVersion]]]":
    """The settings of the index's generation, with the rows of each title."""
    from contextlib import closing

    from vod2strmfs.extract.filters import matching
    from vod2strmfs.index.joined import title_versions

    with closing(open_index(settings.state_dir)) as store:
        library = store.settings
    versions = title_versions(settings.state_dir, several=glob is None)
    groups = [list(rows) for _, rows in groupby(versions, key=lambda version: version.host)]
    if glob is not None:
        pattern = glob if any(character in glob for character in "*?") else f"*{glob}*"
        wanted = matching(pattern, {place: rows[0].folder for place, rows in enumerate(groups)})
        groups = [rows for place, rows in enumerate(groups) if place in wanted]
    return ((library, rows) for rows in groups)


def _title(library: LibrarySettings, versions: "list[TitleVersion]") -> dict[str, Any]:
    """What there is to say of a title, for programs."""
    from vod2strmfs.extract.titles import TitleCleaner
    from vod2strmfs.extract.versions import Facts, Wish, facts, why_better
    from vod2strmfs.library.contents import decode
    from vod2strmfs.library.items import TaggedMovie, TaggedSeries
    from vod2strmfs.library.kinds import NodeKind

    cleaner = TitleCleaner(library.clean_titles, library.name_regex)
    wish = Wish.of(library.prefer_languages, library.prefer_quality)
    is_movie = versions[0].kind == NodeKind.MOVIE
    all_play = library.versions == "all"
    rows = []
    known: list[tuple[Facts, int]] = []
    for version in versions:
        item = decode(version.item, TaggedMovie) if is_movie else decode(version.item, TaggedSeries)
        known.append((facts(item, cleaner, version.height), version.priority))
        plays = bool(version.is_played or all_play) if is_movie else None
        rows.append(_row(version, item, known[-1][0]) | {"plays": plays})
    why = ""
    if is_movie and len(versions) > 1 and not all_play:
        [played] = [place for place, version in enumerate(versions) if version.is_played] or [0]
        others = [each for place, each in enumerate(known) if place != played]
        second = min(others, key=lambda each: (*wish.rank(each[0]), -each[1]))
        why = why_better(wish, known[played], second)
    return {"type": "movie" if is_movie else "series", "folder": versions[0].folder, "why": why, "versions": rows}


def _row(version: "TitleVersion", item: Any, known: Any) -> dict[str, Any]:
    from vod2strmfs.extract.versions import QUALITY_NAMES

    return {
        "title": item.original_title or (f"{item.title} ({item.year})" if item.year else item.title),
        "account": version.account_name or f"account {version.account}",
        "priority": version.priority,
        "category": item.category,
        "languages": list(known.languages),
        "quality": QUALITY_NAMES.get(known.quality),
        "marked_as": QUALITY_NAMES.get(known.marked),
        "stream_id": version.stream,
        "uuid": version.uuid,
        "joined_by": version.why or None,
    }


def _lines(title: dict[str, Any]) -> Iterable[str]:
    """The same for people."""
    why = f"{_GAP}(by {title['why']})" if title["why"] else ""
    yield printable(f"{title['folder']}{_GAP}{title['type']}{why}")
    for row in title["versions"]:
        what = [row["title"], row["account"], row["category"], " ".join(row["languages"]), row["quality"]]
        if row["joined_by"]:
            what.append(f"joined by {row['joined_by']}")
        yield printable(f"  {'*' if row['plays'] else ' '} " + _GAP.join(filter(None, what)))
