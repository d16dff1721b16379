"""Real programs that look at films, copy and play them, on a real mount (`make kodi`): what each costs the provider.

Each program reads films that no other one has read: nothing of them is in anybody's memory.
"""

import filecmp
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from dispatcharr_proxy import DispatcharrProxy
from film_provider import Stream
from films import FILMS, SECONDS, catalogue_of, make_films
from kodi import Kodi
from mounts import Mount, eventually, mounted
from players import LOOKS, Mpv, Vlc
from postgres_server import PostgresServer

from vod2strmfs.demo.catalogue import Catalogue

_TIMES = 30
"""How often each film has its 30 seconds: some 105 MB, much more than is kept on disk."""
_PLACES = (450, 67, 855, 322)
"""Seconds: where players seek to, one after the other."""
_FREE_WITHIN = 35.0
"""Seconds from the end of a film until its stream is free."""

_GLANCE_SECONDS = 2
"""For which a folder is looked at."""

COPIES: dict[str, tuple[str, ...]] = {
    "cp": ("cp", "FILM", "COPY"),
    "dd": ("dd", "if=FILM", "of=COPY", "bs=1M", "status=none"),
    "rsync": ("rsync", "--times", "FILM", "COPY"),
}
PICTURE, MPV, VLC = "ffmpeg", "mpv", "VLC"
PROGRAMS = (*LOOKS, *COPIES, PICTURE, MPV, VLC)

_READS_ON = {("ffprobe as Jellyfin calls it", "ts"), *(("mediainfo", form) for form in FILMS)}
"""Who reads more of what than can be kept: see docs/films-scanners.md."""

Note = Callable[[str, object], None]


@pytest.fixture(scope="module")
def long_films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A film of a quarter of an hour in each container, by the names in `FILMS`."""
    return make_films(tmp_path_factory.mktemp("long"), _TIMES)


class Shown:
    """A mount that shows each film once for each program.

    Args:
        proxy: where they come from.
        mount: where they are.
        films: the files that the provider has, by the names in `FILMS`.
    """

    def __init__(self, proxy: DispatcharrProxy, mount: Mount, films: dict[str, Path]) -> None:
        self._proxy = proxy
        self._mount = mount
        self._films = films

    def to(self, program: str, form: str) -> "Case":
        """A film as a program alone reads it."""
        film = self._films[form]
        name = f"{title(program, form)} (2001)"
        return Case(
            self._mount.path / f"Movies/{name}/{name}{film.suffix}", film, self._proxy, account_of(program, form)
        )


class Case(NamedTuple):
    """A program with a film of its own."""

    shown: Path
    film: Path
    proxy: DispatcharrProxy
    account: int

    def connections(self) -> int:
        """Those that were opened to the provider for it, with the one that learnt it."""
        return self.proxy.provider.counted(self.account).opened

    def sent(self) -> int:
        """Bytes that the provider sent for it, with those that nobody read."""
        return self.proxy.provider.counted(self.account).sent

    def cost(self, read: Callable[[], None], note: Note) -> int:
        """Have the program read; returns how many connections that took, and notes them."""
        opened, sent = self.connections(), self.sent()
        read()
        connections = self.connections() - opened
        note(self.shown.stem, f"{connections} connections, {(self.sent() - sent) / 1000:,.0f} kB")
        return connections


def title(program: str, form: str) -> str:
    """What a program's own film is called."""
    return f"{program} {form}"


def account_of(program: str, form: str) -> int:
    """Whose that film is: each is another account's, so that none waits for another to be learnt."""
    return 1 + PROGRAMS.index(program) * len(FILMS) + list(FILMS).index(form)


@pytest.fixture(scope="module")
def shown(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, long_films: dict[str, Path]
) -> Iterator[Shown]:
    """All films, once for each program; none of them is held back."""
    streams, names = [], {}
    for program in PROGRAMS:
        for form, film in long_films.items():
            number = account_of(program, form)
            streams.append(Stream(str(UUID(int=number)), number, f"s{number}", film, extension=film.suffix))
            names[streams[-1].uuid] = title(program, form)
    url = postgres.new_database()
    catalogue_of(streams, names, duration_secs=_TIMES * SECONDS).write(url)
    with DispatcharrProxy(streams, max_streams={each.account: 1 for each in streams}) as proxy:
        hurry = ("--base-url", proxy.url, "--learn-rate", "6000", "--pace", "1000", "--max-streams", "1")
        with mounted(tmp_path_factory.mktemp("shown"), url, *hurry, what="films") as mount:
            found = Shown(proxy, mount, long_films)
            cases = [found.to(program, form) for program in PROGRAMS for form in FILMS]
            eventually(lambda: all(each.shown.exists() for each in cases))
            eventually(lambda: is_idle(proxy))
            yield found
            eventually(lambda: is_idle(proxy))
        assert proxy.broken_rules == []
        assert not proxy.leaked.total()
        assert b"ERROR" not in mount.log.read_bytes()


def is_idle(proxy: DispatcharrProxy) -> bool:
    """Whether nobody has a slot or a session."""
    return not proxy.slots.total() and not proxy.sessions


@pytest.mark.parametrize("form", FILMS)
@pytest.mark.parametrize("program", LOOKS)
def test_who_looks_at_a_film_is_told_the_same_as_of_its_file_and_asks_for_nothing(
    program: str, form: str, shown: Shown, player_home: Path, record_property: Note
) -> None:
    case = shown.to(program, form)

    def said(path: Path) -> str:
        answer = subprocess.run([*LOOKS[program], path], check=True, capture_output=True, text=True, cwd=player_home)
        return answer.stdout.replace(str(path), "FILM")

    def look() -> None:
        assert said(case.shown) == said(case.film) != ""

    assert case.cost(look, record_property) == 0 or (program, form) in _READS_ON


