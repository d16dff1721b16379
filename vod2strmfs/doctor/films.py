"""Checks of films that play: settings that contradict each other, whether Dispatcharr can be asked, and the mount."""

import os
from collections.abc import Iterator
from pathlib import Path

import trio

from vod2strmfs.doctor import patience, playing
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.doctor.mount import mounted_there
from vod2strmfs.doctor.patience import in_time
from vod2strmfs.errors import IndexFileError, SettingsError
from vod2strmfs.films.figures import FILE_NAME, Figures, gigabytes, read_figures
from vod2strmfs.films.film import FOLDER, Address
from vod2strmfs.films.upstream import DEADLINES, Answer, Upstream, UpstreamError, UpstreamKind
from vod2strmfs.host.mount_table import KIND, Mounted, mounted_at
from vod2strmfs.index.order import signs_in
from vod2strmfs.settings import Settings
from vod2strmfs.status.channel import NotRunningError, ask_films

_CHECK = "films"
_MONTHS_SECONDS = 45 * 86400.0
"""Seconds from which on learning takes so long that somebody should be asked whether they mean it."""
_BLOCK_BYTES = 64 << 10
_TEST_SECONDS = 30.0
_TRY_AGAIN = "Try again; if it stays so, see Dispatcharr's log."
_ADVICE = {
    UpstreamKind.BUSY: "Its account has no stream free, or somebody watches: try again when nobody does.",
    UpstreamKind.FORBIDDEN: "See Dispatcharr's allowed networks for streams (Settings, Network Access): this host has"
    " to be among them.",
    UpstreamKind.UNSEEKABLE: "Titles of this provider cannot be shown as films; play them from the .strm library.",
    UpstreamKind.NOT_A_FILM: "The provider sent it, as some do when an account has ended: play the title in"
    " Dispatcharr's own page.",
    UpstreamKind.AWAY: "base_url has to be Dispatcharr's address, and this host has to reach it.",
}


def is_wanted(settings: Settings) -> bool:
    """Whether films are to be mounted with these settings, as far as can be told."""
    is_learnt = os.path.exists(settings.state_dir / FOLDER / FILE_NAME)
    return bool(settings.origin("films_root") or is_learnt or is_mounted(settings))


def is_mounted(settings: Settings) -> bool:
    """Whether a library is mounted where films are to be, also one that does not answer."""
    return _holds_library(settings.films_root)


def _holds_library(root: Path) -> bool:
    try:
        mounted = in_time(lambda: mounted_at(root.absolute()))
    except (OSError, TimeoutError):
        return True
    return mounted is not None and mounted.kind == KIND


def films(settings: Settings) -> Iterator[Finding]:
    """Whether films can be learnt, shown and played; nothing where nobody wants them."""
    if not is_wanted(settings):
        return
    yield from places(settings)
    figures = read_figures(settings.state_dir)
    yield from room(settings, figures)
    yield from cache(settings, figures)
    yield from pace(settings, figures)
    yield from streams(settings)
    yield from address(settings)
    yield from episodes(settings)
    yield from learnt(figures)
    yield from elsewhere(settings) or mount(settings)


def places(settings: Settings) -> Iterator[Finding]:
    """Whether the two mounts are in each other's way."""
    films_root, library = (Path(os.path.abspath(each)) for each in (settings.films_root, settings.output_root))
    if films_root == library:
        how = "is output_root as well"
    elif films_root.is_relative_to(library):
        how = f"lies in output_root, {settings.output_root}"
    elif library.is_relative_to(films_root):
        how = f"holds output_root, {settings.output_root}"
    else:
        return
    yield Finding(
        _CHECK,
        Level.PROBLEM,
        f"films_root, {settings.films_root}, {how}: one mount would hide the other",
        "Give films a folder of their own, such as /data/Films beside /data/STRM.",
    )


