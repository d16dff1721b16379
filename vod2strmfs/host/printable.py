"""Texts that may quote what others wrote (servers, providers, file names), made fit for terminals and logs."""

import logging
import re

_PIECES = re.compile(r"[^\n\t]+")


def printable(text: str) -> str:
    """A text of one line without the characters that could command a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def printable_lines(text: str) -> str:
    """A text of several lines, perhaps with tabs, without the characters that could command a terminal."""
    return _PIECES.sub(lambda piece: printable(piece[0]), text)


class LogFormatter(logging.Formatter):
    """The formatter of every log: whatever a message quotes, its lines can be read at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        return printable_lines(super().format(record))