@pytest.mark.parametrize("form", FILMS)
@pytest.mark.parametrize("program", COPIES)
def test_a_copy_is_the_film_and_one_connection(
    program: str, form: str, shown: Shown, player_home: Path, record_property: Note
) -> None:
    case, copy = shown.to(program, form), player_home / "copy"

    def run() -> None:
        command = [each.replace("FILM", str(case.shown)).replace("COPY", str(copy)) for each in COPIES[program]]
        subprocess.run(command, check=True)

    assert case.cost(run, record_property) == 1
    assert filecmp.cmp(copy, case.film, shallow=False)
    copy.unlink()


@pytest.mark.parametrize("form", FILMS)
def test_a_picture_from_the_middle_is_that_of_the_file(
    form: str, shown: Shown, player_home: Path, record_property: Note
) -> None:
    case = shown.to(PICTURE, form)

    def picture(film: Path) -> bytes:
        place = ("-ss", str(_PLACES[0]), "-i", str(film))
        command = ["ffmpeg", "-v", "error", *place, "-frames:v", "1", "-f", "md5", "-"]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def look() -> None:
        assert picture(case.shown) == picture(case.film) != b""

    assert case.cost(look, record_property) > 0


@pytest.mark.parametrize("form", FILMS)
def test_mpv_shows_the_pictures_of_the_file_where_it_seeks_to(
    form: str, shown: Shown, player_home: Path, record_property: Note
) -> None:
    case = shown.to(MPV, form)

    def pictures(film: Path) -> list[tuple[float, bytes]]:
        seen = []
        with Mpv(player_home, film) as player:
            for place in _PLACES:
                player.seek(place)
                seen.append((player.place(), player.picture(player_home / "picture.png")))
            player.play(2)
        return seen

    def play() -> None:
        seen = pictures(case.shown)
        assert seen == pictures(case.film)
        assert len({picture for _, picture in seen}) == len(_PLACES)

    assert case.cost(play, record_property) > 0


@pytest.mark.parametrize("form", FILMS)
def test_vlc_plays_on_from_where_it_seeks_to(form: str, shown: Shown, player_home: Path, record_property: Note) -> None:
    case = shown.to(VLC, form)

    def play() -> None:
        with Vlc(player_home, case.shown) as player:
            player.reach(2)
            for place in _PLACES:
                player.seek(place)
                player.reach(place + 2)

    assert case.cost(play, record_property) > 0


def test_a_viewers_way_from_a_row_to_a_stream_that_is_free_again(
    postgres: PostgresServer, long_films: dict[str, Path], tmp_path: Path, kodi_home: Path, record_property: Note
) -> None:
    catalogue = Catalogue()
    account = catalogue.account("Provider")
    streams = []
    for name, film in long_films.items():
        movie = catalogue.movie(f"Film {name}", duration_secs=_TIMES * SECONDS)
        streams.append(Stream(str(movie.uuid), account.id, movie.relations[0].stream_id, film))
    episode = catalogue.episode(catalogue.series("Lost"), 1, 1, "Pilot", duration_secs=_TIMES * SECONDS)
    episode.relations[0].stream_id = "an episode's"
    streams.append(Stream(str(episode.uuid), account.id, "an episode's", long_films["mkv-cues-behind"], "episode"))
    url = postgres.new_database()
    catalogue.write(url)
    with DispatcharrProxy(streams, max_streams={account.id: 1}) as proxy:
        with mounted(tmp_path, url, "--base-url", proxy.url, "--learn-rate", "6000", what="films") as mount:
            movies, series = mount.path / "Movies", mount.path / "TV"
            wanted = {name: movies / f"Film {name}/Film {name}{film.suffix}" for name, film in long_films.items()}
            wanted["Pilot"] = series / "Lost/Season 01/S01E01 – Pilot.mkv"
            eventually(lambda: all(each.exists() for each in wanted.values()))
            eventually(lambda: is_idle(proxy))
            with Kodi(kodi_home, movies=(movies,), series=(series,), extracts=False) as kodi:
                asked = len(proxy.requests)
                kodi.scan()
                assert {Path(each["file"]) for each in (*kodi.movies(), *kodi.episodes())} == {*wanted.values()}
                kodi.scan()
                assert proxy.requests[asked:] == []
                for file in wanted.values():
                    kodi.call("GUI.ActivateWindow", window="videos", parameters=[f"{file.parent}/", "return"])
                    time.sleep(_GLANCE_SECONDS)
                assert proxy.requests[asked:] == []
                for name in ("mp4-moov-behind", "Pilot"):
                    play(kodi, wanted[name], proxy, record_property)
        assert proxy.broken_rules == []
        assert not proxy.leaked.total()
    assert b"ERROR" not in mount.log.read_bytes()


def play(kodi: Kodi, file: Path, proxy: DispatcharrProxy, note: Note) -> None:
    """Play a film with seeks, end it, and wait for its stream."""
    before = proxy.provider.counted()
    kodi.open(file)
    for place in _PLACES:
        kodi.seek(place)
        kodi.reach(place + 2)
    assert proxy.slots.total() == 1
    kodi.stop()
    ended = time.monotonic()
    eventually(lambda: is_idle(proxy))
    seconds = time.monotonic() - ended
    after = proxy.provider.counted()
    connections, sent = after.opened - before.opened, after.sent - before.sent
    note(file.name, f"{connections} connections, {sent / 1000:,.0f} kB; the stream was free after {seconds:.1f} s")
    assert seconds < _FREE_WITHIN
