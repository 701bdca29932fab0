"""Which pods must end because the controller was not heard for too long.

Somebody who gives a pod ``disconnect.stopAfterSeconds`` wants to be sure, without asking the
runner, that its agent has ended by then. So time is counted from when that was sent which the
controller answered last, by a clock that goes on while the machine sleeps, and over restarts of
the runner.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from meshwire.v1 import link_pb2

from runner.clock import boot_seconds
from runner.converge.journal import Journal, JournalError
from runner.converge.states import ALIVE

logger = logging.getLogger(__name__)

_META: Final = "fence"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Fence:
    """When the controller was last heard, and what that means for whom."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = boot_seconds) -> None:
        self._journal = journal
        self._clock = clock
        self._heard = clock()
        self._limits: dict[str, int] = {}

    def recall(self) -> None:
        """Take up from where an earlier process of this boot was, once the journal is open."""
        rows = [row for row in self._journal.rows.values() if row.state in ALIVE]
        limits = {row.uid: row.pod().stop_after_seconds for row in rows}
        heard, known = _read(self._journal.meta(_META))
        if heard is not None:
            self._heard = min(heard, self._clock())
            limits |= {row.uid: known[row.uid] for row in rows if row.uid in known}
        self._limits = {uid: seconds for uid, seconds in limits.items() if seconds}

    def see(self, pods: Iterable[link_pb2.PodDesired]) -> None:
        """Take the limits of all wanted pods; those of others are forgotten."""
        self._limits = {
            pod.ref.pod_uid: pod.stop_after_seconds for pod in pods if pod.stop_after_seconds
        }

    async def heard(self, sent_at: float) -> None:
        """Note that the controller answered what was sent then, by ``boot_seconds``."""
        self._heard = max(self._heard, sent_at)
        before = self._journal.meta(_META)
        if not self._limits and not before:
            return
        said = json.dumps({"boot": _boot_id(), "heard": self._heard, "pods": self._limits})
        try:
            await self._journal.set_meta(_META, said if self._limits else "")
        except JournalError as exc:  # a runner that is started again would stop pods too early
            logger.warning("it is not written down when the controller was heard: %s", exc)

    def cut_off(self) -> frozenset[str]:
        """Return the pods that must have ended by now."""
        silence = self._clock() - self._heard
        return frozenset(uid for uid, limit in self._limits.items() if silence >= limit)

    def next_seconds(self) -> float:
        """Return in how many seconds another pod must have ended; a minute at most."""
        silence = self._clock() - self._heard
        left = (limit - silence for limit in self._limits.values() if limit > silence)
        return min(60.0, *left, 60.0)


def _read(text: str) -> tuple[float | None, Mapping[str, int]]:
    """Return what an earlier process wrote down, if it was in this boot of the machine."""
    try:
        found = json.loads(text) if text else {}
        if found.get("boot") == _boot_id() != "":
            return float(found["heard"]), dict(found["pods"])
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("what was written down of the controller's silence cannot be read")
    return None, {}


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
