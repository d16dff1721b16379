"""What a mount tells the process that keeps its index up to date."""

import logging
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from vod2strmfs.errors import SettingsError
from vod2strmfs.settings import LibrarySettings, Settings

FILMS_LEARNT = "films"
"""The line by which a worker is told that something was learnt of films."""
_READ_WEBP = frozenset({"jellyfin", "kodi"})
"""Servers that are known to read WebP images beside a title."""


class HydrateOrder(BaseModel):
    """How to have Dispatcharr fetch episodes."""

    model_config = ConfigDict(hide_input_in_errors=True)

    mode: Literal["background", "on_open"]
    rate: float
    """Series a minute."""
    budget: int
    """Series within 24 hours."""
    parallel: int
    """Series of one account at once."""
    older_than: int
    """Days after which a series is asked for again; 0: never."""
    url: str = Field(repr=False)
    key: str = Field("", repr=False)
    user: str = ""
    password: str = Field("", repr=False)
    ca_file: Path | None = None

    @classmethod
    def of(cls, settings: Settings, base_url: str, **changed: object) -> "HydrateOrder":
        """What the settings say.

        Args:
            settings: of the command.
            base_url: where the API is, if the settings do not say so.
            changed: what is to be otherwise.

        Raises:
            SettingsError: they do not say how to sign in, or a file with a secret cannot be read.
        """
        key = _secret(settings.api_key, settings.api_key_file, "api_key_file")
        password = _secret(settings.api_password, settings.api_password_file, "api_password_file")
        if not key and not (settings.api_user and password):
            raise SettingsError(
                "api_key: not set, and Dispatcharr fetches episodes for an administrator alone. Make a key there (your"
                " user's menu, API key), and give it as VOD2STRMFS_API_KEY or in a file that --api-key-file names."
            )
        given = {
            "mode": "background" if settings.hydrate == "off" else settings.hydrate,
            "rate": settings.hydrate_rate,
            "budget": settings.hydrate_budget,
            "parallel": settings.hydrate_parallel,
            "older_than": settings.hydrate_older_than,
            "url": settings.api_url or base_url,
            "key": key,
            "user": settings.api_user,
            "password": password,
            "ca_file": settings.api_ca_file,
        }
        return cls.model_validate(given | changed)

    @classmethod
    def if_given(cls, settings: Settings, base_url: str) -> "HydrateOrder | None":
        """An order that settings describe; None if they do not say how to sign in."""
        return cls.of(settings, base_url) if signs_in(settings) else None


def signs_in(settings: Settings) -> bool:
    """Whether settings say how to sign in to Dispatcharr."""
    return bool(settings.api_key or settings.api_key_file or settings.api_user)


def _secret(given: SecretStr | None, file: Path | None, setting: str) -> str:
    if file is None:
        return given.get_secret_value() if given else ""
    try:
        secret = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text file"
        raise SettingsError(f"{setting}: {file} cannot be read ({why}).") from None
    if not secret or not secret.isprintable():
        raise SettingsError(f"{setting}: {file} has to hold the secret alone, on one line.")
    return secret


class ArtworkOrder(BaseModel):
    """How to fetch images."""

    episodes: bool
    """Whether those of episodes, too."""
    rate: float
    """Images a minute."""
    max_bytes: int
    """Of one image."""
    cache: int
    """Bytes of all images."""
    extensions: tuple[str, ...]
    """Of what the media server reads."""
    own: tuple[str, ...] = Field(repr=False)
    """Dispatcharr's URLs, the one for this host last."""
    database: str = Field("", repr=False)
    """Dispatcharr's; empty: it is not asked for the images that it keeps."""
    publish: float = 10.0
    """Seconds between two generations that show what came, at least."""

    @classmethod
    def of(cls, settings: Settings, **changed: object) -> "ArtworkOrder | None":
        """What the settings say; None: no images are wanted."""
        if settings.artwork != "files":
            return None
        extensions = (".jpg", ".png", *([".webp"] if settings.media_server in _READ_WEBP else []))
        given = {
            "episodes": settings.artwork_episodes,
            "rate": settings.artwork_rate,
            "max_bytes": settings.artwork_max_bytes,
            "cache": int(settings.artwork_cache * 1e9),
            "extensions": extensions,
            "own": (settings.base_url, *([settings.api_url] if settings.api_url else [])),
        }
        return cls.model_validate(given | changed)


class Order(BaseModel):
    """The index that a worker keeps up to date, and how."""

    model_config = ConfigDict(hide_input_in_errors=True)

    database: str = Field(repr=False)
    library: LibrarySettings
    state_dir: Path
    max_shrink: int
    accept: str = "vod2strmfs sync --accept-shrink"
    """The command that accepts what the shrink brake holds."""
    poll_interval: float
    hydrate: HydrateOrder | None = None
    """None: episodes that are missing stay so."""
    artwork: ArtworkOrder | None = None
    """None: no images are fetched."""
    films: bool = False
    """Whether the films' index is kept up to date, too."""
    level: int = logging.INFO