def room(settings: Settings, figures: Figures | None) -> Iterator[Finding]:
    """Whether the disk has room for what may be kept, and for what will be."""
    allowed = int(settings.films_cache * 1e9)
    state_dir = settings.state_dir.absolute()
    existing = next(each for each in (state_dir, *state_dir.parents) if os.path.exists(each))
    try:
        disk = in_time(lambda: os.statvfs(existing))
    except (OSError, TimeoutError):
        return  # The check of the directories says so.
    kept, coming = (figures.kept, figures.waiting * figures.each) if figures else (0, 0)
    free = disk.f_bavail * disk.f_frsize + kept
    if allowed > free:
        yield Finding(
            _CHECK,
            Level.WARNING if kept + coming > free else Level.NOTE,
            f"films_cache is {gigabytes(allowed)}, and {gigabytes(free)} are there for it in {settings.state_dir}",
            "Make room there, lower films_cache, or move the state directory (--state-dir).",
        )


def cache(settings: Settings, figures: Figures | None) -> Iterator[Finding]:
    """Whether what is wanted fits into what may be kept: beyond that, nothing is learnt."""
    if figures is None or not figures.each:
        return
    more = max(int(settings.films_cache * 1e9) - figures.kept, 0) // figures.each
    if figures.waiting > more:
        wait = "waits" if figures.waiting == 1 else "wait"
        yield Finding(
            _CHECK,
            Level.WARNING,
            f"films_cache has room for about {more:,} more films, and {figures.waiting:,} {wait} to be learnt",
            "Leave out what nobody watches (categories, languages, years), or give films_cache more.",
        )


def pace(settings: Settings, figures: Figures | None) -> Iterator[Finding]:
    """Whether learning ends within a time that somebody means."""
    waiting = figures.waiting if figures else 0
    seconds = waiting / settings.learn_rate * 60
    if seconds > _MONTHS_SECONDS:
        yield Finding(
            _CHECK,
            Level.WARNING,
            f"{waiting:,} films wait to be learnt: at {settings.learn_rate:g} a minute that takes"
            f" {seconds / 86400:,.0f} days",
            "Leave out what nobody watches (categories, languages, years), or raise learn_rate as far as the provider"
            " lets you.",
        )


def episodes(settings: Settings) -> Iterator[Finding]:
    """Whether episodes are to be fetched for whoever opens a series where no series without episodes can be opened."""
    if settings.hydrate == "on_open" and is_mounted(settings) and not _holds_library(settings.output_root):
        yield Finding(
            _CHECK,
            Level.WARNING,
            "hydrate is on_open, and the mount of films shows no series before it has episodes: nobody can open one",
            "Set hydrate = background, or mount the library as well (`vod2strmfs mount`): it is opened there.",
        )


def streams(settings: Settings) -> Iterator[Finding]:
    """Whether it can be known how many streams an account has."""
    if not signs_in(settings) and not settings.max_streams:
        yield Finding(
            _CHECK,
            Level.NOTE,
            "Dispatcharr cannot be asked how many streams an account has and who watches: it is taken for one",
            "Set api_key_file (docs/hydrate.md says how to get a key), or max_streams.",
        )
    elif settings.max_streams and settings.reserve_streams >= settings.max_streams:
        yield Finding(
            _CHECK,
            Level.PROBLEM,
            f"reserve_streams is {settings.reserve_streams} of max_streams {settings.max_streams}: nothing can ever be"
            " learnt",
            "Lower reserve_streams.",
        )


def address(settings: Settings) -> Iterator[Finding]:
    """Whether this host reaches Dispatcharr, which films come through."""
    if settings.direct_urls:
        return
    found = playing.probe(settings, settings.api_url, settings.api_ca_file)
    if found.level != Level.OK:
        advice = found.advice.replace("base_url", "api_url") if settings.api_url else found.advice
        yield Finding(_CHECK, found.level, f"films cannot be had: {found.text}", advice)


def learnt(figures: Figures | None) -> Iterator[Finding]:
    """Whether any film was learnt, and what keeps others out."""
    if figures is None or not figures.learnt:
        yield Finding(
            _CHECK,
            Level.NOTE,
            "no film was learnt yet, and so none is shown",
            "`vod2strmfs learn --limit 20` learns the first ones now, and says what fails.",
        )
    else:
        were, wait = ("was" if figures.learnt == 1 else "were"), ("waits" if figures.waiting == 1 else "wait")
        yield Finding(_CHECK, Level.OK, f"{figures.learnt:,} {were} learnt, {figures.waiting:,} {wait}")
    if figures is None:
        return
    if figures.stopped:
        yield Finding(
            _CHECK,
            Level.WARNING,
            f"no more films are learnt: {figures.stopped}",
            "It goes on when that is mended.",
        )
    for why, number in figures.failing.items():
        yield Finding(
            _CHECK,
            Level.NOTE,
            f"{number:,} could not be learnt ({why})",
            "They are tried again by themselves, less and less often.",
        )


