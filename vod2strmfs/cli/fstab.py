"""The form in which mount(8) calls a file system, translated into `vod2strmfs mount`."""

from collections.abc import Collection, Iterator, Sequence

from vod2strmfs.errors import SettingsError

_ROOTS_CHOICE = frozenset(
    "defaults rw ro auto noauto user nouser users owner group nofail fail _netdev dev nodev suid nosuid exec noexec"
    " atime noatime relatime norelatime strictatime nostrictatime diratime nodiratime lazytime nolazytime sync async"
    " dirsync silent loud mand nomand iversion noiversion default_permissions".split()
)
"""Options that are for mount(8), the kernel or systemd, or ask for what a read-only library has anyway."""
_FOR_OTHERS = ("x-", "X-", "comment=", "uhelper=", "fsname=", "subtype=")
_FLAGS = frozenset("-n -s -v -r -w".split())
_WITH_VALUE = frozenset("-N -t".split())
_TRUE, _FALSE = frozenset(("", "1", "true", "yes", "on")), frozenset(("0", "false", "no", "off"))
_NO_FILE = frozenset(("none", "vod2strmfs"))
"""Sources that name no settings file: the usual ones count."""


def is_mount_call(words: Sequence[str], commands: Collection[str]) -> bool:
    """Whether these words are `SOURCE DIRECTORY [-o OPTIONS]`, as mount(8) and mount.fuse3 write them."""
    if len(words) < 2 or words[0].startswith("-") or words[0] in commands or not words[1].startswith("/"):
        return False
    return "/" in words[0] or words[0] in _NO_FILE or "-o" in words


def as_mount_command(words: Sequence[str], flags: Collection[str], valued: Collection[str]) -> list[str] | None:
    """The words of `vod2strmfs mount` that do what mount(8) asks for; None if it asks for nothing (`-f`).

    Args:
        words: `SOURCE DIRECTORY [-fnrsvw] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]`; SOURCE is a settings file.
        flags: names of the command's settings that are on or off.
        valued: names of its other settings.

    Raises:
        SettingsError: an option that is neither of mount(8) nor a setting.
    """
    source, directory, *rest = words
    command = ["mount", directory, "--daemon", "--source", source]
    if source not in _NO_FILE:
        command += ["--config", source]
    places = iter(rest)
    for word in places:
        if word == "-f":
            return None
        if word == "-o":
            for option in next(places, "").split(","):
                command += _option(option, flags, valued)
        elif word in _WITH_VALUE:
            next(places, None)
        elif word not in _FLAGS:
            raise SettingsError(f"mount {directory}: {word} is not understood here. Options stand behind -o.")
    return command


def _option(option: str, flags: Collection[str], valued: Collection[str]) -> Iterator[str]:
    name, _, value = option.partition("=")
    spelled = name.replace("_", "-")
    if name == "debug":
        yield "--debug"
    elif name in flags and value.lower() in _TRUE | _FALSE:
        yield f"--{'' if value.lower() in _TRUE else 'no-'}{spelled}"
    elif name in valued and value:
        yield f"--{spelled}={value}"
    elif name and name not in _ROOTS_CHOICE and not option.startswith(_FOR_OTHERS):
        what = (
            "cannot be changed while it is mounted: unmount it, and mount it again"
            if name == "remount"
            else (
                "is neither an option of mount(8) nor a setting. Settings are listed by `vod2strmfs mount --help`;"
                " those with commas stand in the settings file"
            )
        )
        raise SettingsError(f"mount option {name}: {what}.")
