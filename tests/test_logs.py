"""The log file, which several commands may write at once."""

import re
import subprocess
import sys
from pathlib import Path

from mounts import TIMEOUT

_LINES = 400
_WRITER = f"""
import logging, sys
from vod2strmfs.cli import logs
from vod2strmfs.settings import load
logs._BYTES, logs._FILES = 4000, 1000
logs.set_up(load(None, {{"debug_logging": True, "log_dir": sys.argv[1]}}, {{}}), quiet=True)
sys.stdin.readline()
for number in range({_LINES}):
    logging.getLogger("vod2strmfs").info("line %s-%d %s", sys.argv[2], number, "." * 40)
"""


def test_no_line_is_lost_when_several_processes_rotate_one_log(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, tmp_path, str(number)], stdin=subprocess.PIPE)
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=TIMEOUT)
    parts = list(tmp_path.iterdir())
    found = [
        match[1]
        for part in parts
        for line in part.read_text().splitlines()
        if (match := re.fullmatch(r"[\d,: -]+ INFO line (\d-\d+) \.{40}", line))
    ]
    assert sorted(found) == sorted(f"{writer}-{number}" for writer in range(4) for number in range(_LINES))
    assert len(parts) > 2
