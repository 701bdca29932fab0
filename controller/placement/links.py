"""Which runners are connected, since when, and what they said of themselves."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from controller.placement.programs import NOTHING, Programs

GRACE_SECONDS: Final = 10.0
"""A runner that has lost its connection may be back within this time: nothing is written."""
SILENCE_SECONDS: Final = 40.0
"""A runner that says nothing for so long is unreachable, connected or not. Also after our own
start: so long has every runner to find us again."""


class Reach(StrEnum):
    """Whether a runner can be reached."""

    CONNECTED = "connected"
    WAITING = "waiting"
    """Not connected, but not for long: whatever was said last still holds."""
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class About:
    """What a runner said of itself since it connected."""

    version: str
    os: str
    arch: str
    hostname: str
    isolations: tuple[str, ...]
    max_pods: int | None
    """What its owner allows; None = no limit."""
    protocol: int
    looks: bool = False
    """Whether it looks for agents and says what it found. Older runners do not."""
    programs: Programs = NOTHING
    """What it found; nothing of what it has not looked for yet."""
    limits: tuple[tuple[str, str], ...] = ()
    """What keeps each limit of a pod there; nothing from older runners."""


@dataclass(frozen=True, slots=True)
class Link:
    """The connection of one runner."""

    connected: bool
    heard: float
    """When it last said something, by our monotonic clock."""
    about: About | None


class Links:
    """The connections of all runners, by uid."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._links: dict[str, Link] = {}

    def connected(self, uid: str, about: About) -> None:
        """Note that the runner has a session. What it found before counts until it says anew."""
        if about.looks and (last := self.about(uid)) is not None and last.looks:
            about = replace(about, programs=last.programs)
        self._links[uid] = Link(connected=True, heard=self._clock(), about=about)

    def heartbeat(self, uid: str) -> None:
        """Note that the runner is alive."""
        if link := self._links.get(uid):
            self._links[uid] = replace(link, heard=self._clock())

    def found(self, uid: str, programs: Programs) -> bool:
        """Note what agents the runner has; return whether that is news."""
        link = self._links.get(uid)
        if link is None or link.about is None or link.about.programs == programs:
            return False
        self._links[uid] = replace(link, about=replace(link.about, programs=programs))
        return True

    def disconnected(self, uid: str) -> None:
        """Note that the runner's last session has ended."""
        if link := self._links.get(uid):
            self._links[uid] = replace(link, connected=False, heard=self._clock())

    def forget(self, uid: str) -> None:
        """Forget a runner that is no more."""
        self._links.pop(uid, None)

    def about(self, uid: str) -> About | None:
        """Return what the runner last said of itself, None if it has not been here."""
        link = self._links.get(uid)
        return link.about if link else None

    def alive(self, uid: str, within_seconds: float) -> bool:
        """Whether the runner is connected and was heard within that time."""
        link = self._links.get(uid)
        return link is not None and link.connected and self._ago(link.heard) <= within_seconds

    def reach(self, uid: str) -> tuple[Reach, float | None]:
        """Return whether the runner can be reached, and after how many seconds to ask again."""
        link = self._links.get(uid)
        if link is None:
            return self._until(SILENCE_SECONDS - self._ago(self._began))
        if link.connected and self._ago(link.heard) <= SILENCE_SECONDS:
            return Reach.CONNECTED, None
        if link.connected:
            return Reach.UNREACHABLE, None
        return self._until(GRACE_SECONDS - self._ago(link.heard))

    def _until(self, left: float) -> tuple[Reach, float | None]:
        return (Reach.WAITING, left + 0.05) if left > 0 else (Reach.UNREACHABLE, None)

    def _ago(self, moment: float) -> float:
        return self._clock() - moment
