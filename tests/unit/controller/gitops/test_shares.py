"""Nobody holds all places, and no place is lost."""

import asyncio

import pytest

from controller.gitops.shares import SERVERS, Most, Seat, Shares

pytestmark = pytest.mark.anyio


async def _settle() -> None:
    """Let all tasks go as far as they can."""
    for _ in range(200):
        await asyncio.sleep(0)


class Crowd:
    """Jobs that hold their places until they are told to go."""

    def __init__(self, shares: Shares, tasks: asyncio.TaskGroup) -> None:
        self._shares = shares
        self._tasks = tasks
        self.inside: list[str] = []
        self.running: list[asyncio.Task[None]] = []
        self.leave = asyncio.Event()

    async def come(self, count: int, organization: str, host: str = "") -> int:
        """Have so many come; return how many of them got in."""
        before = len(self.inside)
        for _ in range(count):
            self.running.append(self._tasks.create_task(self._hold(organization, host)))
        await _settle()
        return len(self.inside) - before

    async def _hold(self, organization: str, host: str) -> None:
        async with self._shares.place(organization, host):
            self.inside.append(organization)
            await self.leave.wait()


async def test_one_organization_at_one_host_has_few_places_and_others_elsewhere() -> None:
    async with asyncio.TaskGroup() as tasks:
        crowd = Crowd(Shares(), tasks)
        assert await crowd.come(50, "rival", "slow.example") == SERVERS.both
        assert await crowd.come(50, "rival", "git.example") == SERVERS.organization - SERVERS.both
        assert await crowd.come(1, "rival", "other.example") == 0
        assert await crowd.come(1, "acme", "slow.example") == 1
        crowd.leave.set()


async def test_a_host_that_all_use_leaves_half_of_the_places() -> None:
    async with asyncio.TaskGroup() as tasks:
        crowd = Crowd(Shares(), tasks)
        got = [await crowd.come(9, f"org-{number}", "slow.example") for number in range(20)]
        assert sum(got) == SERVERS.host == SERVERS.total // 2
        assert await crowd.come(1, "acme", "git.example") == 1
        crowd.leave.set()


async def test_many_greedy_organizations_together_leave_places_to_one_more() -> None:
    async with asyncio.TaskGroup() as tasks:
        crowd = Crowd(Shares(), tasks)
        for number in range(SERVERS.total // 2 - 1):
            for host in range(9):
                await crowd.come(3, f"org-{number}", f"{number}.{host}.example")
        assert len(crowd.inside) < SERVERS.total
        assert await crowd.come(1, "acme", "git.example") == 1
        crowd.leave.set()


async def test_there_are_never_more_than_the_total_and_all_get_their_turn() -> None:
    shares, most = Shares(Most(total=4, organization=3, host=4, both=3)), 0
    inside = 0

    async def work(organization: str) -> None:
        nonlocal inside, most
        async with shares.place(organization):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(work(f"org-{number % 7}"))
    assert most == 4


async def test_who_stops_waiting_takes_no_place_away() -> None:
    shares = Shares(Most(total=2, organization=1, host=2, both=1))
    async with asyncio.TaskGroup() as tasks:
        crowd = Crowd(shares, tasks)
        assert await crowd.come(3, "acme") == 1
        crowd.running[1].cancel()
        await _settle()
        crowd.leave.set()
        await _settle()
        assert crowd.inside == ["acme", "acme"]
        assert await crowd.come(1, "acme") == 1


async def test_a_place_given_in_the_moment_of_a_cancellation_comes_back() -> None:
    shares = Shares(Most(total=1, organization=1, host=1, both=1))
    await shares.take("acme")
    async with asyncio.TaskGroup() as tasks:
        crowd = Crowd(shares, tasks)
        await crowd.come(1, "acme")
        shares.give_back("acme")
        crowd.running[0].cancel()  # it has its place by now, and does not know
        await _settle()
        assert crowd.inside == []
        assert await crowd.come(1, "other") == 1
        crowd.leave.set()


async def test_a_seat_is_others_while_it_is_left() -> None:
    shares = Shares(Most(total=1, organization=1, host=1, both=1))
    seat = Seat(shares, "acme")
    async with asyncio.TaskGroup() as tasks, seat.held():
        crowd = Crowd(shares, tasks)
        assert await crowd.come(1, "other") == 0
        async with seat.left():
            await _settle()
            assert crowd.inside == ["other"]
            crowd.leave.set()
        assert await crowd.come(1, "other") == 0


async def test_a_seat_cancelled_while_it_is_waited_for_again_gives_nothing_back_twice() -> None:
    shares = Shares(Most(total=1, organization=1, host=1, both=1))
    seat, went = Seat(shares, "acme"), asyncio.Event()

    async def work() -> None:
        async with seat.held(), seat.left():
            went.set()

    async with asyncio.TaskGroup() as tasks:
        crowd = Crowd(shares, tasks)
        task = tasks.create_task(work())
        await crowd.come(1, "other")
        assert task.done() or went.is_set()
        task.cancel()
        crowd.leave.set()
    async with asyncio.TaskGroup() as tasks:
        crowd = Crowd(shares, tasks)
        assert await crowd.come(1, "acme") == 1
        assert await crowd.come(1, "other") == 0
        crowd.leave.set()
