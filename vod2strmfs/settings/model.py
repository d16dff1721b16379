"""Every option, once: name, type, default and help.

A value comes from its default, a TOML file (`--config`), the environment (`VOD2STRMFS_…`) or the command
line, in rising precedence (`load.py`). Dispatcharr's own `POSTGRES_*` variables stand in for `database`.
"""

import os
import re
import shlex
from collections.abc import Container, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from vod2strmfs.errors import SettingsError
from vod2strmfs.settings import checks
from vod2strmfs.settings.checks import without_password
from vod2strmfs.settings.servers import NotifiedServer
from vod2strmfs.settings.shelves import Shelf, distinct
from vod2strmfs.settings.types import (
    Adult,
    Categories,
    CommandLine,
    Database,
    Genres,
    Hours,
    HttpUrl,
    Ids,
    Languages,
    ListenAddress,
    Location,
    Pattern,
    Patterns,
    Schedule,
    TimeZone,
    Umask,
    UuidPath,
    Years,
)

ENVIRONMENT_PREFIX = "VOD2STRMFS_"
CONFIG_VARIABLE = ENVIRONMENT_PREFIX + "CONFIG"
"""The variable that names the TOML file, where `--config` does not."""

SECTIONS = ("notify", "shelf")
"""Settings that are lists of tables."""

MAX_SHRINK = 20
"""The default of the setting `max_shrink`, in percent."""

_HIGHEST_ID = 2**32 - 2
"""The highest number of a user or a group: the next one means "none" to the kernel."""

Mode = Literal["all", "movies", "series"]
"""The part of the library that `materialize` and `run` write: an option of those commands, and no setting."""

MediaServer = Literal["any", "jellyfin", "emby", "kodi", "plex", "spec"]
FolderIds = Literal["none", "plex", "jellyfin"]
GroupBy = Literal["none", "category", "category_tv"]
Versions = Literal["best", "all"]
Merge = Literal["titles", "ids", "off"]
PreferQuality = Literal["highest", "up_to_1080p", "lowest"]
Cleanup = Literal["off", "preview", "apply"]
EmptySeries = Literal["hide", "show"]
Hydrate = Literal["off", "background", "on_open"]
Artwork = Literal["url", "files", "off"]
BackgroundReads = Literal["pace", "refuse"]

_Servers = Annotated[tuple[NotifiedServer, ...], BeforeValidator(checks.tables)]
_Shelves = Annotated[tuple[Shelf, ...], BeforeValidator(checks.tables), AfterValidator(distinct)]


