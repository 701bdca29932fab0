"""How it is said that a pod could not be made ready, and who translates into that.

* NotPreparedError   -- reason and sentence for the user, and whether trying again can help
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from runner.drivers.errors import DriverError

_REASONS: Final = {
    "NotAllowed": "RepositoryNotAllowed",
    "SandboxRefused": "SandboxUnavailable",
    "CheckoutFailed": "CloneFailed",
    "SaveFailed": "TeardownFailed",
    "WorktreeLost": "StartFailed",
    "InvalidAgent": "StartFailed",
    "DriverFailed": "StartFailed",
}
"""Reasons of drivers in the words that conditions use; others are the same."""

_Result = TypeVar("_Result")


class NotPreparedError(Exception):
    """A pod could not be made ready, or not be cleared away."""

    def __init__(self, reason: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = retryable


async def in_thread(work: Callable[[], _Result]) -> _Result:
    """Do blocking work; when cancelled, still wait for its end: nothing is made afterwards."""
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait({future})
        raise


@contextlib.contextmanager
def translated(reason: str = "") -> Iterator[None]:
    """Say in one kind of error what drivers and the system say in theirs."""
    try:
        yield
    except DriverError as exc:
        said = reason or _REASONS.get(exc.reason, exc.reason)
        raise NotPreparedError(said, exc.message, retryable=exc.retryable) from exc
    except OSError as exc:
        place = f" ({exc.filename})" if exc.filename else ""
        text = f"The runner's disk does not take it: {exc.strerror or exc}{place}."
        raise NotPreparedError(reason or "StartFailed", text, retryable=True) from exc
    except ValueError as exc:
        said = reason or "StartFailed"
        raise NotPreparedError(said, f"The pod cannot be started: {exc}.", retryable=False) from exc
