"""Whether a film plays: a .strm's URL is asked for as a player would."""

from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urljoin, urlsplit

import httpx

from vod2strmfs import __version__
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.errors import IndexFileError
from vod2strmfs.index.store import Store
from vod2strmfs.library.contents import url_of
from vod2strmfs.library.tree import Tree
from vod2strmfs.settings import Settings

_SECONDS = 15.0
_CHECK = "playing"


def playing(settings: Settings) -> Iterator[Finding]:
    """Ask for the first film of the library."""
    if not Store.exists(settings.state_dir):
        return
    try:
        url = _first_url(settings)
    except IndexFileError:
        return  # The check of the index says so.
    if url:
        yield ask(url)


def _first_url(settings: Settings) -> str:
    with closing(Store(settings.state_dir)) as store:
        if store.generation:
            tree = Tree(store, write_nfo=False)
            for path, entry in tree.walk():
                if path.endswith(".strm"):
                    return url_of(tree.read(entry.inode))
    return ""


def ask(url: str) -> Finding:
    """GET a film's URL, follow one redirect, read a few bytes, and hang up.

    HEAD will not do: Dispatcharr answers it with 405. The message names the host alone, since a direct URL holds
    the account's password.
    """
    host = urlsplit(url).netloc.rpartition("@")[2]
    try:
        # A proxy of this shell's would not be the media server's.
        with httpx.Client(
            timeout=_SECONDS, trust_env=False, headers={"User-Agent": f"vod2strmfs/{__version__}"}
        ) as client:
            return _answer(client, url, host)
    except httpx.TimeoutException:
        return Finding(
            _CHECK,
            Level.PROBLEM,
            f"{host} does not answer within {_SECONDS:g} seconds",
            "Check base_url, and firewalls between this host and Dispatcharr.",
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding(
            _CHECK,
            Level.PROBLEM,
            f"{host} cannot be reached ({_reason(error)})",
            "base_url has to be Dispatcharr's address as media servers reach it: its host, and its web page's port.",
        )


def _answer(client: httpx.Client, url: str, host: str) -> Finding:
    with client.stream("GET", url) as answer:
        if answer.is_redirect:
            url = urljoin(url, answer.headers.get("Location", ""))
            with client.stream("GET", url) as final:
                return _judge(final, host)
        return _judge(answer, host)


def _judge(answer: httpx.Response, host: str) -> Finding:
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return Finding(
            _CHECK,
            Level.PROBLEM,
            f"{host} answers 503: Dispatcharr has no stream for this title",
            "Check that the account has a connection free, that movie_path is /proxy/vod/movie/{uuid} (the plural never"
            " plays), and run `vod2strmfs sync`.",
        )
    if answer.is_redirect:
        return Finding(
            _CHECK,
            Level.PROBLEM,
            f"{host} redirects more than once",
            "Check base_url: it should be Dispatcharr itself.",
        )
    if not answer.is_success:
        return Finding(
            _CHECK,
            Level.PROBLEM,
            f"{host} answers {answer.status_code} {answer.reason_phrase}",
            "Check base_url, movie_path and episode_path, and what stands between here and Dispatcharr.",
        )
    if kind == "text/html":
        return Finding(
            _CHECK,
            Level.PROBLEM,
            f"{host} answers with a web page instead of a film",
            "Check base_url, movie_path and episode_path; another web server may have that port.",
        )
    if not next(answer.iter_raw(), b""):
        return Finding(
            _CHECK,
            Level.PROBLEM,
            f"{host} answers {answer.status_code} without a byte of a film",
            "See Dispatcharr's log: the provider may have sent nothing.",
        )
    return Finding(_CHECK, Level.OK, f"{host} plays a film from here ({kind or 'of no type'})")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
