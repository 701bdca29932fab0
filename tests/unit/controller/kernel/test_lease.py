"""One controller leads, and knows when it may not."""

import asyncio
from typing import Any

import pytest

from controller.kernel.lease import Leadership, LeadershipLost, LeaseSettings
from schemas.names import LEASE

pytestmark = pytest.mark.anyio

QUICK = LeaseSettings(
    duration_seconds=1, renew_seconds=0.02, deadline_seconds=0.2, retry_seconds=0.02
)


def leadership(kube: Any, identity: str) -> Leadership:
    return Leadership(kube, namespace="ns", name="l", identity=identity, settings=QUICK)


async def within(seconds: float, awaitable: Any) -> Any:
    async with asyncio.timeout(seconds):
        return await awaitable


async def test_the_first_one_leads_with_epoch_one(kube: Any) -> None:
    assert await within(5, leadership(kube, "a").acquire()) == 1
    assert kube.read("Lease", "ns", "l")["spec"]["holderIdentity"] == "a"


async def test_a_lease_that_was_given_up_is_taken_at_once_with_a_higher_epoch(kube: Any) -> None:
    first = leadership(kube, "a")
    await first.acquire()
    await first.release()
    assert await within(0.5, leadership(kube, "b").acquire()) == 2


async def test_a_lease_that_is_renewed_is_not_taken(kube: Any) -> None:
    first = leadership(kube, "a")
    await first.acquire()
    second = leadership(kube, "b")
    async with asyncio.TaskGroup() as tasks:
        holding = tasks.create_task(first.hold())
        with pytest.raises(TimeoutError):
            await within(1.5, second.acquire())
        holding.cancel()


async def test_a_lease_that_stays_as_it_is_for_its_duration_is_taken(kube: Any) -> None:
    await leadership(kube, "a").acquire()  # and then dies
    assert await within(5, leadership(kube, "b").acquire()) == 2


async def test_a_dead_predecessor_of_the_same_identity_is_succeeded_at_once(kube: Any) -> None:
    dead = leadership(kube, "a")
    await dead.acquire()
    assert await within(0.5, leadership(kube, "a").acquire()) == 2
    with pytest.raises(LeadershipLost):  # should it live after all, it stops
        await within(5, dead.hold())


async def test_two_that_start_at_once_get_different_epochs(kube: Any) -> None:
    a, b = leadership(kube, "a"), leadership(kube, "b")
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(a.acquire())
        second = tasks.create_task(b.acquire())
    assert {first.result(), second.result()} == {1, 2}


async def test_the_sight_of_another_leader_ends_it(kube: Any) -> None:
    first = leadership(kube, "a")
    await first.acquire()
    thief = {"spec": {"holderIdentity": "b", "leaseTransitions": 2}}
    await kube.patch(LEASE, "ns", "l", thief)
    with pytest.raises(LeadershipLost):
        await within(5, first.hold())


async def test_a_deleted_lease_ends_it(kube: Any) -> None:
    first = leadership(kube, "a")
    await first.acquire()
    await kube.delete(LEASE, "ns", "l")
    with pytest.raises(LeadershipLost):
        await within(5, first.hold())


async def test_somebody_elses_label_on_the_lease_ends_nothing(kube: Any) -> None:
    first = leadership(kube, "a")
    await first.acquire()
    await kube.patch(LEASE, "ns", "l", {"metadata": {"labels": {"x": "y"}}})
    with pytest.raises(TimeoutError):
        await within(0.3, first.hold())
    assert first.sure.is_set()


async def test_an_api_server_that_is_away_stops_the_work_and_not_the_controller(kube: Any) -> None:
    first = leadership(kube, "a")
    await first.acquire()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        holding = tasks.create_task(first.hold())
        kube.down = True
        while first.sure.is_set():
            await asyncio.sleep(0.01)
        kube.down = False
        await first.sure.wait()
        assert first.epoch == 1
        holding.cancel()
