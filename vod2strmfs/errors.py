"""Errors that a user can mend, and the exit codes that go with them."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of every command (listed in docs/commands.md)."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DATABASE = 3
    INDEX = 4
    MOUNT = 5
    OUTPUT = 6
    SHRINK = 7
    WARNINGS = 8
    """`doctor` found something that one should look at."""
    PROBLEMS = 9
    """`doctor` found something that does not work."""


class UserError(Exception):
    """What went wrong, where, and what to do, in one or two lines fit for a terminal."""

    exit_code = Exit.FAILED


class SettingsError(UserError):
    """A setting is unknown or has a value that cannot be used."""

    exit_code = Exit.USAGE


class CatalogError(UserError):
    """Dispatcharr's database cannot be reached, or is not one that we can read."""

    exit_code = Exit.DATABASE


class FilteredOutError(CatalogError):
    """The filters keep out all that there is in the catalogue."""

    exit_code = Exit.USAGE


class IndexFileError(UserError):
    """The local index cannot be read or written."""

    exit_code = Exit.INDEX


class MountError(UserError):
    """The file system cannot be mounted here."""

    exit_code = Exit.MOUNT


class OutputError(UserError):
    """The output root cannot be written."""

    exit_code = Exit.OUTPUT


class ApiError(UserError):
    """Dispatcharr's API refuses, or is not where it should be."""


class ShrinkHeldError(UserError):
    """The shrink brake held removals back; the operator has to accept them."""

    exit_code = Exit.SHRINK
