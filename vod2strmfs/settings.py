"""Every option, once: name, type, default and help.

A value comes from its default, a TOML file (`--config`), the environment (`VOD2STRMFS_…`) or the command
line, in rising precedence. Dispatcharr's own `POSTGRES_*` variables stand in for `database`.
"""

import json
import os
import pwd
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping, Set
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin
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

_Spell = Callable[[str], str]
"""What a user calls a setting."""

ENVIRONMENT_PREFIX = "VOD2STRMFS_"
CONFIG_VARIABLE = ENVIRONMENT_PREFIX + "CONFIG"
"""Names the TOML file, where `--config` does not."""

_SHOWN_CHARACTERS = 80
"""Of a bad value, in a message."""
_LONGEST_PATH = 4000
"""Characters; Linux takes 4095 bytes."""
_SECTIONS = ("notify",)
"""Settings that are tables."""
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
    try:
        has_port = parts.port != 0
    except ValueError:  # Its text may show a part of the password.
        has_port = False
    if not has_port:
        raise ValueError("must have a port from 1 to 65535, or none")
    return value.rstrip("/")


def _uuid_path(value: str) -> str:
    if not _printable(value).startswith("/") or value.count("{uuid}") != 1 or value.endswith("/"):
        raise ValueError("must begin with /, contain {uuid} once, and not end in /")
    return value


def without_password(text: str) -> str:
    """A text, such as a URL or a message, with `***` for the password of each URL in it.

    A URL that is wrong is one too: what stands between the first colon behind `//`, or of the text, and the last @.
    """
    hidden = re.sub(r"(?<=//)([^/:@\s]*):\S*@", r"\1:***@", text)
    return re.sub(r"^([^/:@\s]*):(?!//)\S*@", r"\1:***@", hidden)


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
    return _findable(os.path.expanduser(value))


def _findable(path: str) -> str:
    if not os.path.isabs(path):
        try:
            os.getcwd()
        except OSError:
            raise ValueError("is relative, and the current directory has gone: give an absolute path") from None
    return path


def _database(value: SecretStr) -> SecretStr:
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


def _hours(value: str) -> str:
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


def _command(value: str) -> str:
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"is not a command line: {error}") from None
    if value and not words:
        raise ValueError("must name a program")
    return value


