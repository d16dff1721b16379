"""An index and an output that an earlier build wrote go on as they are. What was kept is made by `support/keep.py`."""

from contextlib import closing
from pathlib import Path

import pytest
from keep import KEPT, Entry, Kept, shown
from outputs import Found, report_rows, snapshot

from vod2strmfs.catalog.open import open_source
from vod2strmfs.index.store import Store
from vod2strmfs.materialize.job import Job
from vod2strmfs.materialize.root import locate
from vod2strmfs.materialize.run import materialize
from vod2strmfs.settings import LibrarySettings, Settings
from vod2strmfs.sync.result import SyncResult
from vod2strmfs.sync.run import sync


@pytest.fixture(params=sorted(KEPT.iterdir()), ids=lambda path: path.name.partition(".")[0])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return Kept(request.param, tmp_path / "kept")


def tree(kept: Kept) -> dict[str, Entry]:
    with closing(Store(kept.state_dir)) as store:
        return shown(store)


def resync(kept: Kept) -> SyncResult:
    with closing(open_source(kept.database)) as source:
        return sync(source, LibrarySettings.model_validate(kept.settings), kept.state_dir)


class Written:
    """The output of a build, put back, with its manifest."""

    def __init__(self, kept: Kept, folder: Path) -> None:
        self.root = folder / "output"
        self._kept = kept
        self._reports = folder / "reports"
        self.root.mkdir()
        kept.write_output(self.root)
        kept.manifest.rename(locate(self.root, kept.state_dir).manifest)

    def write(self, cleanup: str = "off") -> list[tuple[str, ...]]:
        """Materialize; the rows of the report about something that was done."""
        places = {"output_root": self.root, "state_dir": self._kept.state_dir, "report_dir": self._reports}
        settings = Settings.model_validate({**self._kept.settings, **places, "cleanup": cleanup})
        with closing(Store(self._kept.state_dir)) as store:
            report = materialize(store, Job(settings, "all")).report
        return [row for row in report_rows(report) if row[5] not in ("skipped", "noted")]

    def seen(self) -> dict[str, Found]:
        """What is on disk."""
        return snapshot(self.root)


@pytest.fixture
def written(kept: Kept, tmp_path: Path) -> Written:
    return Written(kept, tmp_path)


def test_an_index_is_shown_as_the_build_that_made_it_showed_it(kept: Kept) -> None:
    assert tree(kept) == kept.tree


def test_a_sync_goes_on_with_an_index_and_changes_nothing_in_it(kept: Kept) -> None:
    result = resync(kept)
    assert {what: number for what, number in result.counts.items() if number} == {}
    assert tree(kept) == kept.tree


def test_a_run_goes_on_with_an_output_and_its_manifest_and_changes_nothing(kept: Kept, written: Written) -> None:
    before = written.seen()
    assert written.write() == []
    assert written.seen() == before
    resync(kept)
    assert written.write() == []
    assert written.seen() == before


def test_a_manifest_knows_the_files_that_its_build_left_for_cleanup(kept: Kept, written: Written) -> None:
    files = {path for path, entry in kept.tree.items() if entry.content is not None}
    left = {path for path, entry in kept.output.items() if entry.content is not None} - files
    deleted = written.write(cleanup="apply")
    assert left
    assert [row[5] for row in deleted].count("deleted") == len(deleted) >= len(left)
    assert {path for path, found in written.seen().items() if found.content is not None} == files
