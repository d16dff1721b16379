"""The Unix socket at which a mount says how it is: whoever connects gets one JSON object, and the end of the stream.

The socket lies in the state directory, and only the mount's own user can connect. Asking never touches the mount
itself, so an answer or an error comes in time whatever is wrong there.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from vod2strmfs.errors import MountError
from vod2strmfs.host.lock import held
from vod2strmfs.status.state import MountState, decode

SOCKET_NAME = "status.sock"
LOCK_NAME = "status.lock"
TIMEOUT_SECONDS = 5.0

_CHUNK_BYTES = 65536


class NotRunningError(MountError):
    """No mount of this state directory is running, or it does not answer."""


class NoMountError(NotRunningError):
    """No mount of this state directory is running."""


def ask(state_dir: Path, timeout: float = TIMEOUT_SECONDS) -> MountState:
    """The state of the mount with this state directory.

    Args:
        state_dir: the state directory of the mount.
        timeout: seconds that the whole exchange may take.

    Raises:
        NotRunningError: there is no mount, or it does not answer in time.
    """
    deadline = time.monotonic() + timeout
    try:
        # A mount that is just ending says nothing; and is gone when it is asked again.
        text = _receive(state_dir, deadline) or _receive(state_dir, deadline)
    except TimeoutError:
        raise NotRunningError(
            f"state directory {state_dir}: the mount does not answer within {timeout:g} seconds. See its log;"
            " restart it if it stays so."
        ) from None
    except PermissionError:
        raise NotRunningError(
            f"state directory {state_dir}: only the user who mounts can ask. Run this as that user, or as root."
        ) from None
    except OSError as error:
        raise NoMountError(
            f"state directory {state_dir}: no mount is running{_unless_plain(error)}.\n"
            "`vod2strmfs mount` starts one; --state-dir names another mount's directory."
        ) from error
    try:
        return decode(text)
    except msgspec.MsgspecError as error:
        raise NotRunningError(
            f"state directory {state_dir}: the mount's answer is not understood ({error})."
            " It may be of another version: restart it."
        ) from error


def ask_films(folder: Path, timeout: float = TIMEOUT_SECONDS) -> MountState:
    """The state of the mount of films.

    Args:
        folder: that of the films, in their state directory.
        timeout: see `ask`.

    Raises:
        NotRunningError: see `ask`. Of a library whose state directory is called as that folder, none is running.
    """
    state = ask(folder, timeout)
    if state.films is None:
        raise NoMountError(f"state directory {folder}: is that of a library, and of no mount of films.")
    return state


def _unless_plain(error: OSError) -> str:
    """The reason in brackets, unless it is the usual one: that nobody listens."""
    return "" if isinstance(error, FileNotFoundError | ConnectionRefusedError) else f" ({error.strerror})"


def _receive(state_dir: Path, deadline: float) -> bytes:
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(_address(state_dir))
        channel = stack.enter_context(socket.socket(socket.AF_UNIX))
        _limit(channel, deadline)
        try:
            channel.connect(address)
        except BlockingIOError:  # Linux's answer while too many others are waiting
            raise TimeoutError from None
        parts: list[bytes] = []
        while True:
            _limit(channel, deadline)
            part = channel.recv(_CHUNK_BYTES)
            if not part:
                return b"".join(parts)
            parts.append(part)


def _limit(channel: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    channel.settimeout(left)


@contextlib.contextmanager
def listening(state_dir: Path) -> Iterator[socket.socket | None]:
    """A listening socket in the state directory for as long as the context lasts; None if another process has it.

    A lock, which ends with its process however that ends, decides who has the socket. So the socket that a dead process
    left behind is replaced, and that of a living one never is.

    Raises:
        OSError: the directory cannot be written, or has no room for sockets.
    """
    with contextlib.ExitStack() as stack:
        if not stack.enter_context(held(state_dir / LOCK_NAME)):
            yield None
            return
        address = stack.enter_context(_address(state_dir))
        channel = stack.enter_context(socket.socket(socket.AF_UNIX))
        unready = f"{address}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unready)
        # The file gets the permissions that the socket has when it is bound.
        os.fchmod(channel.fileno(), 0o600)
        channel.bind(unready)
        try:
            channel.listen()
            # Whoever finds the socket finds somebody who listens.
            os.rename(unready, address)
            channel.setblocking(False)
            yield channel
        finally:
            for path in (unready, address):
                with contextlib.suppress(OSError):
                    os.unlink(path)


@contextlib.contextmanager
def _address(state_dir: Path) -> Iterator[str]:
    """The socket's path, short however long that of the directory is: AF_UNIX takes 107 bytes."""
    directory = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET_NAME}"
    finally:
        os.close(directory)
