"""What a film is to those who learn it, show it and read it: the words that they have in common."""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

FOLDER = "films"
"""The folder in the state directory: the films' own index, what is known of each, and the parts that are kept."""

BLOCK = 64 << 10
"""Bytes: parts of films are kept in whole blocks, but for the last one of a film."""

FilmKind: TypeAlias = Literal["movie", "episode"]


class Key(NamedTuple):
    """The key by which a film's bytes are known. Dispatcharr's ids change with every other refresh; keys do not."""

    kind: FilmKind
    """A provider numbers movies and episodes apart."""
    account: int
    stream: str

    @property
    def label(self) -> str:
        """The name of the film in sessions. Dispatcharr takes two sessions of a film for one, if they are too near."""
        return f"{self.kind[0]}{self.account}-{self.stream}"


class Address(NamedTuple):
    """The address at which a film's bytes are asked for."""

    url: str
    """Without a session. With `direct` it may hold the provider's password: never shown or logged."""
    direct: bool = False
    """Whether the address is the provider's own; else Dispatcharr's, whose path gets the id of a session at its end."""

    def __repr__(self) -> str:
        """What may be shown of the address, wherever that is: in the text of an error, say."""
        return f"<Address of {'a provider' if self.direct else 'Dispatcharr'}>"


class Film(NamedTuple):
    """A film that was learnt: whose size is known from a provider's answer."""

    id: int
    """Its number in the store of films, never used again."""
    version: int
    """How often the film was learnt to be another file. With the id: a number for these bytes and no others."""
    key: Key
    size: int
    """Bytes: of all of it."""
    extension: str
    """The extension of its container, with the dot."""
    seconds: int
    """Seconds that it plays; 0 where that is unknown."""

    @property
    def identity(self) -> tuple[int, int]:
        """The film's id and version: what these bytes are known by, whatever else is learnt of them."""
        return self.id, self.version

    @property
    def bit_rate(self) -> float:
        """Bytes a second that the film plays at on average; 0 where that is unknown."""
        return self.size / self.seconds if self.seconds else 0.0


class Extent(NamedTuple):
    """A part of a film, in bytes."""

    start: int
    stop: int
    """The first byte after it."""


AddressOf: TypeAlias = Callable[[Key], Address | None]
"""Gives the address of a film today; None if the library does not have the film any more. Raises IndexFileError if that
cannot be known."""


class ReadError(Exception):
    """A read of a film that is answered with an error, which `errno` names.

    Args:
        number: as in `errno`.
        why: for people; names no password.
    """

    def __init__(self, number: int, why: str) -> None:
        super().__init__(why)
        self.errno = number

    def again(self) -> "ReadError":
        """This error for another read: an error that is raised twice holds on to what both had in hand."""
        return ReadError(self.errno, str(self))
