"""A check whether a film plays: a .strm's URL is asked for as a player would."""

import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from uuid import UUID

import httpx

from vod2strmfs import __version__
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.errors import IndexFileError
from vod2strmfs.films.film import Address
from vod2strmfs.index.store import Store
from vod2strmfs.library import contents
from vod2strmfs.library.kinds import node_of
from vod2strmfs.library.tree import Tree
from vod2strmfs.settings import Settings, without_password

_SECONDS = 15.0
_CHECK = "playing"
_OF_URLS = ("base_url", "movie_path", "episode_path", "pin_stream")
"""The settings that the URL of a film in Dispatcharr is made from."""
_ADDRESS = "base_url has to be Dispatcharr's address as media servers reach it: its host, and its web page's port."


def playing(settings: Settings) -> Iterator[Finding]:
    """Whether the first film of the library plays, at the address that is given, or else that it was made with."""
    if not Store.exists(settings.state_dir):
        return
    try:
        film = first_film(settings)
    except IndexFileError:
        return  # The check of the index says so.
    if film:
        yield ask(film.url)


def first_film(settings: Settings, address: str = "") -> Address | None:
    """Where the first film of the library is, at the address that is given, or else that it was made with.

    Args:
        settings: of the command.
        address: Dispatcharr's, in place of `base_url`.

    Raises:
        IndexFileError: the index cannot be read.
    """
    given = {name: getattr(settings, name) for name in _OF_URLS if name in settings.model_fields_set}
    given |= {"base_url": address} if address else {}
    with closing(Store(settings.state_dir)) as store:
        if store.generation:
            for path, entry in Tree(store, write_nfo=False).walk():
                if path.endswith(".strm"):
                    record = store.record(node_of(entry.inode))
                    url = contents.url_of(contents.strm(record, store.settings.model_copy(update=given)))
                    return Address(url, direct=bool(record.provider))
    return None


def ask(url: str) -> Finding:
    """Whether a film's URL plays: GET it, follow Dispatcharr's own redirect, read a few bytes, and hang up.

    HEAD will not do: Dispatcharr answers it with 405. The message names the host alone, since a direct URL holds
    the account's password; so does the address to which some installations redirect, which is never shown.
    """
    return _asked(url, _answer)


def probe(settings: Settings, address: str = "", ca_file: Path | None = None) -> Finding:
    """Whether `base_url` is Dispatcharr's, asked for a title that nobody has, which costs no provider anything.

    Args:
        settings: of the command.
        address: Dispatcharr's, in place of `base_url`.
        ca_file: the authority by which an https address is known, beside those of the host.
    """
    path = settings.movie_path.replace("{uuid}", str(UUID(int=0)))
    return _asked((address or settings.base_url) + path, _known, ca_file)


