"""Libraries in C that are loaded into a process before all others, and stand in for some calls of the C library."""

import subprocess
from pathlib import Path


def compiled(source: Path, folder: Path) -> Path:
    """The library made of a source, for LD_PRELOAD."""
    library = folder / source.with_suffix(".so").name
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library
