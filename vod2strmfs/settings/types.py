"""Types of settings: what a value has to look like, and the form in which it is kept (see `checks`)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from vod2strmfs.settings import checks

HttpUrl = Annotated[str, AfterValidator(checks.http_url)]
UuidPath = Annotated[str, AfterValidator(checks.uuid_path)]
Pattern = Annotated[str, AfterValidator(checks.pattern)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(checks.separated)]
Schedule = Annotated[str, AfterValidator(checks.schedule)]
TimeZone = Annotated[str, AfterValidator(checks.time_zone)]
ListenAddress = Annotated[str, AfterValidator(checks.listen_address)]
Umask = Annotated[int, BeforeValidator(checks.octal), AfterValidator(checks.permissions)]
Location = Annotated[Path, BeforeValidator(checks.location)]
Database = Annotated[SecretStr, AfterValidator(checks.database)]
Hours = Annotated[str, AfterValidator(checks.hours)]
CommandLine = Annotated[str, AfterValidator(checks.command_line)]

# The filters of the library, and of a shelf.
Categories = Annotated[Patterns, Field(description="only what stands in these categories; globs, a leading ! excludes")]
Genres = Annotated[Patterns, Field(description="only these genres; globs, a leading ! excludes")]
Languages = Annotated[
    Patterns,
    Field(description="only these languages, by the mark in the title (EN, FR …; none: -); a leading ! excludes"),
]
Ids = Annotated[
    Patterns, Field(description="only these titles, as tmdb-949, imdb-tt0113277 or a UUID; a leading ! excludes")
]
Years = Annotated[
    str,
    AfterValidator(checks.years),
    Field(description="only titles of these years, such as 1990-2005, 1990- or -2005"),
]
Adult = Annotated[Literal["include", "exclude", "only"], Field(description="what to do with adult titles")]
