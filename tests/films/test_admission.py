"""Who may have a stream of an account."""

import pytest
import trio
from cinema import eventually, order, run
from dispatcharr_proxy import KEY, DispatcharrProxy

from vod2strmfs.films.admission import Admission, FullError, Rank
from vod2strmfs.hydrate.api import Api
from vod2strmfs.index.order import HydrateOrder


async def hold(
    admission: Admission, rank: Rank, *, within: float = 0.0, account: int = 1,
    task_status: trio.TaskStatus[trio.Event] = trio.TASK_STATUS_IGNORED,
) -> bool:  # fmt: skip
    """Have a stream until the event is set that is given; returns whether it was taken away."""
    enough = trio.Event()
    async with admission.lease(account, rank, within) as lease:
        task_status.started(enough)
        await enough.wait()
    return lease.taken


async def is_refused(admission: Admission, rank: Rank, within: float = 0.0, account: int = 1) -> bool:
    """Whether one who asks gets no stream."""
    try:
        async with admission.lease(account, rank, within):
            return False
    except FullError:
        return True


def api_order(proxy: DispatcharrProxy) -> HydrateOrder:
    """How to ask the double."""
    return HydrateOrder(mode="background", rate=1, budget=1, parallel=1, older_than=0, url=proxy.url, key=KEY)


def test_an_account_gives_as_many_streams_as_it_has_and_no_more() -> None:
    """Each account by itself. Whoever comes too late is told at once."""

    async def test() -> None:
        admission = Admission(order(max_streams=2), quiet=0)
        async with trio.open_nursery() as nursery:
            first = await nursery.start(hold, admission, Rank.VIEWER)
            await nursery.start(hold, admission, Rank.VIEWER)
            begun = trio.current_time()
            assert await is_refused(admission, Rank.VIEWER, within=60)
            assert trio.current_time() - begun < 30
            assert not await is_refused(admission, Rank.VIEWER, account=2)
            assert admission.streams()[1][:3] == (2, 2, 0)
            first.set()
            await eventually(lambda: admission.streams()[1].viewers == 1)
            assert not await is_refused(admission, Rank.VIEWER)
            nursery.cancel_scope.cancel()

    run(test)


@pytest.mark.parametrize("lower", [Rank.LEARNER, Rank.LEFT, Rank.BACKGROUND])
def test_a_viewer_gets_the_stream_of_whoever_needs_it_less(lower: Rank) -> None:
    """Whose work is cancelled; and nobody else gets it in between."""

    async def test() -> None:
        admission = Admission(order(), quiet=0)
        taken: list[bool] = []

        async def low(task_status: trio.TaskStatus[None]) -> None:
            async with admission.lease(1, lower) as lease:
                task_status.started()
                await trio.sleep_forever()
            taken.append(lease.taken)
            assert await is_refused(admission, Rank.LEARNER), "it is free, for the one who waits"

        async with trio.open_nursery() as nursery:
            await nursery.start(low)
            async with admission.lease(1, Rank.VIEWER, 30):
                assert taken == [True]
                assert await is_refused(admission, lower)

    run(test)


def test_a_stream_that_was_taken_away_is_not_had_back_before_whom_it_was_taken_for() -> None:
    """Who lost it asks again at once, and both wait until it is quiet."""

    async def test() -> None:
        admission = Admission(order(), quiet=0.02)

        async def ask_again(task_status: trio.TaskStatus[None]) -> None:
            async with admission.lease(1, Rank.LEFT, 30):
                task_status.started()
                await trio.sleep_forever()
            assert await is_refused(admission, Rank.LEFT, 30)

        for _ in range(30):
            async with trio.open_nursery() as nursery:
                await nursery.start(ask_again)
                async with admission.lease(1, Rank.VIEWER, 30) as lease:
                    await trio.sleep(0.03)
                assert not lease.taken
                assert admission.streams()[1].viewers == 0

    run(test)


def test_the_one_who_needs_it_least_gives_way() -> None:
    """And one of them is enough."""

    async def test() -> None:
        admission = Admission(order(max_streams=3), quiet=0)
        async with trio.open_nursery() as nursery:
            await nursery.start(hold, admission, Rank.BACKGROUND)
            await nursery.start(hold, admission, Rank.LEARNER)
            await nursery.start(hold, admission, Rank.LEFT)
            assert admission.streams()[1][1:3] == (2, 1)
            await nursery.start(lambda task_status: hold(admission, Rank.VIEWER, within=5, task_status=task_status))
            assert admission.streams()[1][1:3] == (3, 0)
            nursery.cancel_scope.cancel()

    run(test)


