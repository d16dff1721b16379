"""Whether the machine was started again since a section was written: files can be empty then that were whole."""

from collections.abc import Set
from pathlib import Path

from vod2strmfs.materialize.manifest import Manifest

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Power:
    """What one run makes of that. Each section has its own fact in the manifest, since a run may be about one alone.

    Args:
        manifest: of which all is checked if the power may have failed.
        sections: the nodes of the sections that the run is about.
    """

    def __init__(self, manifest: Manifest, sections: Set[int]) -> None:
        self._manifest = manifest
        self._now = _boot_id()
        self._before = {section: manifest.fact(_boot_of(section)) for section in sections}
        self.failed = any(map(self._is_other, self._before.values()))
        """Whether every byte is to be compared."""
        if self.failed:
            manifest.check()
        for section, boot in self._before.items():
            # Of the others it is noted when every byte was compared: this run may be cut off.
            if not self._is_other(boot):
                manifest.note(_boot_of(section), self._now)

    def end(self, *, written: bool) -> None:
        """Note that the run went through all of its sections.

        Args:
            written: whether it wrote anything. If not, only what earlier runs wrote since the machine's start can be
                lost with the power.
        """
        for section, boot in self._before.items():
            can_be_lost = written or boot == self._now
            self._manifest.note(_boot_of(section), self._now if can_be_lost else "")

    def _is_other(self, boot: str) -> bool:
        return boot not in ("", self._now)


def _boot_of(section: int) -> str:
    """The name of the fact that says during which start of the machine a section was written; "" if that is safe."""
    return f"boot of {section}"


def _boot_id() -> str:
    """What is another one each time the machine is started."""
    return _BOOT_ID.read_text().strip()
