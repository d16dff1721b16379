"""Processes of the plugin that are asked something."""

from pathlib import Path

import pytest

from vod2strmfs.dispatcharr_plugin.processes import StartError, ask


def test_a_process_that_does_not_answer_in_time_is_ended_and_said_to_be_late(tmp_path: Path) -> None:
    (tmp_path / "start.py").write_text("import time\ntime.sleep(600)\n")
    with pytest.raises(StartError, match=r"gave no answer within 0 seconds: .* Press the button again\.$"):
        ask(tmp_path, "check", question=b"{}", seconds=0.2)
