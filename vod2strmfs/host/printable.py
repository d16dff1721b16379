"""Texts that may quote what others wrote (servers, providers, file names), made fit for terminals and logs."""

import logging
import re

# Not whatever is "not printable": wide spaces, joiners between letters and marks of direction belong to names.
_COMMANDS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
"""Controls, other line ends, what turns the order of all that follows, and what no encoding can write."""
_IN_LINES = re.compile(f"[{_COMMANDS}]")
_IN_A_LINE = re.compile(rf"[{_COMMANDS}\t\n]")


def printable(text: str) -> str:
    """A text of one line without the characters that could command a terminal."""
    return _IN_A_LINE.sub("�", text)


def printable_lines(text: str) -> str:
    """A text of several lines, perhaps with tabs, without the characters that could command a terminal."""
    return _IN_LINES.sub("�", text)


class LogFormatter(logging.Formatter):
    """The formatter of every log: whatever a message quotes, its lines can be read at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        return printable_lines(super().format(record))
