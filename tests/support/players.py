"""Programs that look at films, and players without a screen that are told what to do: mpv and VLC.

They are Debian's; `scripts/setup.sh kodi` installs them.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

TIMEOUT = 120.0
"""Seconds that anything may take before a test gives up."""

LOOKS: dict[str, tuple[str, ...]] = {
    "ffprobe": ("ffprobe", "-v", "error", "-show_format", "-show_streams"),
    "ffprobe as Jellyfin calls it": (
        "ffprobe", "-analyzeduration", "200M", "-probesize", "1G", "-threads", "0", "-v", "warning",
        "-print_format", "json", "-show_streams", "-show_chapters", "-show_format", "-i",
    ),
    "ffprobe as Emby calls it": ("ffprobe", "-v", "error", "-show_streams", "-show_chapters", "-show_format"),
    "mediainfo": ("mediainfo",),
}  # fmt: skip
"""Programs that say what a film is, by what calls them; the film's path comes last."""

_NEAR = 60
"""Seconds behind a place that are still at it."""


class Player:
    """A player that has a film open, and listens at a socket. Use it as a context manager.

    Args:
        command: what starts it.
        at: the socket. Its folder is the player's home, and gets what it says.
    """

    def __init__(self, command: Sequence[str | Path], at: Path) -> None:
        self._command = command
        self._at = at
        self._output = at.with_suffix(".log")

    def __enter__(self) -> Self:
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, "HOME": str(self._at.parent)},
            )  # fmt: skip
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT)
        until = time.monotonic() + TIMEOUT
        while True:
            try:
                self._socket.connect(str(self._at))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                assert self._process.poll() is None, self._output.read_text()
                assert time.monotonic() < until, self._output.read_text()
                time.sleep(0.05)
        self._lines = self._socket.makefile("r", encoding="utf-8", newline="\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(TIMEOUT)
        finally:
            self._process.kill()
            self._process.wait()
            self._lines.close()
            self._socket.close()
            self._at.unlink(missing_ok=True)

    def _say(self, line: str) -> None:
        self._socket.sendall(f"{line}\n".encode())

    def _hear(self) -> str:
        """The next line that it says."""
        line = self._lines.readline()
        assert line, f"it ended: {self._output.read_text()}"
        return line.strip()


class Mpv(Player):
    """mpv, told over its JSON IPC. It stands still until it is told to play.

    Args:
        folder: its home.
        film: what it opens.
    """

    def __init__(self, folder: Path, film: Path) -> None:
        at = folder / "mpv"
        options = ("--no-config", "--vo=null", "--ao=null", "--pause", "--idle", f"--input-ipc-server={at}")
        super().__init__(("mpv", *options), at)
        self._film = film
        self._told: list[str] = []
        self._calls = 0

    def __enter__(self) -> Self:
        super().__enter__()
        self._until("playback-restart", "loadfile", str(self._film))
        return self

    def seek(self, seconds: float) -> None:
        """Go to a place; returns when it shows what is there."""
        self._until("playback-restart", "seek", seconds, "absolute+exact")

    def place(self) -> float:
        """Where it is, in seconds."""
        return float(self.call("get_property", "time-pos"))

    def play(self, seconds: float) -> None:
        """Play so many seconds of the film."""
        until = self.place() + seconds
        self.call("set_property", "pause", False)
        while self.place() < until:
            time.sleep(0.1)
        self.call("set_property", "pause", True)

    def picture(self, path: Path) -> bytes:
        """What it shows, as an image that is written to a path first."""
        self.call("screenshot-to-file", str(path), "video")
        return path.read_bytes()

    def call(self, *command: Any) -> Any:
        """What a command answers."""
        self._calls += 1
        self._say(json.dumps({"command": command, "request_id": self._calls}))
        while True:
            message = json.loads(self._hear())
            if "event" in message:
                self._told.append(message["event"])
            elif message.get("request_id") == self._calls:
                assert message["error"] == "success", message
                return message.get("data")

    def _until(self, event: str, *command: Any) -> None:
        self._told.clear()
        self.call(*command)
        while event not in self._told:
            self._told.append(json.loads(self._hear()).get("event", ""))


class Vlc(Player):
    """VLC, told over its interface of lines. It plays from the start.

    Args:
        folder: its home.
        film: what it opens.
    """

    def __init__(self, folder: Path, film: Path) -> None:
        at = folder / "vlc"
        # It refuses to run as root, and in a namespace of its own it is somebody else.
        nobody = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
        told = ("-I", "oldrc", "--rc-fake-tty", "--rc-unix", at)
        silent = ("--vout", "dummy", "--aout", "dummy", "--no-video-title-show", "--ignore-config")
        super().__init__((*nobody, "vlc", *told, *silent, film), at)

    def seek(self, seconds: int) -> None:
        """Go to a place; returns when it has played on from there."""
        self._say(f"seek {seconds}")
        self.reach(seconds)

    def reach(self, seconds: int) -> None:
        """Play until a place has passed."""
        until = time.monotonic() + TIMEOUT
        while not seconds < (place := self._place()) < seconds + _NEAR:
            assert time.monotonic() < until, f"it is at {place} s"
            time.sleep(0.1)

    def _place(self) -> int:
        """Where it is, in seconds; it says nothing while it does not know."""
        self._say("get_time")
        while True:
            line = self._hear().removeprefix("> ")
            if line.isdecimal():
                return int(line)