def _asked(url: str, answer: Callable[[httpx.Client, str, str], Finding], ca_file: Path | None = None) -> Finding:
    host = urlsplit(url).netloc.rpartition("@")[2]
    verify: bool | ssl.SSLContext = True
    if ca_file:
        try:
            verify = ssl.create_default_context()
            verify.load_verify_locations(ca_file)
        except OSError as error:  # SSLError is one
            text = f"api_ca_file: {ca_file} cannot be used ({error.strerror or error})"
            return _problem(text, "Name a file with the authority's certificate, as PEM.")
    try:
        # A proxy of this shell's would not be the media server's.
        with httpx.Client(
            timeout=_SECONDS, trust_env=False, headers={"User-Agent": f"vod2strmfs/{__version__}"}, verify=verify
        ) as client:
            return answer(client, url, host)
    except httpx.TimeoutException:
        return _problem(
            f"{host} does not answer within {_SECONDS:g} seconds",
            "Check base_url, and firewalls between this host and Dispatcharr.",
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: it sends us on to no address
        if "WRONG_VERSION_NUMBER" in str(error):
            text, advice = f"{host} does not speak https", "Write http:// in base_url, in place of https://."
        else:
            text, advice = f"{host} cannot be reached ({_reason(error)})", _ADDRESS
        return _problem(text, advice)


def _known(client: httpx.Client, url: str, host: str) -> Finding:
    with client.stream("GET", url) as answer:
        # Dispatcharr adds a session to the path, even of a title that it does not know.
        there = urljoin(url, answer.headers.get("Location", ""))
        if answer.is_redirect and urlsplit(there).path.startswith(urlsplit(url).path + "/"):
            return Finding("address", Level.OK, f"{host} is Dispatcharr")
        if answer.is_redirect and urlsplit(there)._replace(netloc="") == urlsplit(url)._replace(
            scheme="https", netloc=""
        ):
            advice = "Write https:// in base_url, in place of http://, and the port that goes with it."
            return _problem(f"{host} sends everybody on to https", advice)
        if answer.is_redirect:
            return _elsewhere(there, host)
        if answer.is_success or answer.status_code == httpx.codes.NOT_FOUND:
            return Finding(
                "address",
                Level.PROBLEM,
                f"{host} answers, and is not Dispatcharr (it says {answer.status_code} to the address of a film)",
                "Check host and port: they are those of Dispatcharr's web page.",
            )
        return _judge(answer, host)


def _answer(client: httpx.Client, url: str, host: str) -> Finding:
    for _ in range(2):
        with client.stream("GET", url) as answer:
            if not answer.is_redirect:
                return _judge(answer, host)
            there = urljoin(url, answer.headers.get("Location", ""))
        # Dispatcharr adds a session to the path, even of a title that it does not know. Panels send whom they like.
        if not urlsplit(there).path.startswith(urlsplit(url).path) and not _is_providers(url):
            return _elsewhere(there, host)
        url = there
    return _problem(
        f"{host} redirects more than once",
        "Check base_url: it should be Dispatcharr itself.",
    )


def _is_providers(url: str) -> bool:
    """Whether an address is a film's URL at an Xtream panel."""
    return re.search(r"/\d+\.\w+$", urlsplit(url).path) is not None


def _elsewhere(address: str, host: str) -> Finding:
    if _is_providers(address):
        return Finding(
            _CHECK,
            Level.WARNING,
            f"{host} sends players to the provider itself: the account's password is in the address that they get",
            "Dispatcharr's default stream profile is Redirect. To have films go through Dispatcharr, which counts"
            " connections and fails over, choose another one there (Settings, Stream Settings).",
        )
    return _problem(
        f"{host} sends players to another page instead of a film",
        "Check base_url; if something in front of Dispatcharr asks for a login, it must let /proxy/vod/ through.",
    )


def _judge(answer: httpx.Response, host: str) -> Finding:
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return _problem(
            f"{host} answers 503: Dispatcharr has no stream for this title",
            "Check that the account has a connection free, that movie_path is /proxy/vod/movie/{uuid} (the plural never"
            " plays), and run `vod2strmfs sync`.",
        )
    if answer.status_code == httpx.codes.FORBIDDEN:
        return _problem(
            f"{host} answers 403: it does not let this host play",
            "Check Dispatcharr's allowed networks for streams (Settings, Network Access): this host and the media"
            " server's have to be among them; if movie_path names a user of Dispatcharr's, that films are allowed to"
            " that user (from 0.30 on); and what else stands between here and Dispatcharr.",
        )
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return _problem(
            f"{host} answers 401: something in front of Dispatcharr asks for a login",
            "It must let /proxy/vod/ through; or set base_url to Dispatcharr's own address.",
        )
    if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
        return _problem(
            f"{host} answers 500, as Dispatcharr does when the provider refuses a film",
            "Play the title in Dispatcharr's own page, and see its log: the account may have ended or be full, or the"
            " provider may be away or not have this film any more.",
        )
    if not answer.is_success:
        return _problem(
            f"{host} answers {answer.status_code} {answer.reason_phrase}",
            "Check base_url, movie_path and episode_path, and what stands between here and Dispatcharr.",
        )
    if kind == "text/html":
        return _problem(
            f"{host} answers with a web page instead of a film",
            "Check base_url, movie_path and episode_path; another web server may have that port. If it is Dispatcharr,"
            " the provider sent the page, as some do when an account has ended.",
        )
    if not next(answer.iter_raw(), b""):
        return _problem(
            f"{host} answers {answer.status_code} without a byte of a film",
            "See Dispatcharr's log: the provider may have sent nothing.",
        )
    return Finding(_CHECK, Level.OK, f"{host} plays a film from here ({kind or 'of no type'})")


def _reason(error: Exception) -> str:
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
    return without_password(text) or type(error).__name__


def _problem(text: str, advice: str) -> Finding:
    return Finding(_CHECK, Level.PROBLEM, text, advice)
