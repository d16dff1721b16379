"""What learning asks of a provider within a week, whatever that answers: seen from the provider's side."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vod2strmfs.films.film import BLOCK, Key
from vod2strmfs.films.outcomes import Kind, Outcome
from vod2strmfs.films.store import Due, Films, Learnt, Wish

DAY = 86400.0
_NUMBER = 60
_EACH_SECONDS = 6.0
"""Ten films a minute."""
_LOOK_SECONDS = 600.0
"""Coarser than it is, and so at most a request or two fewer."""


class Provider:
    """A week with a provider, of which all films are wanted: the last ones are the newest.

    Args:
        films: what is known of its films.
        monkeypatch: sets the time.
    """

    def __init__(self, films: Films, monkeypatch: pytest.MonkeyPatch) -> None:
        self.films = films
        self.now = 1_700_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.now)
        wishes = [Wish(node, Key("movie", 1, str(node)), str(node), 60, node) for node in range(1, _NUMBER + 1)]
        films.want(wishes, 1)

    def answers(self, answer: Callable[[int], Kind], days: float = 7.0) -> Counter[int]:
        """Let time go by; returns how often each film was asked for.

        Args:
            answer: what comes of a film, by its number.
            days: how much time.
        """
        asked: Counter[int] = Counter()
        until = self.now + days * DAY
        while self.now < until:
            due = self.films.due(self.now, (), 1)
            if due:
                chosen = self.films.in_its_place(due[0], self.now)
                number = int(chosen.key.stream)
                asked[number] += 1
                self._settle(chosen, answer(number))
            self.now += _EACH_SECONDS if due else _LOOK_SECONDS
        return asked

    def _settle(self, due: Due, kind: Kind) -> None:
        attempt = self.films.begin(due)
        if kind != Kind.LEARNT:
            self.films.settle(due, attempt, Outcome(kind, "so it is"))
            return
        with self.films.draft(due) as draft:
            draft.write(0, b"x" * BLOCK)
            self.films.settle(due, attempt, Outcome(kind), Learnt(BLOCK, ".mkv", 60, due.id, 1), draft)

    def learnt(self) -> int:
        """How many of its films were."""
        return sum(self.films.known(key) is not None for key, _ in self.films.names())


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """Such a provider."""
    with Films(tmp_path) as films:
        yield Provider(films, monkeypatch)


@pytest.mark.parametrize(
    ("kind", "fewest", "most"),
    [
        # Once an hour, after the first hours.
        (Kind.BUSY, 150, 7 * 24 + 6),
        (Kind.AWAY, 150, 7 * 24 + 6),
        # Ten minutes after the third one, and then longer, up to a day.
        (Kind.FORBIDDEN, 12, 17),
        (Kind.REFUSED, 12, 17),
        (Kind.FAILED, 12, 17),
        (Kind.UNSEEKABLE, 12, 17),
        (Kind.NOT_A_FILM, 12, 17),
    ],
)
def test_a_provider_that_gives_nothing_is_asked_seldom_and_not_forgotten(
    provider: Provider, kind: Kind, fewest: int, most: int
) -> None:
    assert fewest <= provider.answers(lambda number: kind).total() <= most
    provider.answers(lambda number: Kind.LEARNT, 9.0)
    assert provider.learnt() == _NUMBER if kind in (Kind.BUSY, Kind.AWAY) else provider.learnt() > _NUMBER * 3 // 4


def test_films_that_a_provider_does_not_have_are_asked_for_thrice_a_week(provider: Provider) -> None:
    asked = provider.answers(lambda number: Kind.GONE)
    assert set(asked.values()) == {3}


@pytest.mark.parametrize("kind", [Kind.REFUSED, Kind.FORBIDDEN, Kind.FAILED])
def test_films_that_were_lost_together_hold_up_the_others_for_hours_and_not_for_weeks(
    provider: Provider, kind: Kind
) -> None:
    """The newest are learnt first: without another choice, an account whose newest 20 are lost is asked once a day."""
    lost = range(_NUMBER - 19, _NUMBER + 1)
    asked = provider.answers(lambda number: kind if number in lost else Kind.LEARNT)
    assert provider.learnt() == _NUMBER - len(lost)
    assert max(asked.values()) <= 8


def test_a_film_that_is_asked_for_by_name_is_the_next_one_whatever_failed(provider: Provider) -> None:
    provider.answers(lambda number: Kind.REFUSED, 0.2)
    provider.films.ask([Key("movie", 1, "7")])
    provider.now += DAY
    for _ in range(20):
        [due] = provider.films.due(provider.now, (), 1)
        assert provider.films.in_its_place(due, provider.now).key.stream == "7"
