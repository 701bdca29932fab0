"""How fast calls may come, and how much one pod may leave behind: nobody crowds out the others.

A runner keeps its pods within limits of its own; a runner that does not is slowed here. Who is too
fast waits; only who would wait longer than a call may take is refused.
"""

import asyncio
import functools
import time
from collections.abc import Callable
from typing import Any, Final

from controller.kernel.store import Store
from controller.placement.indexes import CREATED_BY
from controller.tools.call import Caller, Handler, ToolError
from schemas.base import Object
from schemas.tools.base import Category, Result, Tool

RUNNER_CALLS_PER_SECOND: Final = 400.0
RUNNER_BURST: Final = 800
"""Calls of one runner: more than 200 busy pods make."""

CHANGES_PER_SECOND: Final = 5.0
CHANGES_BURST: Final = 200
"""Calls of one pod that leave something behind. Typing into terminals does not."""

LONGEST_WAIT_SECONDS: Final = 20.0

CHANNELS_PER_POD: Final = 100
TICKETS_PER_POD: Final = 1000
"""So many that a pod made may be there at a time."""

_REMEMBERED: Final = 4096


class Rate:
    """Calls per second by key, with bursts. Source: generic cell rate algorithm (ITU-T I.371)."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._interval = 1.0 / per_second
        self._allowance = self._interval * (burst - 1)
        self._full_at: dict[str, float] = {}
        """When each key has its whole burst again."""

    def delay(self, key: str, now: float) -> float:
        """Return how long the next call of the key has to wait, in seconds; it counts."""
        full_at = max(self._full_at.get(key, now), now)
        wait = max(0.0, full_at - self._allowance - now)
        if wait <= LONGEST_WAIT_SECONDS:
            self._full_at[key] = full_at + self._interval
            self._forget(now)
        return wait

    def _forget(self, now: float) -> None:
        if len(self._full_at) > _REMEMBERED:
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}


class Pace:
    """Slows down runners and pods that call faster than is good for the others."""

    def __init__(self, *, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._runners = Rate(RUNNER_CALLS_PER_SECOND, RUNNER_BURST)
        self._pods = Rate(CHANGES_PER_SECOND, CHANGES_BURST)

    async def runner(self, uid: str) -> None:
        """Wait until the runner may bring its next call. Raises ToolError if it is far too fast."""
        await self._wait(self._runners.delay(uid, self._ticks()), "your runner brings more calls")

    async def pod(self, uid: str, tool: Tool) -> None:
        """Wait until the pod may call the tool. Raises ToolError if it is far too fast."""
        if not tool.read_only and tool.category is not Category.TERMINAL:
            await self._wait(self._pods.delay(uid, self._ticks()), "you change more")

    async def _wait(self, seconds: float, who: str) -> None:
        if seconds > LONGEST_WAIT_SECONDS:
            raise ToolError("LimitExceeded", f"{who} than is carried out: call more slowly")
        if seconds > 0:
            await asyncio.sleep(seconds)


def bounded(store: Store, kind: type[Object], most: int, handler: Handler) -> Handler:
    """Return *handler*, refused to a pod that has made *most* objects of the kind already."""
    made = store.of(kind)
    what = f"{kind.definition.resource.kind}s"

    @functools.wraps(handler)
    async def checked(caller: Caller, arguments: Any) -> Result:
        if made.count(CREATED_BY, caller.uid) >= most:
            raise ToolError(
                "LimitExceeded",
                f"you have made {most} {what}, and no pod may have more: use one that is there, or "
                "ask a person to delete some",
            )
        return await handler(caller, arguments)

    return checked
