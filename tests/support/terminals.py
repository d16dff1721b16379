"""Commands on a terminal: a real one, of the kernel's (pty(7))."""

import fcntl
import os
import pty
import struct
import sys
import termios
from contextlib import suppress
from pathlib import Path

from mounts import command


def on_terminal(*arguments: str | Path, columns: int = 100, script: str = "") -> tuple[int, str]:
    """Run a command on a terminal of its own until it ends.

    Args:
        arguments: of the program.
        columns: how wide the terminal is.
        script: Python to run in place of the program.

    Returns:
        Its exit code, and all that it wrote, control sequences included.
    """
    whole = [sys.executable, "-c", script, *map(str, arguments)] if script else command(*arguments)
    # Given whole: the library readline, if it is loaded, has put its own idea of the width into this process's.
    known = {**os.environ, "TERM": "xterm", "PAGER": "cat"}
    known = {name: value for name, value in known.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process, terminal = pty.fork()
    if process == 0:
        os.execve(whole[0], whole, known)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    written = []
    with suppress(OSError):  # What the kernel answers when nobody is left on the other side.
        while data := os.read(terminal, 65536):
            written.append(data)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), b"".join(written).decode(errors="replace")
