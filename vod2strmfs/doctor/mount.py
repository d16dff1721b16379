"""Checks of FUSE, of the mount point and the mount, and of who can see it."""

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from vod2strmfs.doctor import patience
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.doctor.patience import in_time
from vod2strmfs.errors import MountError
from vod2strmfs.host.mount_table import KIND, Mounted, mount_of, mounted_at
from vod2strmfs.host.system_places import is_systems
from vod2strmfs.mount import point
from vod2strmfs.settings import Settings
from vod2strmfs.status.channel import NotRunningError, ask
from vod2strmfs.status.state import MountState


def fuse(settings: Settings) -> Iterator[Finding]:
    """Whether this user can mount file systems."""
    user = _user()
    try:
        point.check_fuse(allow_other=settings.allow_other)
        point.check_device()
    except MountError as error:
        text, _, advice = str(error).partition(". ")
        yield Finding("FUSE", Level.PROBLEM, text, advice)
        return
    yield Finding("FUSE", Level.OK, f"{user} can mount")
    if not settings.allow_other:
        yield Finding(
            "readers",
            Level.NOTE,
            f"only {user} will be able to read the mount",
            "If the media server runs as another user or in a container, give --allow-other.",
        )


def mount(settings: Settings) -> Iterator[Finding]:
    """What is mounted at the mount point, and whether it answers."""
    place = settings.output_root.absolute()
    return mounted_there(
        "mount", place, "mount point", lambda mounted: _living(settings) if mounted else _unmounted(settings)
    )


def mounted_there(
    check: str, place: Path, what: str, look: Callable[[Mounted | None], Iterator[Finding]]
) -> Iterator[Finding]:
    """What is mounted where one of our mounts is to be.

    Args:
        check: what findings are said to be about; by the same word the command is called that mounts there.
        place: where it is to be.
        what: what the place is called, as in "choose another mount point".
        look: looks further, at a living mount of ours or, with None, at a place where nothing is mounted.
    """
    try:
        yield from in_time(lambda: list(_mounted_there(check, place, what, look)))
    except TimeoutError:
        yield Finding(
            check,
            Level.PROBLEM,
            f"{place} does not answer within {patience.SECONDS:g} seconds: the process behind it hangs",
            f"End that process, and run `fusermount3 -uz {place}`, or `umount -l {place}` as root.",
        )
    except OSError as error:
        yield Finding(check, Level.PROBLEM, f"{place} cannot be used ({error.strerror})", "Choose another place.")


def _mounted_there(
    check: str, place: Path, what: str, look: Callable[[Mounted | None], Iterator[Finding]]
) -> Iterator[Finding]:
    mounted = mounted_at(place)
    if is_systems(place):
        yield Finding(
            check,
            Level.PROBLEM,
            f"{place} is a directory of the system",
            f"Choose another {what}: a directory of its own, such as those in /data.",
        )
    elif mounted is not None and mounted.kind != KIND:
        yield Finding(
            check,
            Level.PROBLEM,
            f"a {mounted.kind} file system is mounted at {place}",
            f"Unmount it (`umount {place}`), or choose another {what}.",
        )
    elif mounted is not None and point.is_dead(place):
        yield Finding(
            check,
            Level.PROBLEM,
            f"the mount at {place} is dead: its process has gone",
            f"`vod2strmfs {check} {place}` replaces it; `fusermount3 -uz {place}` only takes it away.",
        )
    else:
        yield from look(mounted)


def _unmounted(settings: Settings) -> Iterator[Finding]:
    place = settings.output_root.absolute()
    if not place.exists():
        yield Finding(
            "mount",
            Level.WARNING,
            f"{place} does not exist",
            f"Make it with `mkdir -p {place}`, or name another place. `materialize` makes it by itself.",
        )
    elif not place.is_dir():
        yield Finding("mount", Level.PROBLEM, f"{place} is not a directory", "Name a directory.")
    elif not os.access(place, os.W_OK):
        yield Finding(
            "mount",
            Level.PROBLEM,
            f"{_user()} cannot write {place}, and so can neither mount nor materialize there",
            f"Run `chown {_user()} {place}` as root, or name another place.",
        )
    elif _holds_something(place):
        yield Finding(
            "mount",
            Level.NOTE,
            f"nothing is mounted at {place}, and there are files in it",
            "If you materialize, all is well. To mount, choose an empty directory: a mount hides what is in it.",
        )
    else:
        yield Finding(
            "mount",
            Level.NOTE,
            f"nothing is mounted at {place}",
            f"`vod2strmfs mount {place}` shows the library there. If you materialize, all is well.",
        )


def _living(settings: Settings) -> Iterator[Finding]:
    place = settings.output_root.absolute()
    try:
        state = ask(settings.state_dir, patience.SECONDS / 2)
    except NotRunningError as error:
        yield Finding(
            "mount",
            Level.WARNING,
            f"mounted at {place}, but {str(error).partition('. ')[0]}",
            "If the mount uses another state directory, give it with --state-dir.",
        )
        return
    if os.path.realpath(state.mountpoint) == os.path.realpath(place):
        yield _running(state)
    else:
        yield Finding(
            "mount",
            Level.WARNING,
            f"mounted at {place}; the mount of this state directory is at {state.mountpoint}",
            "Give each mount a state directory of its own.",
        )


def _running(state: MountState) -> Finding:
    if not state.generation:
        return Finding(
            "mount",
            Level.PROBLEM,
            f"mounted, with nothing to show yet. {state.error}".rstrip(". "),
            "Mend what is said of the database; the library then appears by itself.",
        )
    return Finding("mount", Level.OK, f"generation {state.generation} at {state.mountpoint}, process {state.pid}")


def propagation(settings: Settings) -> Iterator[Finding]:
    """Whether containers see a mount that is made after they were started."""
    place = settings.output_root.absolute()
    with suppress(OSError, TimeoutError):
        above = in_time(lambda: mount_of(place.parent))
        if above is None:
            return
        if above.is_shared:
            yield Finding(
                "containers",
                Level.OK,
                f"mounts below {above.path} reach containers that are given {place.parent} with rslave",
            )
        else:
            yield Finding(
                "containers",
                Level.NOTE,
                f"{above.path} is not shared: containers would not see the library once it is mounted anew",
                f"If the media server runs in one: run `mount --make-rshared {above.path}` before it starts, and"
                f" give it {place.parent} with rslave.",
            )


def _holds_something(directory: Path) -> bool:
    try:
        return any(directory.iterdir())
    except OSError:
        return False


def _user() -> str:
    with suppress(KeyError):
        return pwd.getpwuid(os.geteuid()).pw_name
    return f"user {os.geteuid()}"
