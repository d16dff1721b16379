"""The output root: whether it may be written, and who else writes it.

Two locks tell who does. One is a file in the state directory, which works whatever file system the root is on. The
other is on the root itself and leaves nothing in it; it holds for runs with other state directories, and on other paths
to the same root. A share that locks no directories has the first alone, so one host should write one library.
"""

import contextlib
import errno
import fcntl
import os
import pwd
import re
import socket
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import IO, NamedTuple

from vod2strmfs.errors import OutputError
from vod2strmfs.host.lock import is_held
from vod2strmfs.host.mount_table import KIND, mount_of
from vod2strmfs.host.private import private
from vod2strmfs.host.system_places import is_systems
from vod2strmfs.materialize.files import DIRECTORY_FLAGS, Temporaries
from vod2strmfs.materialize.manifest import is_unused

_ADVICE = "Name a directory of its own: `vod2strmfs materialize DIRECTORY`, or output_root in the settings."
_DESCRIBED = re.compile(r"process (?P<process>\d+) on (?P<host>.*), since ")
_PATIENCE = 5.0
"""Seconds that what a killed run left may take to end."""
_NAP = 0.01
"""Seconds between two looks whether it has."""
_UNUSED_IN_NAMES = re.compile(r"[^\w.-]+")


class OutputRoot(NamedTuple):
    """An output root, and what is known about it."""

    path: Path
    """The root's absolute path, without links."""
    mount_point: str
    """The mount point of the file system that the root is on."""
    manifest: Path
    """The path of the root's manifest, which need not exist yet."""
    lock: int = -1
    """The descriptor of the lock file, if the root is held."""

    def temporaries(self) -> Temporaries:
        """The root's temporary files, which are known by its path, however often the state directory is lost."""
        return Temporaries(_key(self.path))


def locate(path: Path, state_dir: Path) -> OutputRoot:
    """An output root by its path, through links.

    Raises:
        OutputError: the path may not be an output root; says why.
    """
    path = Path(os.path.realpath(path))
    mount_point = _check(path)
    _check_place(path, state_dir)
    return OutputRoot(path, mount_point, _manifest(path, state_dir))


def _manifest(path: Path, state_dir: Path) -> Path:
    """Where the manifest of a root is, or will be."""
    return state_dir / f"output-{_UNUSED_IN_NAMES.sub('_', path.name)[:40]}-{_key(path)}.db"


def _key(path: Path) -> str:
    return blake2b(os.fsencode(path), digest_size=6).hexdigest()


@contextlib.contextmanager
def hold(path: Path, state_dir: Path) -> Iterator[OutputRoot]:
    """Make sure that a directory may be an output root, and that nobody else writes it meanwhile.

    Args:
        path: the root, which need not exist.
        state_dir: the directory of the manifest and of the lock file, made if need be.

    Raises:
        OutputError: says what is wrong with the root, or who holds it.
    """
    root = locate(path, state_dir)
    with _locked(state_dir, root.manifest.stem, root.path) as lock:
        yield root._replace(lock=lock)


