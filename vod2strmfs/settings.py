"""Every option, once: name, type, default and help.

A value comes from its default, a TOML file (`--config`), the environment (`VOD2STRMFS_…`) or the command
line, in rising precedence. Dispatcharr's own `POSTGRES_*` variables stand in for `database`.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from vod2strmfs.errors import SettingsError
from vod2strmfs.schedule import crontab

ENVIRONMENT_PREFIX = "VOD2STRMFS_"
CONFIG_VARIABLE = ENVIRONMENT_PREFIX + "CONFIG"
"""Names the TOML file, where `--config` does not."""

_SHOWN_CHARACTERS = 80
"""Of a bad value, in a message."""
_LONGEST_PATH = 4000
"""Characters; Linux takes 4095 bytes."""
_HIGHEST_ID = 2**32 - 2
"""Of a user or a group: the next number means "none" to the kernel."""


def _printable(value: str) -> str:
    if any(c.isspace() or not c.isprintable() for c in value):
        raise ValueError("must not hold spaces or control characters")
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(_printable(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL with a host, such as http://192.168.1.10:9191")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query (?) or a fragment (#)")
    if parts.port == 0:
        raise ValueError("must not have port 0")
    return value.rstrip("/")


def _uuid_path(value: str) -> str:
    if not _printable(value).startswith("/") or value.count("{uuid}") != 1 or value.endswith("/"):
        raise ValueError("must begin with /, contain {uuid} once, and not end in /")
    return value


def _pattern(value: str) -> str:
    import regex  # most commands have no pattern to check

    try:
        regex.compile(value)
    except regex.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return value


def _octal(value: object) -> object:
    if isinstance(value, str):
        try:
            return int(value, 8)
        except ValueError:
            raise ValueError("must be an octal number such as 022") from None
    return value


def _permissions(value: int) -> int:
    if not 0 <= value <= 0o777:
        raise ValueError("must be an octal number from 0 to 777")
    return value


def _schedule(value: str) -> str:
    if value.strip():
        crontab(value)
    return value.strip()


def _time_zone(value: str) -> str:
    if value:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError("is not a time zone that this host knows, such as Europe/Berlin") from None
    return value


def _loopback(value: str) -> str:
    if not value:
        return value
    parts = urlsplit(f"//{value}")
    try:
        is_loopback = ip_address(parts.hostname or "").is_loopback
        port = parts.port
    except ValueError:
        is_loopback, port = False, None
    if not (is_loopback and port and value == parts.netloc and "@" not in value):
        raise ValueError("must be a loopback address and a port, such as 127.0.0.1:9192 or [::1]:9192")
    return value


def _list(value: object) -> object:
    if isinstance(value, str):
        return tuple(item for part in value.split(",") if (item := part.strip()))
    return value


def _years(value: str) -> str:
    match = re.fullmatch(r"(\d{4})?(-)?(\d{4})?", value.replace(" ", ""))
    if match is None or (value and not (match[1] or match[3])) or (match[1] and match[3] and not match[2]):
        raise ValueError("must be a year or a range such as 1990-2005, 1990- or -2005")
    if match[1] and match[3] and match[1] > match[3]:
        raise ValueError("must begin with the earlier year")
    return match[0]


def _location(value: object) -> object:
    # An empty path would mean the current directory; and no shell expands the ~ of --state-dir=~/state.
    if value == "":
        raise ValueError("must not be empty")
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST_PATH:
        raise ValueError(f"must not be longer than {_LONGEST_PATH} characters")
    return os.path.expanduser(value)


def _database(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if re.match("postgres(ql)?://", text):
        _refuse_bare_characters(text.partition("://")[2])
    elif not re.match(r"sqlite:///.|\s*\w+\s*=", text):
        raise ValueError(
            "must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE, a libpq connection string such as"
            " 'host=… dbname=…', or sqlite:///PATH"
        )
    return value


def _refuse_bare_characters(address: str) -> None:
    """Refuse a URL that libpq would take apart wrongly: its messages would show parts of the password."""
    login, at, host = address.partition("@")
    cut_at_slash = at and "/" in login and "?" not in login
    if cut_at_slash or "@" in host.partition("?")[0] or re.search(r"%(?![0-9A-Fa-f]{2})|\s", address):
        raise ValueError(
            "must have special characters of the user and the password percent-encoded: @ as %40, / as %2F, % as %25"
        )


HttpUrl = Annotated[str, AfterValidator(_http_url)]
UuidPath = Annotated[str, AfterValidator(_uuid_path)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_list)]
Years = Annotated[str, AfterValidator(_years)]
Schedule = Annotated[str, AfterValidator(_schedule)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
LoopbackAddress = Annotated[str, AfterValidator(_loopback)]
Umask = Annotated[int, BeforeValidator(_octal), AfterValidator(_permissions)]
Location = Annotated[Path, BeforeValidator(_location)]
Database = Annotated[SecretStr, AfterValidator(_database)]


def state_directory() -> Path:
    """Where state is kept by default: /var/lib for root, the XDG state directory for everyone else."""
    if os.geteuid() == 0:
        return Path("/var/lib/vod2strmfs")
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "vod2strmfs"
    except RuntimeError:
        raise SettingsError("state_dir: not set, and this user has no home directory. Give --state-dir DIR.") from None


class LibrarySettings(BaseModel):
    """What decides the names and the bytes of the tree. The index stores these with each generation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: HttpUrl = Field(
        "http://192.168.199.10:9191",
        description="Dispatcharr's address as the media server reaches it; written into every .strm",
    )
    movie_path: UuidPath = Field("/proxy/vod/movie/{uuid}", description="a movie's path below the base URL")
    episode_path: UuidPath = Field("/proxy/vod/episode/{uuid}", description="an episode's path below the base URL")
    pin_stream: bool = Field(
        True, description="append the stream and account id to every URL, so that it outlives a re-created UUID"
    )
    media_server: Literal["any", "jellyfin", "emby", "kodi", "plex", "spec"] = Field(
        "any", description="whose names and NFO forms to write"
    )
    clean_titles: bool = Field(True, description="remove the country and quality marks that panels add to titles")
    name_regex: Pattern = Field("", description="a regular expression; what it matches is removed from titles")
    folder_ids: Literal["none", "plex", "jellyfin"] = Field(
        "none", description="put the TMDB or IMDb id into the folders' names, as that server reads it"
    )
    group_by: Literal["none", "category"] = Field("none", description="a folder for each category above the titles")
    versions: Literal["best", "all"] = Field(
        "best", description="a .strm for the relation that Dispatcharr would play, or one for each account and stream"
    )
    direct_urls: bool = Field(
        False,
        description="write the provider's own URLs, for Xtream accounts; this puts their passwords into every .strm",
    )

    accounts: Patterns = Field((), description="only what these accounts have; globs, a leading ! excludes")
    categories: Patterns = Field((), description="only what stands in these categories; globs, a leading ! excludes")
    genres: Patterns = Field((), description="only these genres; globs, a leading ! excludes")
    languages: Patterns = Field(
        (), description="only these languages, by the mark in the title (EN, FR …; none: -); a leading ! excludes"
    )
    ids: Patterns = Field(
        (), description="only these titles, as tmdb-949, imdb-tt0113277 or a UUID; a leading ! excludes"
    )
    years: Years = Field("", description="only titles of these years, such as 1990-2005, 1990- or -2005")
    adult: Literal["include", "exclude", "only"] = Field("include", description="what to do with adult titles")

    @field_validator("*", mode="before")
    @classmethod
    def _refuse(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what pydantic takes but no setting means."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("must not be true or false")
        if isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise ValueError("must not hold NUL characters or bytes that are not UTF-8")
        return value

    def warnings(self) -> Iterator[str]:
        """What is allowed, and seldom meant."""
        host = urlsplit(self.base_url).hostname or ""
        if host == "localhost" or host.startswith("127.") or host in ("::1", "0.0.0.0"):
            yield (
                f"base_url is {self.base_url}: a media server would look for Dispatcharr on its own host, or in"
                " its own container. Give the address by which it reaches Dispatcharr."
            )
        if self.direct_urls:
            yield "direct_urls is on: every .strm of an Xtream account holds the account's password."


class Settings(LibrarySettings):
    """All settings of a command."""

    database: Database | None = Field(
        None,
        description="Dispatcharr's database: postgresql://…, a libpq connection string, or sqlite:///PATH"
        " (default: from POSTGRES_HOST, POSTGRES_DB and the like)",
    )
    output_root: Location = Field(Path("/data/STRM"), description="where to mount, or to write the tree")
    state_dir: Location = Field(
        default_factory=state_directory,
        description="where the index is kept (default: /var/lib/vod2strmfs for root, else ~/.local/state/vod2strmfs)",
    )
    log_dir: Location | None = Field(None, description="where vod2strm.log is written (default: STATE_DIR/logs)")
    report_dir: Location | None = Field(None, description="where reports are written (default: STATE_DIR/reports)")

    write_nfo: bool = Field(True, description="show or write .nfo files beside the .strm files")
    max_shrink: int = Field(
        20, ge=0, le=100, description="hold removals back when more than this percentage would vanish within a day"
    )
    debug_logging: bool = Field(False, description="log verbosely, to vod2strm.log in the log directory")

    cleanup: Literal["off", "preview", "apply"] = Field(
        "off", description="what materialize does with its files that left the catalogue"
    )
    concurrency: int = Field(12, ge=1, le=256, description="how many files materialize writes at once")
    schedule: Schedule = Field(
        "", description="when `run` materializes: daily HH:MM, or a crontab of 5 fields, or of 6 with the seconds first"
    )
    time_zone: TimeZone = Field("", description="the schedule's time zone, as in Europe/Berlin (default: this host's)")
    auto: bool = Field(False, description="`run` materializes when the catalogue has changed and come to rest")
    throttle: float = Field(
        0, ge=0, le=1e6, description="how many files a second materialize writes at most; 0: as many as it can"
    )
    verify: bool = Field(False, description="compare every byte of what materialize wrote, not only what has changed")
    overwrite: bool = Field(
        False, description="write over NFOs and .strm files that were edited or come from elsewhere"
    )
    keep_reports: int = Field(100, ge=1, description="how many reports to keep")
    keep_report_days: int = Field(90, ge=1, le=36500, description="delete reports that are older than so many days")

    poll_interval: float = Field(30.0, ge=0.2, le=86400, description="seconds between looks at the database")
    allow_other: bool = Field(False, description="let other users read the mount")
    uid: int = Field(
        default_factory=os.getuid, ge=0, le=_HIGHEST_ID, description="owner of every file (default: who mounts)"
    )
    gid: int = Field(
        default_factory=os.getgid, ge=0, le=_HIGHEST_ID, description="group of every file (default: who mounts)"
    )
    status_listen: LoopbackAddress = Field(
        "",
        description="where a mount serves its status page and its metrics, such as 127.0.0.1:9192 (default: nowhere)",
    )
    umask: Umask = Field(0o022, description="permission bits to take away, in octal")

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _config: Path | None = PrivateAttr(None)

    def origin(self, name: str) -> str:
        """Where a setting comes from, as the user wrote it there; empty for its default."""
        return self._origins.get(name, "")

    @property
    def is_library_given(self) -> bool:
        """Whether the library's settings are those meant: a settings file counts whole, with the defaults of what it
        leaves out; without one, at least one of them has to be given."""
        return self._config is not None or bool(self.model_fields_set & LibrarySettings.model_fields.keys())

    @property
    def logs(self) -> Path:
        """The log directory."""
        return self.log_dir or self.state_dir / "logs"

    @property
    def reports(self) -> Path:
        """The report directory."""
        return self.report_dir or self.state_dir / "reports"

    def library(self) -> LibrarySettings:
        """The part that decides names and bytes."""
        return LibrarySettings.model_validate(self.model_dump(include=set(LibrarySettings.model_fields)))

    def source(self) -> str:
        """The database to read: the setting, else what Dispatcharr's own variables name.

        Raises:
            SettingsError: neither is set.
        """
        if self.database is not None:
            return self.database.get_secret_value()
        return dispatcharr_database(os.environ)


def dispatcharr_database(environment: Mapping[str, str]) -> str:
    """The libpq connection string that Dispatcharr itself would use. Empty variables count as not set.

    Raises:
        SettingsError: there is no POSTGRES_HOST.
    """
    host = environment.get("POSTGRES_HOST")
    if not host:
        raise SettingsError(
            "database: not set. Give --database postgresql://USER:PASSWORD@HOST:PORT/dispatcharr,"
            " or set VOD2STRMFS_DATABASE, or Dispatcharr's POSTGRES_HOST."
        )
    parameters: dict[str, str] = {
        "host": host,
        "port": environment.get("POSTGRES_PORT") or "5432",
        "dbname": environment.get("POSTGRES_DB") or "dispatcharr",
        "user": environment.get("POSTGRES_USER") or "dispatch",
        "password": environment.get("POSTGRES_PASSWORD") or "secret",
    }
    if environment.get("POSTGRES_SSL", "").lower() in ("1", "true", "yes", "on"):
        parameters["sslmode"] = environment.get("POSTGRES_SSL_MODE") or "verify-full"
        files = {"sslrootcert": "CA_CERT", "sslcert": "CERT", "sslkey": "KEY"}
        for parameter, suffix in files.items():
            if value := environment.get(f"POSTGRES_SSL_{suffix}"):
                parameters[parameter] = value
    return " ".join(f"{name}={_quoted(value)}" for name, value in parameters.items())


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def load(
    config: Path | None,
    options: Mapping[str, Any],
    environment: Mapping[str, str] = os.environ,
    spelling: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of one command.

    Args:
        config: a TOML file, or None.
        options: the command line's values by field name, only those that were given.
        environment: where `VOD2STRMFS_…` variables are looked up. One that is empty counts as not set.
        spelling: what the command line calls the fields, where that is not the name with dashes.

    Raises:
        SettingsError: a key is unknown, a value is bad, or the file cannot be read; the message names it.
    """
    spelled = spelling or {}
    layers = (
        (_from_file(config) if config else {}, lambda key: f"{key} in {config}"),
        (_from_environment(environment), lambda key: ENVIRONMENT_PREFIX + key.upper()),
        (options, lambda key: spelled.get(key, "--" + key.replace("_", "-"))),
    )
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for layer, name in layers:
        for key, value in layer.items():
            if key not in Settings.model_fields:
                raise SettingsError(f"{name(key)}: there is no such setting. {_suggestion(key)}")
            values[key] = value
            origin[key] = name(key)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, origin)) from None
    settings._origins = origin
    settings._config = config
    return settings


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: is not a TOML file: {error}.") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX) and name != CONFIG_VARIABLE and value
    }


def _suggestion(key: str) -> str:
    if near := get_close_matches(key, Settings.model_fields, 1):
        return f"Did you mean {near[0]}?"
    return f"The settings are {', '.join(Settings.model_fields)}."


def _explain(error: ValidationError, origin: Mapping[str, str]) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_context=False):
        field = str(problem["loc"][0])
        reason = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        given = "" if is_secret(field) else f" (is {_shortened(repr(problem['input']))})"
        problems.append(f"{origin[field]}: {reason}{given}.")
    return "\n".join(problems)


def is_secret(field: str) -> bool:
    """Whether a setting must not be shown."""
    return "SecretStr" in repr(Settings.model_fields[field].annotation)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