def choices(annotation: object) -> tuple[str, ...]:
    """The values of a setting that is a choice, also of one that may be left open; none for any other setting."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((get_args(each) for each in get_args(annotation) if get_origin(each) is Literal), ())


def state_directory() -> Path:
    """The default of `state_dir`: below /var/lib for root, below the XDG state directory for everyone else."""
    if os.geteuid() == 0:
        return Path("/var/lib/vod2strmfs")
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "vod2strmfs"
    except RuntimeError:
        raise SettingsError("state_dir: not set, and this user has no home directory. Give --state-dir DIR.") from None


class LibrarySettings(BaseModel):
    """The settings that decide the names and the bytes of the tree. The index stores them with each generation."""

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
    media_server: MediaServer = Field(
        "any", description="whose names and NFO forms to write; Plex cannot play .strm files, it plays those of `films`"
    )
    clean_titles: bool = Field(True, description="remove the country and quality marks that panels add to titles")
    name_regex: Pattern = Field("", description="a regular expression; what it matches is removed from titles")
    folder_ids: FolderIds = Field(
        "none",
        description="put the TMDB or IMDb id into the folders' names: plex as {tmdb-949}, which Emby, Kodi and"
        " Jellyfin 12 read too; jellyfin as [tmdbid-949]",
    )
    group_by: GroupBy = Field(
        "none",
        description="category: a folder for each category above the films; category_tv: above the series too, and then"
        " each such folder has to be a library of its own",
    )
    versions: Versions = Field(
        "best", description="a .strm for the relation that Dispatcharr would play, or one for each account and stream"
    )
    empty_series: EmptySeries = Field(
        "hide", description="whether series of which no episode is known yet have a folder"
    )
    direct_urls: bool = Field(
        False,
        description="write the provider's own URLs, for Xtream accounts; this puts their passwords into every .strm",
    )
    name_max: int = Field(
        255,
        ge=128,
        le=255,
        description="how many bytes a name may have; 143 for eCryptfs and Synology's encrypted folders",
    )
    merge: Merge | None = Field(
        None,
        description="which of the catalogue's rows are one film or series: titles, those with the same id, or, where"
        " one has none, with the same title and year; ids, the former alone (default: titles for a new library; one"
        " that is there goes on as it was made, which is off for those of earlier versions)",
    )
    prefer_languages: Patterns = Field(
        (), description="of a title's versions, show the one in the first of these languages (EN, FR …) that there is"
    )
    prefer_quality: PreferQuality | None = Field(
        None,
        description="of a title's versions in the same language, which to show (default: highest, where a title has"
        " several rows; among what accounts have of one row, Dispatcharr's own choice counts unless this or"
        " prefer_languages is set)",
    )
    artwork: Artwork = Field(
        "url", description="posters and backgrounds: as URLs in the NFOs, as files beside them too, or not at all"
    )
    artwork_episodes: bool = Field(False, description="with artwork = files, a still for each episode, too")
    version_tags: bool = Field(
        False, description="the languages and qualities that there are of a title as tags in its NFO"
    )

    accounts: Patterns = Field((), description="only what these accounts have; globs, a leading ! excludes")
    categories: Categories = ()
    genres: Genres = ()
    languages: Languages = ()
    ids: Ids = ()
    years: Years = ""
    adult: Adult = "include"

    shelf: _Shelves = Field(
        (),
        description="parts of the library with a folder of their own, each a table [[shelf]]; in the environment, JSON",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse(cls, value: object, info: ValidationInfo) -> object:
        """Refuse values that pydantic takes but no setting means."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        # Of a choice, pydantic says by itself what there is to choose.
        if isinstance(value, bool) and annotation is not bool and not choices(annotation):
            raise ValueError("must not be true or false")
        if isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise ValueError("must not hold NUL characters or bytes that are not UTF-8")
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """See pydantic. The address of Dispatcharr may hold a password, and this goes into the log."""
        for name, value in super().__repr_args__():
            yield name, without_password(value) if name in ("base_url", "api_url") else value

    def warnings(self, given: Set[str] | None = None) -> Iterator[str]:
        """Warnings about values that are allowed, and seldom meant.

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
        yield from self.plex_warnings()
        if self.direct_urls:
            yield "direct_urls is on: every .strm of an Xtream account holds the account's password."

    def plex_warnings(self) -> Iterator[str]:
        """The warning about a library of .strm files for Plex. Where films are mounted, Plex has something to play."""
        if self.media_server == "plex":
            yield (
                "media_server is plex: Plex lists .strm files, and cannot play them."
                " Give Plex the mount of `vod2strmfs films`."
            )


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
        MAX_SHRINK,
        ge=0,
        le=100,
        description="hold removals back when more than this percentage would vanish within a day",
    )
    debug_logging: bool = Field(False, description="log verbosely, to vod2strm.log in the log directory")

    cleanup: Cleanup = Field("off", description="what materialize does with its files that left the catalogue")
    concurrency: int = Field(12, ge=1, le=256, description="how many files materialize writes at once")
    schedule: Schedule = Field(
        "", description="when `run` materializes: daily HH:MM, or a crontab of 5 fields, or of 6 with the seconds first"
    )
    time_zone: TimeZone = Field(
        "", description="the time zone of schedule and notify_quiet, as in Europe/Berlin (default: this host's)"
    )
    auto: bool = Field(
        False, description="`run` materializes when the catalogue has changed and then been still for 30 seconds"
    )
    throttle: float = Field(
        0, ge=0, le=1e6, description="how many files a second materialize writes at most; 0: as many as it can"
    )
    verify: bool = Field(False, description="materialize reads every file again, and repairs what differs (slow)")
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
    status_listen: ListenAddress = Field(
        "",
        description="where a mount, or `run`, serves its status page and its metrics, such as 127.0.0.1:9192, or"
        " 0.0.0.0:9192 with status_token (default: nowhere)",
    )
    umask: Umask = Field(0o022, description="permission bits to take away, in octal")
    status_token: SecretStr | None = Field(
        None, description="what the status page wants to be told: a browser's password, or a bearer token"
    )

    # Episodes that are missing.
    hydrate: Hydrate = Field(
        "off",
        description="have Dispatcharr fetch the episodes of series that have none: all of them in the background, or"
        " one when a person opens its folder in the library's mount (that of films has no folder without episodes)",
    )
    hydrate_rate: float = Field(10, gt=0, le=6000, description="for how many series a minute it is asked at most")
    hydrate_budget: int = Field(1000, ge=1, description="for how many series it is asked within 24 hours at most")
    hydrate_parallel: int = Field(1, ge=1, le=16, description="for how many series of one account it is asked at once")
    hydrate_older_than: int = Field(
        30,
        ge=0,
        le=3650,
        description="in the background, ask anew for series that were asked for so many days ago; 0: never",
    )
    api_url: HttpUrl = Field(
        "", validate_default=False, description="Dispatcharr's address from this host (default: base_url)"
    )
    api_key: SecretStr | None = Field(None, description="an administrator's key for Dispatcharr's API")
    api_key_file: Location | None = Field(
        None, description="a file that holds an administrator's key for Dispatcharr's API"
    )
    api_user: str = Field("", description="instead of a key: an administrator's name in Dispatcharr")
    api_password: SecretStr | None = Field(None, description="that administrator's password")
    api_password_file: Location | None = Field(None, description="a file that holds that administrator's password")
    api_ca_file: Location | None = Field(
        None,
        description="the certificate authority that the API's certificate is of, as PEM, if this host does not know it",
    )

    # Posters and backgrounds as files.
    artwork_rate: float = Field(300, gt=0, le=60_000, description="for how many images a minute is asked at most")
    artwork_max_bytes: int = Field(
        5_000_000, ge=1000, le=16_000_000, description="larger images are not stored, and not read to their end"
    )
    artwork_cache: float = Field(
        2, gt=0, le=100_000, description="how many GB of images are stored; what is shown is not given up for others"
    )

    # Films that play.
    films_root: Location = Field(Path("/data/Films"), description="where `films` mounts")
    films_cache: float = Field(
        20, gt=0, le=1_000_000, description="how many GB of films are kept on disk: the parts that scanners read"
    )
    learn_rate: float = Field(10, gt=0, le=6000, description="how many films a minute are learnt at most")
    learn_bytes: float = Field(
        50, gt=0, le=1_000_000, description="how many GB within 24 hours learning takes from providers at most"
    )
    max_streams: int = Field(
        0,
        ge=0,
        le=10_000,
        description="how many streams an account has; 0: as Dispatcharr says, where api_key lets us ask, else 1",
    )
    reserve_streams: int = Field(
        0, ge=0, le=10_000, description="how many streams of an account learning leaves free at any time"
    )
    pace: float = Field(
        3, ge=1, le=1000, description="how many times as fast as it plays a film is read, after its first minute"
    )
    background_reads: BackgroundReads = Field(
        "pace", description="what readers get whom nobody watches, such as thumbnail tasks: the pace, or an error"
    )
    background_bytes: float = Field(
        100, ge=0, le=1_000_000, description="how many GB within 24 hours such readers get from an account at most"
    )

    # Media servers to tell.
    notify: _Servers = Field(
        (), description="media servers to tell what changed, each a table [[notify]]; in the environment, JSON"
    )
    notify_quiet: Hours = Field("", description="hours in which nothing is told, such as 22:00-07:00; it is told later")
    notify_limit: int = Field(
        300, ge=1, le=100_000, description="when more titles than this changed, one scan of all of them is asked for"
    )
    on_change: CommandLine = Field("", description="a command that gets what changed as JSON lines on standard input")
    on_change_timeout: float = Field(60, ge=0.1, le=86400, description="seconds after which that command is ended")

    _config: Path | None = PrivateAttr(None)
    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _repeated: tuple[tuple[str, ...], ...] = PrivateAttr(())

    def come_from(self, config: Path | None, origins: Mapping[str, str], repeated: Sequence[tuple[str, ...]]) -> None:
        """Note where these settings come from, as `load` knows it.

        Args:
            config: the settings file, if there is one.
            origins: where each setting that is not left at its default was given, as the user wrote it there.
            repeated: the options of a command that is about the same library, each with its value if it has one.
        """
        self._config = config
        self._origins = origins
        self._repeated = tuple(repeated)

    def command(self, *arguments: str) -> str:
        """A command for the same library, to be pasted into a shell: with the settings file that was given to this one,
        and with its options that `sync` has too. A password is left out."""
        return shlex.join(("vod2strmfs", *arguments, *self.repeated()))

    def repeated(self, known: Container[str] | None = None) -> Iterator[str]:
        """The words that make a command one about the same library.

        Args:
            known: the options that the command takes; None: all.
        """
        for option in self._repeated:
            if known is None or option[0] in known:
                yield from option

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

    def origin(self, name: str) -> str:
        """The place where a setting was given, as the user wrote it there; empty for its default."""
        return self._origins.get(name, "")

    def warnings(self, given: Set[str] | None = None) -> Iterator[str]:
        """See `LibrarySettings`."""
        yield from super().warnings(given)
        yield from self.page_warnings()

    def page_warnings(self) -> Iterator[str]:
        """The warning about a status page that is open to all."""
        if self.status_listen and not self.status_token and not checks.is_loopback(self.status_listen):
            yield (
                f"status_listen is {self.status_listen}: whoever reaches that port can read titles and reports there."
                " Set status_token, or listen at 127.0.0.1."
            )

    @property
    def is_library_given(self) -> bool:
        """Whether the library's settings are those meant: a settings file counts whole, with the defaults of what it
        leaves out; without one, at least one of them has to be given."""
        return self._config is not None or bool(self.model_fields_set & LibrarySettings.model_fields.keys())

    @property
    def logs(self) -> Path:
        """The directory of logs: `log_dir`, or its default."""
        return self.log_dir or self.state_dir / "logs"

    @property
    def reports(self) -> Path:
        """The directory of reports: `report_dir`, or its default."""
        return self.report_dir or self.state_dir / "reports"

    def library(self) -> LibrarySettings:
        """The settings that decide names and bytes."""
        return LibrarySettings.model_validate(self.model_dump(include=set(LibrarySettings.model_fields)))

    def database_url(self) -> str:
        """The database to read: the setting, else what Dispatcharr's own variables name.

        Raises:
            SettingsError: neither is set.
        """
        if self.database is not None:
            return self.database.get_secret_value()
        try:
            return dispatcharr_database(os.environ)
        except SettingsError as error:
            read = (
                f"Read was {self._config}"
                if self._config
                else "There is no settings file; `vod2strmfs init` writes one"
            )
            raise SettingsError(f"{error} {read}.") from None


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


def is_secret(field: str) -> bool:
    """Whether the value of a setting must not be shown."""
    return field == "notify" or "SecretStr" in repr(Settings.model_fields[field].annotation)
