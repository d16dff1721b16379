"""Whether Dispatcharr would fetch episodes for us, where it is to."""

import stat
from collections.abc import Iterator

import trio

from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.errors import ApiError, SettingsError
from vod2strmfs.hydrate.api import Api, AwayError
from vod2strmfs.index.order import HydrateOrder
from vod2strmfs.settings import Settings, without_password

_CHECK = "episodes"
_SECONDS = 15.0


def hydrate(settings: Settings) -> Iterator[Finding]:
    """Sign in to Dispatcharr's API, and ask who is watching, as is done before each series."""
    if settings.hydrate == "off":
        return
    for setting in ("api_key_file", "api_password_file"):
        yield from _readable(settings, setting)
    try:
        order = HydrateOrder.of(settings, settings.base_url)
        why = _refusal(order)
    except (SettingsError, ApiError) as error:
        text, _, advice = str(error).partition(". ")
        yield Finding(_CHECK, Level.PROBLEM, text, advice)
        return
    if why:
        yield Finding(
            _CHECK,
            Level.PROBLEM,
            f"Dispatcharr's API at {without_password(order.url)} cannot be asked: {why}",
            "Set api_url to the address at which this host reaches Dispatcharr.",
        )
    else:
        yield Finding(_CHECK, Level.OK, f"Dispatcharr's API at {without_password(order.url)} fetches them for us")


def _refusal(order: HydrateOrder) -> str:
    """Why it cannot be asked; empty if it can be.

    Raises:
        ApiError: it refuses.
        SettingsError: the certificate authority cannot be used.
    """

    async def ask() -> str:
        async with Api(order, _SECONDS) as api:
            try:
                with trio.fail_after(_SECONDS):
                    await api.check()
            except AwayError as error:
                return error.outcome.why
            except trio.TooSlowError:
                return f"it does not answer within {_SECONDS:g} seconds"
        return ""

    return trio.run(ask)


def _readable(settings: Settings, setting: str) -> Iterator[Finding]:
    path = getattr(settings, setting)
    try:
        mode = path.stat().st_mode if path else 0
    except OSError:
        return  # To read it fails, too.
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        yield Finding(
            _CHECK, Level.WARNING, f"{path} holds a secret, and others can read it", f"Run `chmod 600 {path}`."
        )
