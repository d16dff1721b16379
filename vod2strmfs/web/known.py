"""What the front page and the metrics show of a state directory beside its index: asked anew for each request."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vod2strmfs.artwork import figures as of_artwork
from vod2strmfs.films import figures as of_learning
from vod2strmfs.films.film import FOLDER
from vod2strmfs.hydrate import figures as of_hydrate
from vod2strmfs.status.channel import NotRunningError, ask, ask_films
from vod2strmfs.status.runs import Runs, read_runs
from vod2strmfs.status.state import MountState


class Known(NamedTuple):
    """What is known of a state directory."""

    mount: MountState | None = None
    """The state of the mount; None if it does not answer."""
    films: MountState | None = None
    """The state of the mount of films; None if there is none, or it does not answer."""
    runs: Runs | None = None
    """How materializing goes; None if there was never any."""
    hydrate: of_hydrate.Figures | None = None
    """How far filling series is; None where nothing is filled."""
    artwork: of_artwork.Figures | None = None
    """How far fetching images is; None where none was ever wanted."""
    learning: of_learning.Figures | None = None
    """How far learning films is; None where none was ever wanted."""


def look(state_dir: Path) -> Known:
    """What is known of a state directory now."""
    return Known(
        _asked(ask, state_dir),
        _asked(ask_films, state_dir / FOLDER),
        read_runs(state_dir),
        of_hydrate.read_figures(state_dir),
        of_artwork.read_figures(state_dir),
        of_learning.read_figures(state_dir),
    )


def _asked(ask: Callable[[Path], MountState], folder: Path) -> MountState | None:
    try:
        return ask(folder)
    except NotRunningError:
        return None
