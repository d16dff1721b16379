"""Files that only their owner can read, whatever the umask and the directory."""

import os


def private(path: str, flags: int) -> int:
    """An `opener` for `open`: what it makes has the mode 0600."""
    return os.open(path, flags, 0o600)
