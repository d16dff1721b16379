"""Finding out about a server: whether it answers, what it has, and whether it sees our folders where we think."""

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from vod2strmfs.notify.client import Client, Library
from vod2strmfs.notify.deliver import connect
from vod2strmfs.notify.http import TellError
from vod2strmfs.notify.order import Server
from vod2strmfs.notify.places import likeness, proposals, seen_at, within


class Place(NamedTuple):
    """A mount, or an output root, that a server may have libraries of."""

    root: str
    folders: Sequence[str]
    """Those in it that a library can be made of: `Movies`, `TV`."""
    sample: str
    """A title's folder below the root, to tell our folders from others of the same name; empty: none is known."""

    @property
    def paths(self) -> list[str]:
        """The folders, from the topmost one on."""
        return [f"{self.root}/{folder}" for folder in self.folders]


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
    paths: Mapping[str, str] | None = None
    """The mappings that are right, where those that are set are not: from folders of ours to the same there."""


class _Look(NamedTuple):
    """What a server makes of a place."""

    place: Place
    lines: Sequence[str]
    problems: Sequence[str]
    is_held: bool
    """Whether it has libraries of it, as far as is known."""
    is_out_of_reach: bool = False
    """Whether it sees the folders, and what is in them not: other `paths` do not mend that."""

    @property
    def is_of_use(self) -> bool:
        """Whether it is, or should be, told of what is there."""
        return self.is_held or not self.problems


async def examine(server: Server, places: Sequence[Place]) -> Found:
    """Find out about one server. Tells it nothing.

    Args:
        server: which.
        places: that it may have libraries of. Where it has those of one, it need not have those of another.
    """
    try:
        async with connect(server)(server) as client:
            return await _examine(server, client, places)
    except TellError as error:
        return Found(server.name, [], [f"it {error}"])
    except Exception as error:
        return Found(server.name, [], [f"it answers what nobody expects ({type(error).__name__})"])


async def _examine(server: Server, client: Client, places: Sequence[Place]) -> Found:
    about = await client.about()
    if server.kind == "command":
        return Found(server.name, [f"runs {about}"], [])
    libraries = await client.libraries()
    known = server.libraries or tuple(folder for library in libraries for folder in library.folders)
    looks = [await _look(server, client, place, known) for place in _likeliest_first(server, places, known)]
    proposed = await _proposals(server, client, looks, known)
    lines = [f"answers: {about}", *(f"library {each.name}: {', '.join(each.folders)}" for each in libraries)]
    problems = list[str]()
    is_of_use = bool(proposed) or any(look.is_of_use for look in looks)
    for look in looks:
        root = look.place.root
        if is_of_use and not look.is_of_use and root not in proposed:
            there = seen_at(root, server.paths)
            lines.append(f"{root} is {there} there: none of its libraries holds that, and it is told nothing of it")
            continue
        lines += look.lines
        problems += look.problems
        if look.problems and not look.is_out_of_reach and root not in proposed:
            problems.append("make it a library of that folder, or set paths so that it leads to where it sees it")
    paths = _needed(server, looks) | dict(proposed.values()) if proposed else None
    if paths:
        pairs = ", ".join(f'"{here}" = "{there}"' for here, there in paths.items())
        problems.append(f"set paths = {{ {pairs} }}")
    return Found(server.name, lines, problems, about, libraries, paths)


def _likeliest_first(server: Server, places: Sequence[Place], known: Sequence[str]) -> list[Place]:
    """The places by how much the server's libraries are called like their folders. Plex plays films alone."""
    usual = reversed(places) if server.kind == "plex" else places
    return sorted(usual, key=lambda place: -likeness(place.paths, known))


async def _look(server: Server, client: Client, place: Place, known: Sequence[str]) -> _Look:
    lines, problems, is_held = list[str](), list[str](), False
    for path in place.paths:
        there = seen_at(path, server.paths)
        sees = await client.sees(there)
        has = within(there, known)
        is_held |= bool(has)
        said = {True: "it sees that", False: "it sees no such folder", None: "whether it sees that, it does not say"}
        joint = "and" if bool(has) == (sees is not False) else "but"
        lines.append(f"{path} is {there} there: {said[sees]}, {joint} {_within(has, there)}")
        if sees is False:
            problems.append(f"it sees no {there}")
        elif known and not has:
            problems.append(f"no library of it holds {there}")
    sample = seen_at(f"{place.root}/{place.sample}", server.paths)
    is_out_of_reach = not problems and bool(place.sample) and await client.sees(sample) is False
    if is_out_of_reach:
        problems.append(
            f"it sees the folder, but not {place.sample} in it: the mount does not reach it. Is it in a container that"
            " was started before, or without `rslave`?"
        )
    return _Look(place, lines, problems, is_held, is_out_of_reach)


def _within(has: Sequence[str], there: str) -> str:
    if not has:
        return "none of its libraries holds it"
    return "it is in a library" if has == [there] else f"libraries are in it: {', '.join(has)}"


def _needed(server: Server, looks: Sequence[_Look]) -> dict[str, str]:
    """The mappings that are set, and right."""
    right = [f"{look.place.root}/" for look in looks if not look.problems]
    bases = {here: f"{here.rstrip('/')}/" for here in server.paths}
    return {
        here: server.paths[here]
        for here, base in bases.items()
        if any(root.startswith(base) or base.startswith(root) for root in right)
    }


async def _proposals(
    server: Server, client: Client, looks: Sequence[_Look], known: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """The likeliest mappings under which the server sees our folders, by the roots of places. No two lead to one place
    of its; where it has libraries of one of ours, none is sought for another."""
    taken = {seen_at(look.place.root, server.paths) for look in looks if not look.problems}
    is_of_use = any(look.is_of_use for look in looks)
    found: dict[str, tuple[str, str]] = {}
    for look in looks:
        if not look.problems or look.is_out_of_reach or (is_of_use and not look.is_held):
            continue
        if pair := await _proposal(client, look.place, known, taken):
            found[look.place.root] = pair
            taken.add(seen_at(look.place.root, dict([pair])))
    return found


async def _proposal(client: Client, place: Place, known: Sequence[str], taken: Set[str]) -> tuple[str, str] | None:
    """The likeliest mapping under which the server sees a place."""
    of_root = ((place.root, library) for library in known)
    candidates = [*proposals(place.paths, known), *proposals([place.root], known), *of_root]
    for here, there in dict.fromkeys(candidates):
        paths = {here: there}
        if seen_at(place.root, paths) in taken:
            continue
        folders = [seen_at(path, paths) for path in place.paths]
        seen = [await client.sees(folder) for folder in folders]
        titles = await client.sees(seen_at(f"{place.root}/{place.sample}", paths)) if place.sample else True
        if False not in seen and titles is not False and any(within(folder, known) for folder in folders):
            return here, there
    return None