def _tables(value: object) -> object:
    """A list of tables, which the environment holds as JSON. One table is a list of one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError('must be JSON, as in [{"kind": "jellyfin", "url": "http://…"}]') from None
    return (value,) if isinstance(value, dict) else value


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
Hours = Annotated[str, AfterValidator(_hours)]
CommandLine = Annotated[str, AfterValidator(_command)]


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
    group_by: Literal["none", "category", "category_tv"] = Field(
        "none",
        description="category: a folder for each category above the films; category_tv: above the series too, and then"
        " each such folder has to be a library of its own",
    )
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
        annotation = cls.model_fields[str(info.field_name)].annotation
        # Of a choice, pydantic says by itself what there is to choose.
        if isinstance(value, bool) and annotation is not bool and get_origin(annotation) is not Literal:
            raise ValueError("must not be true or false")
        if isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise ValueError("must not hold NUL characters or bytes that are not UTF-8")
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """See pydantic. The address of Dispatcharr may hold a password, and this goes into the log."""
        for name, value in super().__repr_args__():
            yield name, without_password(value) if name == "base_url" else value

    def warnings(self, given: Set[str] | None = None) -> Iterator[str]:
        """What is allowed, and seldom meant.

        Args:
            given: the settings that somebody chose; None: those of this object that are not left at their default.
        """
        parts = urlsplit(self.base_url)
        host = parts.hostname or ""
        is_default = self.base_url == type(self).model_fields["base_url"].default
        if is_default and "base_url" not in (self.model_fields_set if given is None else given):
            yield (
                f"base_url is not set: every .strm says {self.base_url}, which is hardly where your Dispatcharr is."
                " Give the address by which media servers reach it."
            )
        if parts.password is not None:
            yield (
                f"base_url is {without_password(self.base_url)}: its password stands in every .strm, and so in every"
                " media server. Leave it out, if nothing in front of Dispatcharr asks for it."
            )
        if host == "localhost" or host.startswith("127.") or host in ("::1", "0.0.0.0"):
            yield (
                f"base_url is {without_password(self.base_url)}: a media server would look for Dispatcharr on its own"
                " host, or in its own container. Give the address by which it reaches Dispatcharr."
            )
        if self.direct_urls:
            yield "direct_urls is on: every .strm of an Xtream account holds the account's password."


class MediaServer(BaseModel):
    """A media server that is told what changed: a table `[[notify]]` of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["jellyfin", "emby", "plex", "kodi"] = Field(description="what it is")
    url: HttpUrl = Field(description="its address as this host reaches it, such as http://192.168.1.20:8096")
    name: str = Field("", description="what messages call it (default: its kind and host)")
    token: SecretStr = Field(SecretStr(""), description="its API key, or Plex's token; Kodi's password, if it has one")
    token_file: Location | None = Field(None, description="a file that holds the token, instead of it")
    user: str = Field("", description="Kodi's user, if it has one")
    paths: dict[str, str] = Field(
        {}, description='where it sees our folders, as in { "/mnt/vod" = "/media/vod" } (default: as here)'
    )
    libraries: tuple[str, ...] = Field(
        (), description="tell it only of what is in these folders, as it sees them (default: its own libraries)"
    )
    verify_tls: bool = Field(True, description="refuse a certificate that is not trusted")
    ca_file: Location | None = Field(None, description="a certificate of the authority to trust, besides the system's")
    refresh: bool = Field(
        False, description="have Kodi read changed NFOs, which makes Kodi 20 forget what was watched of these titles"
    )
    timeout: float = Field(30, ge=1, le=600, description="seconds that it may take to answer")

    @field_validator("url")
    @classmethod
    def _refuse_login(cls, value: str) -> str:
        if "@" in urlsplit(value).netloc:
            raise ValueError("must not hold a user or a password: give user and token")
        return value

    @field_validator("paths")
    @classmethod
    def _refuse_relative(cls, value: dict[str, str]) -> dict[str, str]:
        for here, there in value.items():
            if not here.startswith("/") or not there:
                raise ValueError('must lead from absolute paths here to paths there, as in { "/mnt/vod" = "/media" }')
        return value

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name or f"{self.kind} at {urlsplit(self.url).netloc}"


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

    notify: Annotated[tuple[MediaServer, ...], BeforeValidator(_tables)] = Field(
        (), description="media servers to tell what changed, each a table [[notify]]; in the environment, JSON"
    )
    notify_quiet: Hours = Field("", description="hours in which nothing is told, such as 22:00-07:00; it is told later")
    notify_limit: int = Field(
        300, ge=1, le=100_000, description="when more titles than this changed, one scan of all of them is asked for"
    )
    on_change: CommandLine = Field("", description="a command that gets what changed as JSON lines on standard input")
    on_change_timeout: float = Field(60, ge=0.1, le=86400, description="seconds after which that command is ended")

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _repeated: tuple[str, ...] = PrivateAttr(())

    def command(self, *arguments: str) -> str:
        """A command for the same library, to be pasted into a shell: with the settings file that was given to this one,
        and with its options that `sync` has too. A password is left out."""
        return shlex.join(("vod2strmfs", *arguments, *self._repeated))

    # Only here: an index that was made with such values, when they were taken, can still be read.
    @field_validator("base_url")
    @classmethod
    def _refuse_marks(cls, value: str) -> str:
        if "?" in value or "#" in value:
            raise ValueError("must not have a query (?) or a fragment (#)")
        return value

    @field_validator("movie_path", "episode_path")
    @classmethod
    def _refuse_names(cls, value: str) -> str:
        rest = value.replace("{uuid}", "")
        if unknown := re.findall(r"\{[^{}]*\}|[{}]", rest):
            raise ValueError(f"must have {{uuid}} as the only name in braces, not {unknown[0]}")
        if "#" in rest:
            raise ValueError("must not have a fragment (#)")
        return value

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

    def database_url(self) -> str:
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

    def option(key: str) -> str:
        return spelled.get(key, "--" + key.replace("_", "-"))

    layers: tuple[tuple[Mapping[str, Any], _Spell, _Spell], ...] = (
        (_from_file(config) if config else {}, str, lambda key: f"{key} in {config}"),
        (_from_environment(environment), _variable, _variable),
        (options, option, option),
    )
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for layer, spell, place in layers:
        for key, value in layer.items():
            if _is_section(value) and key not in _SECTIONS:
                raise SettingsError(
                    f"{place(key)}: sections are not used. Write its settings without the line [{key}]."
                )
            if key not in Settings.model_fields:
                raise SettingsError(f"{place(key)}: there is no such setting. {_suggestion(key, spell)}")
            values[key] = value
            origin[key] = place(key)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, origin)) from None
    settings._origins = origin
    settings._repeated = tuple(_repeated(config, options))
    settings._config = config
    return settings


def _repeated(config: Path | None, options: Mapping[str, Any]) -> Iterator[str]:
    """The options that a command has to be given for it to be about the same library."""
    if config:
        yield from ("--config", str(config.absolute()))
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool) and name in LibrarySettings.model_fields:
            yield option if value else f"--no-{option[2:]}"
        elif name == "state_dir":
            yield from (option, str(Path(value).absolute()))
        elif name == "database":
            yield from (option, "URL" if _has_password(value) else value)
        elif name == "max_shrink" or name in LibrarySettings.model_fields:
            yield from (option, without_password(str(value)))


