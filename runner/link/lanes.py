"""How much is asked of the terminals at once: each pod has lanes of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

LOOKS_AT_ONCE: Final = 64
"""Of one runner. Looks cost memory and processor time, and end by themselves."""

PER_POD_AT_ONCE: Final = 8
"""Looks at one pod; and, counted apart, inputs to it."""


class Lanes:
    """Lets asks in as they came, so many at once; the rest wait.

    Inputs have no limit over all pods: one waits for a program that does not read, and pods that
    do not read must not keep others from being typed into. Nor do they stand before a look.
    """

    def __init__(self) -> None:
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._pods: WeakValueDictionary[tuple[str, bool], asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def enter(self, uid: str, *, look: bool) -> AsyncIterator[None]:
        """Wait for a place; it is given back at the end of the block."""
        pod = self._pods.setdefault((uid, look), asyncio.Semaphore(PER_POD_AT_ONCE))
        async with pod:
            if not look:
                yield
                return
            async with self._looks:
                yield
