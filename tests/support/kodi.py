"""A real Kodi: Debian's, headless, which knows its films from the NFOs alone (`scripts/setup.sh kodi` installs it)."""

import codecs
import json
import os
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Self

TIMEOUT = 120.0
"""Seconds that anything may take before a test gives up."""

PASSWORD = "kodi-secret"
"""Of its web server's user, `kodi`."""

_VIDEO = 1
"""The number of its player of films."""
_NEAR = 60
"""Seconds behind a place that are still at it."""
_SHARE = Path("/usr/share/kodi")
_GUI_SETTINGS = """\
<settings version="2">
    <setting id="general.addonupdates">2</setting>
    <setting id="services.esenabled">true</setting>
    <setting id="services.esallinterfaces">false</setting>
    <setting id="services.webserver">true</setting>
    <setting id="services.webserverport">{web_port}</setting>
    <setting id="services.webserverauthentication">true</setting>
    <setting id="services.webserverusername">kodi</setting>
    <setting id="services.webserverpassword">{password}</setting>
    <setting id="services.upnp">false</setting>
    <setting id="services.zeroconf">false</setting>
    <setting id="weather.addon"></setting>
    <setting id="musiclibrary.updateonstartup">false</setting>
    <setting id="videoplayer.adjustrefreshrate">0</setting>
    <setting id="myvideos.extractthumb">{extracts}</setting>
    <setting id="myvideos.extractchapterthumbs">{extracts}</setting>
</settings>
"""
_ADVANCED_SETTINGS = """\
<advancedsettings version="1.0">
    <jsonrpc><tcpport>{port}</tcpport></jsonrpc>
    <gui><algorithmdirtyregions>3</algorithmdirtyregions></gui>
    <splash>false</splash>
</advancedsettings>
"""
_SOURCES = """\
<sources>
    <video>
        <default pathversion="1"></default>
{sources}    </video>
</sources>
"""
_SOURCE = """\
        <source><name>{name}</name><path pathversion="1">{path}/</path><allowsharing>true</allowsharing></source>
"""
_ADD_PATH = """
    INSERT INTO path (strPath, strContent, strScraper, strHash, scanRecursive, useFolderNames, strSettings, noUpdate,
        exclude, allAudio)
    VALUES (?, ?, 'metadata.local', '', ?, ?, '', 0, 0, 0)"""


