"""Running the work of a command in trio."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import trio

from vod2strmfs.host.causes import cause_of

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


def in_trio(function: Callable[[*_Arguments], Awaitable[_Result]], *arguments: *_Arguments) -> _Result:
    """What a function gives that is run in trio; what it ends with comes without the groups into which trio puts it."""
    try:
        return trio.run(function, *arguments)
    except BaseExceptionGroup as group:
        raise cause_of(group) from None


async def until_signal(work: Callable[[], Awaitable[object]], note: Callable[[int], None]) -> None:
    """Do some work, which SIGINT and SIGTERM end.

    Args:
        work: what to do.
        note: called with the signal, if one comes.
    """
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def obey() -> None:
                async for number in signals:
                    note(number)
                    nursery.cancel_scope.cancel()
                    return

            nursery.start_soon(obey)
            await work()
            nursery.cancel_scope.cancel()