def test_learners_leave_the_reserve_free() -> None:
    """Counted with what plays."""

    async def test() -> None:
        admission = Admission(order(max_streams=3, reserve_streams=1), quiet=0)
        async with trio.open_nursery() as nursery:
            await nursery.start(hold, admission, Rank.VIEWER)
            await nursery.start(hold, admission, Rank.LEARNER)
            assert not await admission.has_room_to_learn(1)
            assert await is_refused(admission, Rank.LEARNER)
            assert not await is_refused(admission, Rank.VIEWER)
            nursery.cancel_scope.cancel()

    run(test)


def test_a_stream_that_has_ended_counts_as_used_for_two_seconds() -> None:
    """Where none is free: a viewer waits for that, a learner does not."""

    async def test() -> None:
        admission = Admission(order(max_streams=2))
        async with admission.lease(1, Rank.VIEWER):
            async with admission.lease(1, Rank.LEARNER):
                begun = trio.current_time()
            assert await is_refused(admission, Rank.LEARNER)
            assert not await is_refused(admission, Rank.VIEWER, within=30)
            assert trio.current_time() - begun >= 2

    run(test)


def test_nobody_waits_longer_than_he_said() -> None:
    """A learner that does not end in time."""

    async def test() -> None:
        admission = Admission(order(), quiet=0)
        release = trio.Event()

        async def stubborn(task_status: trio.TaskStatus[None]) -> None:
            async with admission.lease(1, Rank.LEARNER):
                task_status.started()
                with trio.CancelScope(shield=True):
                    await release.wait()

        async with trio.open_nursery() as nursery:
            await nursery.start(stubborn)
            assert await is_refused(admission, Rank.VIEWER, within=0.3)
            release.set()

    run(test)


def test_how_many_streams_there_are_is_asked_of_dispatcharr() -> None:
    """If the settings do not say so; where it does not answer, it is one."""

    async def test() -> None:
        with DispatcharrProxy([], max_streams={1: 2, 3: 1}) as proxy:
            async with Api(api_order(proxy), 5) as api, trio.open_nursery() as nursery:
                admission = Admission(order(max_streams=0), api, quiet=0)
                await nursery.start(hold, admission, Rank.VIEWER)
                await nursery.start(hold, admission, Rank.VIEWER)
                assert await is_refused(admission, Rank.VIEWER)
                for _ in range(5):  # It has as many as it likes.
                    await nursery.start(
                        lambda task_status: hold(admission, Rank.VIEWER, account=2, task_status=task_status)
                    )
                assert {account: each.limit for account, each in admission.streams().items()} == {1: 2, 2: 0}
                proxy.status = 502
                away = Admission(order(max_streams=0), api, quiet=0)
                await nursery.start(lambda task_status: hold(away, Rank.VIEWER, account=4, task_status=task_status))
                assert await is_refused(away, Rank.VIEWER, account=4)
                assert await is_refused(away, Rank.LEARNER, account=5), "who knows who watches there"
                nursery.cancel_scope.cancel()

    run(test)


def test_learners_take_no_stream_that_others_use() -> None:
    """Of Dispatcharr's own viewers, and of live channels."""

    async def test(films: list[int], channels: list[int]) -> bool:
        with DispatcharrProxy([], max_streams={1: 2}) as proxy:
            proxy.films_watched, proxy.channels_watched = films, channels
            async with Api(api_order(proxy), 5) as api:
                return await Admission(order(max_streams=0), api, quiet=0).has_room_to_learn(1)

    assert run(lambda: test([1], []))
    assert run(lambda: test([2, 2], [2, 2]))
    assert not run(lambda: test([1], [1]))
    assert not run(lambda: test([1, 1], []))


def test_refusals_are_counted_with_the_last_reason() -> None:
    """For the status."""
    admission = Admission(order())
    admission.refused(1, "first")
    admission.refused(1, "second")
    streams = admission.streams()[1]
    assert streams.refused == 2
    assert streams.last_refusal
    assert streams.last_refusal.why == "second"
