"""What somebody puts into the output root that is no file and no folder: links that lead out of it, pipes, sockets.

What a link leads to is never taken for ours, written, given a time or deleted, and the link stays.
"""

import os
import stat
from pathlib import Path

import pytest
from libraries import Library
from outputs import Output, snapshot

from vod2strmfs.demo.catalogue import Catalogue

FILES = ("Movies/Heat/Heat.strm", "Movies/Heat/movie.nfo", "TV/Dark/tvshow.nfo", "TV/Dark/Season 01/S01E01.strm")


def catalogue(*, plot: str = "", gone: bool = False) -> Catalogue:
    made = Catalogue()
    made.movie("Ronin", description=plot)
    made.episode(made.series("Alias", description=plot), 1, 1, "")
    if not gone:
        made.movie("Heat", description=plot)
        dark = made.series("Dark", description=plot)
        made.episode(dark, 1, 1, "", description=plot)
        made.episode(dark, 2, 1, "", description=plot)
    return made


@pytest.fixture
def output(tmp_path: Path) -> Output:
    output = Output(Library(tmp_path), tmp_path / "output")
    output.library.show(catalogue())
    output.write()
    return output


def work(output: Output) -> None:
    """All that runs can do: compare, bring up to date, compare every byte, and clean up what has gone."""
    output.write(cleanup="apply")
    output.library.show(catalogue(plot="Another plot."))
    output.write(cleanup="apply")
    output.write(cleanup="apply", verify=True)
    output.library.show(catalogue(gone=True), accept_shrink=True)
    output.write(cleanup="apply", accept_shrink=True)


@pytest.mark.parametrize("lost", [False, True], ids=["", "without a manifest"])
@pytest.mark.parametrize(
    "places",
    [("Movies", "TV"), ("Movies/Heat", "TV/Dark"), ("TV/Dark/Season 01", "TV/Alias/Season 01"), FILES],
    ids=["sections", "titles", "seasons", "files"],
)
def test_nothing_is_touched_that_a_link_leads_to(
    output: Output, tmp_path: Path, places: tuple[str, ...], lost: bool
) -> None:
    """There it is all as we wrote it ourselves, so that nothing but the link says that it is somebody else's."""
    outside = tmp_path / "outside"
    outside.mkdir()
    links = {output.root / place: outside / str(number) for number, place in enumerate(places)}
    for link, target in links.items():
        link.rename(target)
        link.symlink_to(target)
    before = snapshot(outside)
    if lost:
        output.lose_manifest()
    work(output)
    assert snapshot(outside) == before
    assert {link: link.readlink() for link in links} == links


@pytest.mark.parametrize("lost", [False, True], ids=["", "without a manifest"])
def test_pipes_and_sockets_in_the_place_of_ours_stay_and_hold_up_nobody(
    output: Output, tmp_path: Path, lost: bool
) -> None:
    planted = [output.root / place for place in (*FILES, "Movies/Ronin", "TV/Alias/Season 01")]
    for number, path in enumerate(planted):
        path.rename(tmp_path / f"former {number}")
        if number % 2:
            os.mkfifo(path)
        else:
            os.mknod(path, stat.S_IFSOCK | 0o600)
    if lost:
        output.lose_manifest()
    work(output)
    kinds = [stat.S_IFMT(path.lstat().st_mode) for path in planted]
    assert kinds == [stat.S_IFSOCK, stat.S_IFIFO] * 3
