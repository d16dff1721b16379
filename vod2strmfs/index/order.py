"""What a mount tells the process that keeps its index up to date."""

import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from vod2strmfs.settings import LibrarySettings


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
    level: int = logging.INFO
