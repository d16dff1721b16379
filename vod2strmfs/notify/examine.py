"""Finding out about a server: whether it answers, what it has, and whether it sees our folders where we think."""

from collections.abc import Sequence
from typing import NamedTuple

from vod2strmfs.notify.client import Client, Library
from vod2strmfs.notify.deliver import connect
from vod2strmfs.notify.http import TellError
from vod2strmfs.notify.order import Server
from vod2strmfs.notify.places import proposals, seen_at, within


class Found(NamedTuple):
    """What was found out about a server."""

    name: str
    lines: Sequence[str]
    """For people."""
    problems: Sequence[str]
    """What does not work, and what to do; also for people."""
    about: str = ""
    """What it says it is; empty if it does not answer."""
    libraries: Sequence[Library] = ()
    paths: tuple[str, str] | None = None
    """The mapping that is right, where the one that is set is not: a folder of ours, and the same there."""


async def examine(server: Server, root: str, folders: Sequence[str], sample: str) -> Found:
    """Find out about one server. Tells it nothing.

    Args:
        server: which.
        root: the mount point or the output root.
        folders: those in it that a library can be made of: `Movies`, `TV`.
        sample: a title's folder below the root, to tell our folders from others of the same name; empty: none is known.
    """
    try:
        async with connect(server)(server) as client:
            return await _examine(server, client, root, folders, sample)
    except TellError as error:
        return Found(server.name, [], [f"it {error}"])
    except Exception as error:
        return Found(server.name, [], [f"it answers what nobody expects ({type(error).__name__})"])


async def _examine(server: Server, client: Client, root: str, folders: Sequence[str], sample: str) -> Found:
    about = await client.about()
    lines, problems = [f"answers: {about}"], list[str]()
    if server.kind == "command":
        return Found(server.name, [f"runs {about}"], [])
    libraries = await client.libraries()
    lines += [f"library {each.name}: {', '.join(each.folders)}" for each in libraries]
    known = server.libraries or tuple(folder for library in libraries for folder in library.folders)
    for folder in folders:
        there = seen_at(f"{root}/{folder}", server.paths)
        sees = await client.sees(there)
        has = within(there, known)
        said = {True: "it sees that", False: "it sees no such folder", None: "whether it sees that, it does not say"}
        lines.append(f"{root}/{folder} is {there} there: {said[sees]}, {'and' if has else 'but'} {_within(has, there)}")
        if sees is False:
            problems.append(f"it sees no {there}")
        elif known and not has:
            problems.append(f"no library of it holds {there}")
    if not problems and sample and await client.sees(seen_at(f"{root}/{sample}", server.paths)) is False:
        problems.append(
            f"it sees the folder, but not {sample} in it: the mount does not reach it. Is it in a container that was"
            " started before, or without `rslave`?"
        )
        return Found(server.name, lines, problems, about, libraries)
    paths = await _proposal(client, root, folders, known, sample) if problems else None
    if paths:
        problems.append(f'set paths = {{ "{paths[0]}" = "{paths[1]}" }}')
    elif problems:
        problems.append("make it a library of that folder, or set paths so that it leads to where it sees it")
    return Found(server.name, lines, problems, about, libraries, paths)


def _within(has: Sequence[str], there: str) -> str:
    if not has:
        return "none of its libraries holds it"
    return "it is in a library" if has == [there] else f"libraries are in it: {', '.join(has)}"


async def _proposal(
    client: Client, root: str, folders: Sequence[str], known: Sequence[str], sample: str
) -> tuple[str, str] | None:
    """The likeliest mapping under which the server sees our folders."""
    ours = [f"{root}/{folder}" for folder in folders]
    candidates = [*proposals(ours, known), *proposals([root], known), *((root, library) for library in known)]
    for here, there in dict.fromkeys(candidates):
        paths = {here: there}
        places = [seen_at(f"{root}/{folder}", paths) for folder in folders]
        seen = [await client.sees(place) for place in places]
        titles = await client.sees(seen_at(f"{root}/{sample}", paths)) if sample else True
        if False not in seen and titles is not False and any(within(place, known) for place in places):
            return here, there
    return None