def _has_password(database: str) -> bool:
    return "password" in database.lower() or ":" in database.partition("://")[2].rpartition("@")[0]


def _is_section(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value))


def _variable(key: str) -> str:
    return ENVIRONMENT_PREFIX + key.upper()


def _from_file(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}).{_who_may_read(path, error)}") from None
    try:
        text = data.decode("utf-8-sig")  # Windows' editor begins files with a mark.
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}: line {line} has a character that is not UTF-8. Save the file as UTF-8.") from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(_broken(path, text, str(error))) from None


def _who_may_read(path: Path, error: OSError) -> str:
    if not isinstance(error, PermissionError):
        return ""
    try:
        owner = pwd.getpwuid(path.stat().st_uid).pw_name
    except (OSError, KeyError):  # It lies in a folder that this user may not look into.
        return " Use sudo."
    return f" Only {owner} may read it: use sudo{'' if owner == 'root' else f' -u {owner}'}."


def _broken(path: Path, text: str, problem: str) -> str:
    """What is wrong with a file that is no TOML, without a value that must not be shown."""
    found = re.search(r" \(at line (\d+), column \d+\)$", problem)
    if found is None:
        return f"{path}: is not a TOML file: {problem}.{_remedy(problem)}"
    line = text.split("\n")[int(found[1]) - 1]
    where = f"{path}: line {found[1]}"
    bare = re.match(r"\s*(\w+)\s*=\s*([^\s\"'{#].*)", line)
    is_of_value = problem.startswith(("Invalid value", "Expected newline"))
    if bare is None or bare[1] not in Settings.model_fields or not is_of_value:
        return f"{where}: is not TOML: {problem[: found.start()]}.{_remedy(problem)}"
    key, value = bare[1], "…" if is_secret(bare[1]) else _shortened(without_password(bare[2].strip()))
    return f"{where}: `{key} = {value}`: {_toml_form(key)}."


_REMEDIES = {
    "Cannot overwrite": "The setting stands there twice",
    r"Unterminated|Unclosed|Illegal character|Expected [\"']['\"]+ \(": "A quote, a bracket or a comma is missing",
    r"Unescaped '\\'|Invalid hex": r"Write text with a \ in 'single quotes'",
}
"""By what tomllib's messages begin with."""


def _remedy(problem: str) -> str:
    return next((f" {remedy}." for begin, remedy in _REMEDIES.items() if re.match(begin, problem)), "")


def _toml_form(key: str) -> str:
    annotation = Settings.model_fields[key].annotation
    if annotation is bool:
        return "must be true or false, in small letters"
    if get_origin(annotation) is tuple:
        return 'must be a list, as in ["A", "B"]'
    return "must be a number" if annotation in (int, float) and key != "umask" else 'text has to stand in "quotes"'


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX) and name != CONFIG_VARIABLE and value
    }


def _suggestion(key: str, spell: _Spell) -> str:
    plain = key.lower().replace("-", "_").removeprefix(ENVIRONMENT_PREFIX.lower())
    if near := get_close_matches(plain, Settings.model_fields, 1):
        return f"Did you mean {spell(near[0])}?"
    return f"The settings are {', '.join(Settings.model_fields)}."


_REASONS = {
    "bool": "must be true or false",
    "int": "must be a whole number",
    "float": "must be a number",
    "string": 'must be text, in a file in "quotes"',
    "path": 'must be a path, in a file in "quotes"',
    "tuple": 'must be a list, in a file as in ["A", "B"]',
}
"""What pydantic's errors say to programmers, by the first word of their type."""


def _explain(error: ValidationError, origin: Mapping[str, str]) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_context=False):
        field = str(problem["loc"][0])
        reason = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        kind, _, what = problem["type"].partition("_")
        reason = {"extra": "there is no such setting", "missing": "is not there, and has to be"}.get(kind, reason)
        if what in ("parsing", "type", "from_float", "parsing_size"):
            reason = _REASONS.get(kind, reason)
        if field in ("uid", "gid") and kind == "int":
            reason += f", as `id -{field[0]} NAME` shows it"
        value = problem["input"]
        shown = without_password(repr(without_password(value) if isinstance(value, str) else value))
        given = "" if is_secret(field) else f" (is {_shortened(shown)})"
        problems.append(f"{origin[field]}{_within(problem['loc'][1:])}: {reason}{given}.")
    return "\n".join(problems)


def _within(place: tuple[int | str, ...]) -> str:
    """Where in a list of tables something is wrong."""
    return "".join(f", table {step + 1}" if isinstance(step, int) else f", {step}" for step in place)


def is_secret(field: str) -> bool:
    """Whether a setting must not be shown."""
    return field in _SECTIONS or "SecretStr" in repr(Settings.model_fields[field].annotation)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