@contextlib.contextmanager
def opened(path: Path, *, dry_run: bool) -> Iterator[int | None]:
    """Open an output root, make it if need be, and lock it against runs with other state directories.

    Args:
        path: the root.
        dry_run: whether nothing is to be made.

    Returns:
        The root's descriptor; None if it does not exist, in a dry run.

    Raises:
        OutputError: says what is wrong with the root, or who holds it.
    """
    try:
        if not dry_run:
            path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, DIRECTORY_FLAGS)
    except OSError as error:
        if dry_run and isinstance(error, FileNotFoundError):
            yield None
            return
        raise OutputError(f"output root {path}: cannot be used ({error.strerror}).\n{_ADVICE}") from error
    try:
        if not dry_run:
            _check_writable(descriptor, path)
        _lock_directory(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


def _check_writable(descriptor: int, path: Path) -> None:
    """Refuse a root in which nothing can be written."""
    if os.access(".", os.W_OK | os.X_OK, dir_fd=descriptor):
        return
    read_only = os.fstatvfs(descriptor).f_flag & os.ST_RDONLY
    cause = OSError(errno.EROFS if read_only else errno.EACCES, "it cannot be written")
    if read_only:
        text = "is mounted read-only. Mount it so that it can be written, or name another directory."
    else:
        text = "cannot be written by this user. Run this as one who may write there, or name another directory."
    raise OutputError(f"output root {path}: {text}") from cause


def check_path(path: Path) -> None:
    """Refuse a path that would be a mistake as an output root whatever is there.

    Raises:
        OutputError: it is the system's, or a home directory.
    """
    path = Path(os.path.realpath(path))
    if path == Path("/"):
        raise OutputError(f"output root /: is the whole system. {_ADVICE}")
    if is_systems(path):
        raise OutputError(f"output root {path}: is a directory of the system. {_ADVICE}")
    if path in _homes():
        raise OutputError(f"output root {path}: is a home directory. {_ADVICE}")


def _check(path: Path) -> str:
    """Refuse roots that would be a mistake; returns the mount point that the root is on."""
    check_path(path)
    mount = mount_of(path)
    if mount is not None and mount.kind == KIND:
        raise OutputError(
            f"output root {path}: vod2strmfs is mounted at {mount.path}, and shows the library there already."
            f" Unmount it, or do not write there. {_ADVICE}"
        )
    return mount.path if mount is not None else "/"


def _check_place(path: Path, state_dir: Path) -> None:
    """Refuse a root that lies in the state directory, or in another root."""
    own = Path(os.path.realpath(state_dir))
    if path.is_relative_to(own):
        raise OutputError(f"output root {path}: lies in the state directory {own}. {_ADVICE}")
    for above in path.parents:
        manifest = _manifest(above, state_dir)
        if manifest.exists() and (not is_unused(manifest) or is_held(manifest.with_suffix(".lock"))):
            raise OutputError(
                f"output root {path}: lies in the output root {above}. {_ADVICE}\n"
                f"If nothing is written to {above} any more, delete {manifest}."
            )


def _homes() -> set[Path]:
    homes = {entry.pw_dir for entry in pwd.getpwall()}
    homes.add(os.path.expanduser("~"))
    return {Path(os.path.realpath(home)) for home in homes if home}


@contextlib.contextmanager
def _locked(state_dir: Path, stem: str, path: Path) -> Iterator[int]:
    """Hold the lock file of a root in the state directory for as long as the context lasts; its descriptor."""
    with contextlib.ExitStack() as stack:
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = stack.enter_context(open(state_dir / f"{stem}.lock", "a+b", buffering=0, opener=private))
            _lock(file, lambda: _read(file))
            file.truncate(0)
            file.write(_describe(os.getpid(), time.time()).encode())
        except BlockingIOError:
            raise _held(path, _read(file)) from None
        except OSError as error:
            advice = "Give one that this user can write with --state-dir."
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                advice = "Make room there and run again, or give another directory with --state-dir."
            raise OutputError(f"state directory {state_dir}: {error.strerror}. {advice}") from error
        yield file.fileno()


def _lock_directory(descriptor: int, path: Path) -> None:
    """Lock a root itself, by its descriptor, against runs with other state directories."""
    try:
        _lock(descriptor, lambda: _locker(descriptor))
    except BlockingIOError:
        raise _held(path, _locker(descriptor)) from None
    except OSError:
        return  # Most network file systems lock no directories; there, the lock in the state directory has to do.


def _lock(file: IO[bytes] | int, holder: Callable[[], str]) -> None:
    """Lock a file, or raise BlockingIOError.

    A run that was killed may have left its second process, which holds its locks until it has noticed.

    Args:
        file: what is to be locked.
        holder: who holds the lock, as `_describe` says it.
    """
    patient_until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > patient_until or not _has_ended(holder()):
                raise
            time.sleep(_NAP)
        else:
            return


def _has_ended(holder: str) -> bool:
    """Whether a process, as `_describe` says it, was one of this host and is there no more."""
    described = _DESCRIBED.match(holder)
    return (
        described is not None
        and described["host"] == socket.gethostname()
        and not Path("/proc", described["process"]).exists()
    )


def _locker(descriptor: int) -> str:
    """A description of who holds the lock of a directory; "" if it is nobody on this host."""
    inode = os.fstat(descriptor).st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        # 1: FLOCK ADVISORY WRITE 4242 fe:00:1048577 0 EOF; after the number there may be an arrow: it waits.
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            with contextlib.suppress(OSError):
                return _describe(int(fields[4]), _started(fields[4]))
    return ""


def _started(process: str) -> float:
    """The start of a process, seconds since the epoch (proc_pid_stat(5))."""
    ticks = int(Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def _describe(process: int, since: float) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    return f"process {process} on {socket.gethostname()}, since {moment},"


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _held(path: Path, holder: str) -> OutputError:
    return OutputError(
        f"output root {path}: {holder or 'a process in another container or on another host'} is writing it."
        " Wait until that is done."
    )
