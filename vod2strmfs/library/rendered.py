"""Facts of rendered files, which the index keeps: `stat` renders nothing, and a file is known by its content."""

from hashlib import blake2b
from typing import NamedTuple


class FileFacts(NamedTuple):
    """Size (bytes), modification time (nanoseconds since the epoch) and content digest of a file."""

    size: int
    mtime: int
    digest: int
    """See `content_digest`; 0 stands for a file that is not rendered yet."""


NO_FILE = FileFacts(0, 0, 0)


def content_digest(content: bytes) -> int:
    """A 64-bit digest of a file's content, signed as SQLite keeps it, and never 0."""
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little", signed=True) or 1


def file_facts(content: bytes, mtime: int) -> FileFacts:
    """The facts of a file with this content and time (nanoseconds since the epoch)."""
    return FileFacts(len(content), mtime, content_digest(content))
