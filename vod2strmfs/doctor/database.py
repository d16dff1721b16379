"""Checks of Dispatcharr's database, and of what it offers."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing

from vod2strmfs.catalog.open import open_source
from vod2strmfs.catalog.source import Facts
from vod2strmfs.doctor.finding import Finding, Level
from vod2strmfs.errors import UserError
from vod2strmfs.settings import Settings

_CLOCK_SECONDS = 60.0
"""Seconds between two clocks from which on they are reported: the times of new titles come from the server's."""


def database(settings: Settings) -> Iterator[Finding]:
    """Whether the database can be read, and whether there is anything in it for a viewer."""
    try:
        with closing(open_source(settings.database_url())) as source:
            asked = time.time()
            facts = source.facts()
            answered = time.time()
            with source.snapshot() as snapshot:
                counts = snapshot.counts()
    except UserError as error:
        text, _, advice = str(error).rpartition("\n")
        if not text:
            text, _, advice = advice.partition(". ")
        yield Finding("database", Level.PROBLEM, text.rstrip("."), advice)
        return
    yield Finding("database", Level.OK, f"{facts.name}: {facts.server}, Dispatcharr {facts.schema}")
    yield from role(facts)
    yield from clock(facts, (asked + answered) / 2)
    yield from catalogue(facts, counts)


def role(facts: Facts) -> Iterator[Finding]:
    """Whether the database role can do more than it needs."""
    if facts.clock is None:
        return
    more = [f"change {facts.writable[0]}"] if facts.writable else []
    more += ["read the providers' passwords"] if facts.reads_passwords else []
    if more:
        yield Finding(
            "role",
            Level.NOTE,
            f"the database role could {' and '.join(more)}; it never does",
            "docs/database-role.sql makes a role that cannot.",
        )
    else:
        yield Finding("role", Level.OK, "the database role can only read what is needed")


def clock(facts: Facts, now: float) -> Iterator[Finding]:
    """Whether the database server's clock agrees with this host's.

    Args:
        facts: what the database says of itself.
        now: this host's time when it was asked, seconds since the epoch.
    """
    if facts.clock is None:
        return
    ahead = facts.clock - now
    if abs(ahead) > _CLOCK_SECONDS:
        yield Finding(
            "clock",
            Level.WARNING,
            f"the database server's clock is {abs(ahead):.0f} seconds"
            f" {'ahead of' if ahead > 0 else 'behind'} this host's",
            "Let both hosts get their time from NTP (`timedatectl set-ntp true`).",
        )


def catalogue(facts: Facts, counts: Mapping[str, int]) -> Iterator[Finding]:
    """Whether the catalogue has titles to show, and what keeps others out."""
    titles = counts["movies_eligible"] + counts["series_eligible"]
    text = (
        f"{counts['movies_eligible']} of {counts['movies']} movies and"
        f" {counts['series_eligible']} of {counts['series']} series can be shown,"
        f" from {counts['accounts_active']} of {counts['accounts']} accounts"
    )
    are = "is" if facts.categories_disabled == 1 else "are"
    disabled = f"{facts.categories_disabled} of {facts.categories} categories {are} disabled"
    if not counts["accounts_active"]:
        yield Finding(
            "catalogue",
            Level.PROBLEM,
            "no M3U account is active",
            "Add one in Dispatcharr, or switch one on, and let it scan VOD.",
        )
    elif not titles and facts.categories and facts.categories_disabled == facts.categories:
        yield Finding(
            "catalogue",
            Level.PROBLEM,
            f"{text}: {disabled}",
            "Enable VOD categories in Dispatcharr: M3U account, Groups, VOD.",
        )
    elif not titles:
        yield Finding("catalogue", Level.PROBLEM, text, "Enable VOD for an account in Dispatcharr, and refresh it.")
    else:
        yield Finding("catalogue", Level.OK, text)
        if facts.categories_disabled:
            yield Finding(
                "categories",
                Level.NOTE,
                disabled,
                "To see their titles, enable them in Dispatcharr: M3U account, Groups, VOD.",
            )
