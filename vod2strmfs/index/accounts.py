"""What accounts are called, for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vod2strmfs.host.work_file import read_work_file

if TYPE_CHECKING:
    import sqlite3


def account_names(state_dir: Path) -> Mapping[int, str]:
    """The names of accounts, as far as the index of a state directory knows them: of those that are active."""
    from vod2strmfs.index.file import FILE_NAME  # which loads SQLite

    return read_work_file(state_dir / FILE_NAME, _read, 1) or {}


def called(account: int, names: Mapping[int, str]) -> str:
    """What an account is called: `account Alpha`, or by its number in Dispatcharr where nobody knows its name."""
    return f"account {names.get(account) or account}"


def _read(connection: "sqlite3.Connection", now: float) -> dict[int, str]:
    rows = connection.execute("SELECT account, name FROM priority")
    return {account: "".join(filter(str.isprintable, name)).strip() for account, name in rows}
