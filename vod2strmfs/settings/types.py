"""Types of settings: what a value has to look like, and the form in which it is kept (see `checks`)."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr

from vod2strmfs.settings import checks

HttpUrl = Annotated[str, AfterValidator(checks.http_url)]
UuidPath = Annotated[str, AfterValidator(checks.uuid_path)]
Pattern = Annotated[str, AfterValidator(checks.pattern)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(checks.separated)]
Years = Annotated[str, AfterValidator(checks.years)]
Schedule = Annotated[str, AfterValidator(checks.schedule)]
TimeZone = Annotated[str, AfterValidator(checks.time_zone)]
ListenAddress = Annotated[str, AfterValidator(checks.listen_address)]
Umask = Annotated[int, BeforeValidator(checks.octal), AfterValidator(checks.permissions)]
Location = Annotated[Path, BeforeValidator(checks.location)]
Database = Annotated[SecretStr, AfterValidator(checks.database)]
Hours = Annotated[str, AfterValidator(checks.hours)]
CommandLine = Annotated[str, AfterValidator(checks.command_line)]
