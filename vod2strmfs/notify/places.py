"""Where a server sees our folders. Pure: paths are text, and a server's may be Windows' or a share's URL."""

from collections.abc import Iterable, Iterator, Mapping, Sequence


def seen_at(path: str, paths: Mapping[str, str]) -> str:
    """Where a server sees a folder of ours.

    Args:
        path: of ours, absolute.
        paths: from folders here to the same there; the longest that fits counts.
    """
    for here in sorted(paths, key=len, reverse=True):
        base = here.rstrip("/")
        if path == base or path.startswith(f"{base}/"):
            there = paths[here]
            return _joined(there, path[len(base) :].strip("/").split("/"))
    return path


def _joined(there: str, steps: Sequence[str]) -> str:
    slash = "\\" if "\\" in there and "/" not in there else "/"
    end = there.rstrip(slash) if there.strip(slash) else ""
    return slash.join((end, *filter(None, steps))) or there


def parts(path: str) -> tuple[str, ...]:
    """The steps of a path of whatever system."""
    return tuple(filter(None, path.replace("\\", "/").split("/")))


def within(path: str, libraries: Iterable[str]) -> list[str]:
    """What of a folder a server has: the folder itself if it is in a library, else the libraries in it."""
    steps = parts(path)
    below = []
    for library in libraries:
        others = parts(library)
        if steps[: len(others)] == others:
            return [path]
        if others[: len(steps)] == steps:
            below.append(library)
    return below


def above(path: str) -> str:
    """The folder in which a server sees a folder."""
    slash = "\\" if "\\" in path and "/" not in path else "/"
    return path.rstrip(slash).rpartition(slash)[0] or path


def proposals(ours: Iterable[str], theirs: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Mappings that make folders of ours folders of a server's, those of the deepest folders first.

    Args:
        ours: folders of ours, such as `/mnt/vod/Movies`.
        theirs: folders of its libraries, such as `/media/vod/Movies`.
    """
    found: dict[tuple[str, str], int] = {}
    for here in ours:
        for there in theirs:
            for steps in range(1, _common_end(parts(here), parts(there)) + 1):
                found.setdefault((_without_end(here, steps), _without_end(there, steps)), steps)
    yield from sorted((pair for pair in found if pair[0] != pair[1]), key=lambda pair: found[pair])


def likeness(ours: Iterable[str], theirs: Iterable[str]) -> int:
    """How many steps at their ends folders of ours have in common with folders of a server's, at best."""
    others = list(theirs)
    return max((_common_end(parts(here), parts(there)) for here in ours for there in others), default=0)


def _common_end(here: Sequence[str], there: Sequence[str]) -> int:
    count = 0
    for mine, other in zip(reversed(here), reversed(there), strict=False):
        if mine != other:
            break
        count += 1
    return min(count, len(here) - 1, len(there) - 1) if count else 0


def _without_end(path: str, steps: int) -> str:
    for _ in range(steps):
        path = above(path)
    return path
