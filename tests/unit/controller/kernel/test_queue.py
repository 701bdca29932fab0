"""The work queue has the semantics of client-go's."""

import asyncio

import pytest

from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue

pytestmark = pytest.mark.anyio

A = Key("Kind", "ns", "a")
B = Key("Kind", "ns", "b")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def take_now(queue: WorkQueue) -> Key | None:
    """Return the next key if one is ready, without waiting."""
    try:
        async with asyncio.timeout(0.01):
            return await queue.take()
    except TimeoutError:
        return None


async def test_a_key_that_is_added_twice_is_worked_once() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(A)
    assert await take_now(queue) == A
    queue.done(A)
    assert await take_now(queue) is None


async def test_keys_come_in_the_order_in_which_they_were_added() -> None:
    queue = WorkQueue()
    queue.add(B)
    queue.add(A)
    assert [await take_now(queue), await take_now(queue)] == [B, A]


async def test_a_key_that_is_worked_on_is_not_given_to_a_second_worker() -> None:
    queue = WorkQueue()
    queue.add(A)
    assert await take_now(queue) == A
    queue.add(A)
    assert await take_now(queue) is None


async def test_a_key_that_was_added_while_it_was_worked_on_is_worked_again() -> None:
    queue = WorkQueue()
    queue.add(A)
    await queue.take()
    queue.add(A)
    queue.done(A)
    assert await take_now(queue) == A


async def test_a_delayed_key_comes_when_it_is_due_and_not_before() -> None:
    clock = Clock()
    queue = WorkQueue(clock=clock)
    queue.add_after(A, 5)
    assert await take_now(queue) is None
    clock.now = 5.0
    assert await take_now(queue) == A


async def test_the_earlier_of_two_delays_counts() -> None:
    clock = Clock()
    queue = WorkQueue(clock=clock)
    queue.add_after(A, 5)
    queue.add_after(A, 1)
    queue.add_after(A, 9)
    clock.now = 1.0
    assert await take_now(queue) == A
    queue.done(A)
    clock.now = 100.0
    assert await take_now(queue) is None


async def test_a_key_added_at_once_need_not_come_again_when_its_delay_is_over() -> None:
    clock = Clock()
    queue = WorkQueue(clock=clock)
    queue.add_after(A, 5)
    queue.add(A)
    assert await take_now(queue) == A
    queue.done(A)
    clock.now = 6.0
    assert await take_now(queue) is None


async def test_a_waiting_worker_wakes_when_a_delay_is_over() -> None:
    queue = WorkQueue()
    queue.add_after(A, 0.02)
    async with asyncio.timeout(5):
        assert await queue.take() == A


async def test_backoff_grows_up_to_five_minutes_and_starts_anew_after_success() -> None:
    queue = WorkQueue(clock=Clock(), jitter=lambda _, ceiling: ceiling)
    delays = [queue.retry(A) for _ in range(20)]
    assert delays[:3] == [0.05, 0.1, 0.2]
    assert delays[-1] == 300.0
    queue.forget(A)
    assert queue.retry(A) == 0.05


async def test_backoff_is_per_key() -> None:
    queue = WorkQueue(clock=Clock(), jitter=lambda _, ceiling: ceiling)
    for _ in range(5):
        queue.retry(A)
    assert queue.retry(B) == 0.05
    assert (queue.failures(A), queue.failures(B)) == (5, 1)


async def test_two_workers_share_the_keys() -> None:
    queue = WorkQueue()
    seen: list[Key] = []

    async def work() -> None:
        while True:
            key = await queue.take()
            seen.append(key)
            await asyncio.sleep(0)
            queue.done(key)

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(work()) for _ in range(2)]
        keys = [Key("Kind", "ns", str(number)) for number in range(100)]
        for key in keys:
            queue.add(key)
        while not queue.idle:
            await asyncio.sleep(0)
        for worker in workers:
            worker.cancel()
    assert sorted(seen) == sorted(keys)
