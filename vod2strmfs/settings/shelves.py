"""A shelf: a part of the library that has a folder of its own; its table of the settings file."""

import os
import re
import unicodedata
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from vod2strmfs.settings.types import Adult, Categories, Genres, Ids, Languages, Location, Years

_LONGEST_NAME = 128
"""Bytes: as many as `name_max` leaves at least."""
_TAKEN = frozenset({"movies", "tv", ".stats.csv"})


def _shelf_name(value: str) -> str:
    """A name that is one folder's wherever it is written, or shared."""
    name = unicodedata.normalize("NFC", value)
    if not name or name != name.strip(" .") or re.search(r'[<>:"/\\|?*]', name) or not name.isprintable():
        raise ValueError('must be the name of a folder, without any of <>:"/\\|?* and without dots or spaces around it')
    if len(name.encode(errors="replace")) > _LONGEST_NAME:
        raise ValueError(f"must not be longer than {_LONGEST_NAME} bytes")
    if _key(name) in _TAKEN:
        raise ValueError("must not be that of a folder of the library")
    return name


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _absolute(value: Path) -> Path:
    """The same file for each process: the index keeps this, and another command may read it elsewhere."""
    return Path(os.path.abspath(value))


class Shelf(BaseModel):
    """A part of the library that has a folder of its own: a table `[[shelf]]` of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(_shelf_name)] = Field(description="what its folder is called, such as Kids")
    categories: Categories = ()
    genres: Genres = ()
    languages: Languages = ()
    ids: Ids = ()
    years: Years = ""
    adult: Adult = "include"
    picks: Annotated[Location, AfterValidator(_absolute)] | None = Field(
        None, description="a file of titles or ids, one a line, that stand on it as well; a leading ! takes one off"
    )
    only: bool = Field(False, description="show nothing but this shelf, with Movies and TV in the root")

    @property
    def filters(self) -> dict[str, object]:
        """The filters that are set, by the names of the library's."""
        names = ("categories", "genres", "languages", "ids", "years", "adult")
        return {name: value for name in names if (value := getattr(self, name)) and value != "include"}

    @model_validator(mode="after")
    def _refuse_everything(self) -> "Shelf":
        if not self.filters and self.picks is None:
            raise ValueError("has to have a filter, such as genres, or picks: it would hold all of the library")
        return self


def distinct(shelves: tuple[Shelf, ...]) -> tuple[Shelf, ...]:
    """Shelves whose folders can stand in one root."""
    if len({_key(shelf.name) for shelf in shelves}) < len(shelves):
        raise ValueError("two have the same name, or names that differ in case alone")
    if len(shelves) > 1 and any(shelf.only for shelf in shelves):
        raise ValueError("one with only = true has to be the only one")
    return shelves