def elsewhere(settings: Settings) -> list[Finding]:
    """Whether films are mounted, and not where the settings say."""
    try:
        state = ask_films(settings.state_dir / FOLDER)
    except NotRunningError:
        return []
    if os.path.realpath(state.mountpoint) == os.path.realpath(settings.films_root):
        return []
    text = f"films are mounted at {state.mountpoint}, and films_root is {settings.films_root}"
    return [
        Finding(_CHECK, Level.NOTE, text, "Write that place into the settings as films_root: `doctor` looks there.")
    ]


def mount(settings: Settings) -> Iterator[Finding]:
    """What is mounted where films are to be, and whether it answers."""
    place = settings.films_root.absolute()

    def look(mounted: Mounted | None) -> Iterator[Finding]:
        if mounted is not None:
            yield _living(settings, place)
        else:
            advice = f"`vod2strmfs films {place}` shows them there."
            yield Finding(_CHECK, Level.NOTE, f"no films are mounted at {place}", advice)

    yield from mounted_there(_CHECK, place, "films_root", look)


def _living(settings: Settings, place: Path) -> Finding:
    try:
        state = ask_films(settings.state_dir / FOLDER, patience.SECONDS / 2)
    except NotRunningError as error:
        return Finding(
            _CHECK,
            Level.WARNING,
            f"mounted at {place}, but {str(error).partition('. ')[0]}",
            "If that is another library than this one's films, choose another films_root; else restart it.",
        )
    if not state.generation:
        return Finding(
            _CHECK,
            Level.PROBLEM,
            f"films are mounted, with nothing to show yet. {state.error}".rstrip(". "),
            "Run `vod2strmfs learn --limit 20`: they appear by themselves.",
        )
    return Finding(_CHECK, Level.OK, f"films are shown at {state.mountpoint}, process {state.pid}")


def ranges(settings: Settings) -> Iterator[Finding]:
    """Whether a film can be read from any place, tried with one: that takes a stream of its account for a moment."""
    if not is_wanted(settings):
        return
    try:
        film = playing.first_film(settings, settings.api_url)
    except IndexFileError:
        return  # The check of the index says so.
    if film is None or list(address(settings)):
        return  # What answers there says nothing about films.
    try:
        size = trio.run(_read_twice, film, settings.api_ca_file)
    except UpstreamError as error:
        yield Finding(
            _CHECK, Level.PROBLEM, f"a film cannot be read in parts: {error.why}", _ADVICE.get(error.kind, _TRY_AGAIN)
        )
    except SettingsError as error:
        yield Finding(_CHECK, Level.PROBLEM, str(error).rstrip("."), "")
    else:
        yield Finding(_CHECK, Level.OK, f"a film of {gigabytes(size)} can be read from any place")


async def _read_twice(film: Address, ca_file: Path | None) -> int:
    """Read the beginning of a film, and a part of that again by its place; returns the film's size.

    Raises:
        UpstreamError: it cannot be read, or something else came the second time.
    """
    await trio.sleep(DEADLINES.quiet)  # Somebody may have read it a moment ago: `playing`.
    with trio.move_on_after(_TEST_SECONDS):
        async with Upstream(ca_file=ca_file).session(film, "doctor") as session:
            first = await session.open(0)
            known = await _receive(first, min(_BLOCK_BYTES, first.total))
            middle = len(known) // 2
            again = await _receive(await session.open(middle, len(known)), len(known) - middle)
            if again != known[middle:]:
                why = "it comes from its beginning, whatever is asked for"
                raise UpstreamError(UpstreamKind.UNSEEKABLE, why)
            return first.total
    raise UpstreamError(UpstreamKind.STALLED, f"it takes longer than {_TEST_SECONDS:g} seconds")


async def _receive(answer: Answer, count: int) -> bytes:
    received = bytearray(count)
    view = memoryview(received)
    while view:
        got = await answer.receive_into(view)
        if not got:
            raise UpstreamError(UpstreamKind.SHORT, "it ends before its end")
        view = view[got:]
    return bytes(received)