class Kodi:
    """Use it as a context manager.

    Args:
        home: an empty folder of its own, for its settings, databases and log.
        movies: the folders that are sources of films.
        series: those that are sources of series.
        separate_folders: whether "Movies are in separate folders that match the movie title" is on.
        extracts: whether "Extract thumbnails from video files" and "Extract chapter thumbnails" are on, as they are in
            a new one.
    """

    def __init__(
        self,
        home: Path,
        *,
        movies: tuple[Path, ...] = (),
        series: tuple[Path, ...] = (),
        separate_folders: bool = True,
        extracts: bool = True,
    ) -> None:
        self.log = home / ".kodi/temp/kodi.log"
        self._home = home
        self._movies = movies
        self._series = series
        self._separate_folders = separate_folders
        self._extracts = extracts
        self._answers = json.JSONDecoder()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._unread = ""
        self._calls = 0
        self._told: list[str] = []

    def __enter__(self) -> Self:
        [program] = Path("/usr/lib").glob("*/kodi/kodi.bin")
        port = self._write_settings()
        read, write = os.pipe()
        with (self._home / "output.log").open("wb") as output:
            self._screen = subprocess.Popen(
                ["Xvfb", "-displayfd", str(write), "-screen", "0", "320x240x24", "-nolisten", "tcp"],
                stdout=output, stderr=output, pass_fds=[write],
            )  # fmt: skip
            os.close(write)
            with os.fdopen(read) as display:
                number = display.readline().strip()
            self._process = subprocess.Popen(
                ["nice", program, "--standalone", "--audio-backend=alsa"], stdout=output, stderr=output,
                env={
                    **os.environ, "HOME": str(self._home), "DISPLAY": f":{number}", "KODI_HOME": str(_SHARE),
                    "KODI_BIN_HOME": str(program.parent), "LIBGL_ALWAYS_SOFTWARE": "1", "LP_NUM_THREADS": "1",
                },
            )  # fmt: skip
        try:
            self._connect(port)
            self._set_content()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.call("Application.Quit")
            self._process.wait(TIMEOUT)
        finally:
            self._end()

    def call(self, method: str, **parameters: Any) -> Any:
        """What a JSON-RPC method answers."""
        self._calls += 1
        request = {"jsonrpc": "2.0", "id": self._calls, "method": method, "params": parameters}
        self._socket.sendall(json.dumps(request).encode())
        while True:
            message = self._receive()
            if message.get("id") == self._calls:
                assert "error" not in message, message
                return message["result"]

    def scan(self, directory: Path | None = None) -> None:
        """Look for what is new, in all sources or in a folder; returns when it is done."""
        self._run("VideoLibrary.Scan", "VideoLibrary.OnScanFinished", **_directory(directory), showdialogs=False)

    def clean(self, **parameters: Any) -> None:
        """Remove what is gone; returns when it is done."""
        self._run("VideoLibrary.Clean", "VideoLibrary.OnCleanFinished", **parameters, showdialogs=False)

    def movies(self, *properties: str) -> list[dict[str, Any]]:
        """The films that it knows."""
        answer = self.call("VideoLibrary.GetMovies", properties=["file", *properties])
        return list(answer.get("movies", []))

    def shows(self, *properties: str) -> list[dict[str, Any]]:
        """The series that it knows."""
        answer = self.call("VideoLibrary.GetTVShows", properties=["file", *properties])
        return list(answer.get("tvshows", []))

    def episodes(self, *properties: str) -> list[dict[str, Any]]:
        """The episodes that it knows."""
        answer = self.call(
            "VideoLibrary.GetEpisodes", properties=["file", "season", "episode", "showtitle", *properties]
        )
        return list(answer.get("episodes", []))

    def play(self, file: Path, seconds: float = 3.0) -> None:
        """Play a file from its start for some seconds."""
        self.open(file)
        time.sleep(seconds)
        self.stop()

    def open(self, file: Path) -> None:
        """Begin to play a file; returns when picture and sound are there."""
        self._run("Player.Open", "Player.OnAVStart", item={"file": str(file)})

    def seek(self, seconds: int) -> None:
        """Go to a place of what is played."""
        minutes, seconds = divmod(seconds, 60)
        self._run(
            "Player.Seek", "Player.OnSeek", playerid=_VIDEO,
            value={"time": {"hours": minutes // 60, "minutes": minutes % 60, "seconds": seconds}},
        )  # fmt: skip

    def reach(self, seconds: float) -> None:
        """Play until a place has passed."""
        until = time.monotonic() + TIMEOUT
        while not seconds < (place := self._place()) < seconds + _NEAR:
            assert time.monotonic() < until, f"it is at {place} s"
            time.sleep(0.2)

    def stop(self) -> None:
        """End what is played."""
        self._run("Player.Stop", "Player.OnStop", playerid=_VIDEO)

    def _place(self) -> float:
        """Where it is in what is played, in seconds."""
        told = self.call("Player.GetProperties", playerid=_VIDEO, properties=["time"])["time"]
        minutes = told["hours"] * 60 + told["minutes"]
        return float(minutes * 60 + told["seconds"] + told["milliseconds"] / 1000)

    def _run(self, method: str, end: str, **parameters: Any) -> None:
        self._told.clear()
        self.call(method, **parameters)
        self._wait_for(end)

    def _wait_for(self, notification: str) -> None:
        while notification not in self._told:
            self._receive()

    def _receive(self) -> dict[str, Any]:
        """The next message; what it tells by itself is noted."""
        while True:
            try:
                message, end = self._answers.raw_decode(self._unread)
            except ValueError:
                received = self._socket.recv(1 << 16)
                assert received, f"Kodi ended: see {self.log}"
                self._unread += self._decoder.decode(received)
                continue
            self._unread = self._unread[end:].lstrip()
            if "id" not in message:
                self._told.append(message["method"])
            return dict(message)

    def _write_settings(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as another:
            port, self.web_port = int(free.getsockname()[1]), int(another.getsockname()[1])
        userdata = self._home / ".kodi/userdata"
        userdata.mkdir(parents=True, exist_ok=True)
        sources = "".join(_SOURCE.format(name=path.name, path=path) for path in (*self._movies, *self._series))
        extracts = str(self._extracts).lower()
        (userdata / "guisettings.xml").write_text(
            _GUI_SETTINGS.format(web_port=self.web_port, password=PASSWORD, extracts=extracts)
        )
        (userdata / "advancedsettings.xml").write_text(_ADVANCED_SETTINGS.format(port=port))
        (userdata / "sources.xml").write_text(_SOURCES.format(sources=sources))
        # Without any device for sound, it looks for one for ten seconds at each seek.
        (self._home / ".asoundrc").write_text("pcm.!default null\n")
        return port

    def _connect(self, port: int) -> None:
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
                break
            except ConnectionRefusedError:
                assert self._process.poll() is None, (self._home / "output.log").read_text()
                assert time.monotonic() < deadline, f"Kodi does not answer: see {self.log}"
                time.sleep(0.2)

    def _set_content(self) -> None:
        """Say which source holds what: Kodi keeps that in its database, which it makes when it starts."""
        [database] = (self._home / ".kodi/userdata/Database").glob("MyVideos*.db")
        with closing(sqlite3.connect(database, timeout=TIMEOUT)) as connection, connection:
            [known] = connection.execute("SELECT count(*) FROM path WHERE strContent != ''").fetchone()
            if known:
                return
            rows = [(f"{path}/", "movies", 0x7FFFFFFF, self._separate_folders) for path in self._movies]
            rows += [(f"{path}/", "tvshows", 0, False) for path in self._series]
            connection.executemany(_ADD_PATH, rows)

    def _end(self) -> None:
        if hasattr(self, "_socket"):
            self._socket.close()
        for process in (self._process, self._screen):
            process.kill()
            process.wait()


def _directory(path: Path | None) -> dict[str, str]:
    """Kodi does nothing for a folder without the slash."""
    return {"directory": f"{path}/"} if path else {}
