"""Checks of the values of settings.

Each check takes what was given and returns what is meant. A value that it refuses is a ValueError, whose text goes
behind the name of the setting: `base_url: must have a port from 1 to 65535, or none`.
"""

import json
import os
import re
import shlex
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import SecretStr

from vod2strmfs.schedule import crontab

_LONGEST_PATH = 4000
"""Characters that a path may have; Linux takes 4095 bytes."""


def _printable(value: str) -> str:
    if any(c.isspace() or not c.isprintable() for c in value):
        raise ValueError("must not hold spaces or control characters")
    return value


def _parts(url: str) -> SplitResult:
    """The parts of a URL. What urllib says of one that is none may show a part of the password."""
    try:
        return urlsplit(url)
    except ValueError:
        raise ValueError(
            "is no URL: [ and ] are for IPv6 addresses alone, and odd characters have to be percent-encoded"
        ) from None


def http_url(value: str) -> str:
    """An http:// or https:// URL without query and fragment; a trailing slash is dropped."""
    parts = _parts(_printable(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL with a host, such as http://192.168.1.10:9191")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query (?) or a fragment (#)")
    try:
        has_port = parts.port != 0
    except ValueError:  # Its text may show a part of the password.
        has_port = False
    if not has_port:
        raise ValueError("must have a port from 1 to 65535, or none")
    return value.rstrip("/")


def uuid_path(value: str) -> str:
    """A path of a URL that contains {uuid} once."""
    if not _printable(value).startswith("/") or value.count("{uuid}") != 1 or value.endswith("/"):
        raise ValueError("must begin with /, contain {uuid} once, and not end in /")
    return value


def without_password(text: str, *, is_value: bool = False) -> str:
    """A text, such as a URL or a message, with `***` for the password of each URL in it.

    A URL that is wrong is one too: what stands between the first colon behind `//`, or of the text, and the last @.

    Args:
        text: what is to be shown.
        is_value: whether it is the value of a setting, of which spaces are a part.
    """
    user, password = ("[^/:@]*", "(?s:.*)") if is_value else (r"[^/:@\s]*", r"\S*")
    hidden = re.sub(rf"(?<=//)({user}):{password}@", r"\1:***@", text)
    return re.sub(rf"^({user}):(?!//){password}@", r"\1:***@", hidden)


def pattern(value: str) -> str:
    """A regular expression, as the `regex` package reads it."""
    import regex  # most commands have no pattern to check

    try:
        regex.compile(value)
    except regex.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return value


def octal(value: object) -> object:
    """A number that is written in octal."""
    if isinstance(value, str):
        try:
            return int(value, 8)
        except ValueError:
            raise ValueError("must be an octal number such as 022") from None
    return value


def permissions(value: int) -> int:
    """Permission bits of a file, from 0 to 0o777."""
    if not 0 <= value <= 0o777:
        raise ValueError("must be an octal number from 0 to 777")
    return value


def schedule(value: str) -> str:
    """A schedule of `vod2strmfs.schedule`, or an empty text."""
    if value.strip():
        crontab(value)
    return value.strip()


def time_zone(value: str) -> str:
    """The name of a time zone that this host knows, or an empty text."""
    if value:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError("is not a time zone that this host knows, such as Europe/Berlin") from None
    return value


def listen_address(value: str) -> str:
    """An address of this host and a port, or an empty text."""
    if not value:
        return value
    parts = _parts(f"//{value}")
    try:
        ip_address(parts.hostname or "")
        port = parts.port
    except ValueError:
        port = None
    if not (port and value == parts.netloc and "@" not in value):
        raise ValueError(
            "must be an address of this host and a port: 127.0.0.1:9192 or [::1]:9192 for this host alone,"
            " 0.0.0.0:9192 for all that can reach it"
        )
    return value


def is_loopback(address: str) -> bool:
    """Whether what listens at an address and port can be reached from this host alone."""
    return ip_address(urlsplit(f"//{address}").hostname or "").is_loopback


def separated(value: object) -> object:
    """The items of a text that commas separate; what is no text stays as it is."""
    if isinstance(value, str):
        return tuple(item for part in value.split(",") if (item := part.strip()))
    return value


def years(value: str) -> str:
    """A year or a range of years, without its spaces; or an empty text."""
    match = re.fullmatch(r"(\d{4})?(-)?(\d{4})?", value.replace(" ", ""))
    if match is None or (value and not (match[1] or match[3])) or (match[1] and match[3] and not match[2]):
        raise ValueError("must be a year or a range such as 1990-2005, 1990- or -2005")
    if match[1] and match[3] and match[1] > match[3]:
        raise ValueError("must begin with the earlier year")
    return match[0]


def location(value: object) -> object:
    """A path, absolute or relative to the current directory, with ~ replaced by the user's home directory."""
    # An empty path would mean the current directory; and no shell expands the ~ of --state-dir=~/state.
    if value == "":
        raise ValueError("must not be empty")
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST_PATH:
        raise ValueError(f"must not be longer than {_LONGEST_PATH} characters")
    return _findable(os.path.expanduser(value))


def _findable(path: str) -> str:
    if not os.path.isabs(path):
        try:
            os.getcwd()
        except OSError:
            raise ValueError("is relative, and the current directory has gone: give an absolute path") from None
    return path


def database(value: SecretStr) -> SecretStr:
    """A database: a postgresql:// URL, a libpq connection string, or sqlite:///PATH."""
    text = value.get_secret_value()
    if re.match("postgres(ql)?://", text):
        _refuse_bare_characters(text.partition("://")[2])
    elif not re.match(r"sqlite:///.|\s*\w+\s*=", text):
        raise ValueError(
            "must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE, a libpq connection string such as"
            " 'host=… dbname=…', or sqlite:///PATH"
        )
    if text.startswith("sqlite:///"):
        _findable(text.removeprefix("sqlite:///"))
    return value


def _refuse_bare_characters(address: str) -> None:
    """Refuse a URL that libpq would take apart wrongly: its messages would show parts of the password."""
    login, at, host = address.partition("@")
    cut_at_slash = at and "/" in login and "?" not in login
    if cut_at_slash or "@" in host.partition("?")[0] or re.search(r"%(?![0-9A-Fa-f]{2})|\s", address):
        raise ValueError(
            "must have special characters of the user and the password percent-encoded: @ as %40, / as %2F, % as %25"
        )
    for place in (host if at else address).partition("/")[0].partition("?")[0].split(","):
        port = re.search(r":([^:\]]*)$", place)
        if port and port[1] and not (port[1].isdecimal() and 1 <= int(port[1]) <= 65535):
            raise ValueError("must have a port from 1 to 65535, or none")


def hours(value: str) -> str:
    """Hours of the day in one form: `HH:MM-HH:MM`."""
    match = re.fullmatch(r"(\d{1,2}):?(\d\d)?\s*-\s*(\d{1,2}):?(\d\d)?", value.strip())
    if not value.strip():
        return ""
    numbers = [int(each or 0) for each in match.groups()] if match else [99] * 4
    if any(number > limit for number, limit in zip(numbers, (24, 59, 24, 59), strict=True)):
        raise ValueError("must be hours of the day, such as 22:00-07:00")
    begin, end = f"{numbers[0] % 24:02}:{numbers[1]:02}", f"{numbers[2] % 24:02}:{numbers[3]:02}"
    if begin == end:
        raise ValueError("must begin and end at different times")
    return f"{begin}-{end}"


def command_line(value: str) -> str:
    """A command line that a shell would take apart into words."""
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"is not a command line: {error}") from None
    if value and not words:
        raise ValueError("must name a program")
    return value


def tables(value: object) -> object:
    """A list of tables, which the environment holds as JSON. One table is a list of one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError('must be JSON, as in [{"kind": "jellyfin", "url": "http://…"}]') from None
    return (value,) if isinstance(value, dict) else value
