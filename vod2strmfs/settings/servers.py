"""A media server that is told what changed: its table of the settings file."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from vod2strmfs.settings.types import HttpUrl, Location

ServerKind = Literal["jellyfin", "emby", "plex", "kodi"]


class NotifiedServer(BaseModel):
    """A media server that is told what changed: a table `[[notify]]` of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: ServerKind = Field(description="what it is")
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
        """The name by which messages call the server."""
        return self.name or f"{self.kind} at {urlsplit(self.url).netloc}"
