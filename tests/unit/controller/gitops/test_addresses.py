"""A name server that hangs harms those who ask it."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from controller.gitops.addresses import pinned
from controller.gitops.shares import SERVERS
from gitaccess.places import Location

pytestmark = pytest.mark.anyio

_SECONDS = 30.0


async def test_names_that_are_not_answered_take_no_thread_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer, asked = threading.Event(), threading.Semaphore(0)

    def hang(*_: Any, **__: Any) -> list[Any]:
        asked.release()
        answer.wait(_SECONDS)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    async with asyncio.TaskGroup() as tasks:
        for number in range(SERVERS.total):
            place = Location(f"https://slow-{number}.example/team.git", local=False)
            tasks.create_task(pinned(place, ()))
        try:
            async with asyncio.timeout(5):
                for _ in range(SERVERS.total):  # each in a thread: none waits for another
                    while not asked.acquire(blocking=False):
                        await asyncio.sleep(0.01)
                assert await asyncio.to_thread(lambda: True)
        finally:
            answer.set()
