"""Events for people: repeated ones are counted, floods are cut, secrets are taken out."""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from controller.kernel.clock import stamp, wall
from controller.kernel.redact import redact
from controller.kube.errors import AlreadyExists, KubeError, NotFound
from schemas.names import EVENT, FIELD_MANAGER, Resource

logger = logging.getLogger(__name__)

_TOGETHER_SECONDS: Final = 600.0
"""Events of one object and reason within this time are one Event with a count."""
_SPACING_SECONDS: Final = 1.0
_BURST: Final = 10
"""Per object: this many at once, then one a second."""
_WAITING: Final = 1000
_REMEMBERED: Final = 4096


class Writer(Protocol):
    """What the recorder needs of the API client."""

    async def create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        """Create the object."""
        ...

    async def patch(
        self, resource: Resource, namespace: str, name: str, patch: dict[str, Any]
    ) -> dict[str, Any]:
        """Merge a patch into the object."""
        ...


@dataclass(frozen=True, slots=True)
class About:
    """What an Event is about."""

    resource: Resource
    namespace: str
    name: str
    uid: str


class Subject(Protocol):
    """What an Event is about, as others may say it."""

    @property
    def resource(self) -> Resource:
        """Its kind."""
        ...

    @property
    def namespace(self) -> str:
        """Its namespace; empty for cluster-scoped objects."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def uid(self) -> str:
        """Its uid."""
        ...


@dataclass(slots=True)
class _Series:
    """One Event and how often it has happened."""

    name: str
    since: float
    count: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class _Note:
    about: Subject
    warning: bool
    reason: str
    message: str
    at: float


class Recorder:
    """Writes Events in the background. ``event`` neither waits nor raises."""

    def __init__(self, kube: Writer, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._waiting: asyncio.Queue[_Note] = asyncio.Queue(_WAITING)
        self._series: OrderedDict[tuple[str, str, str], _Series] = OrderedDict()
        self._allowance: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.dropped = 0
        """Events that were not written because there were too many."""

    def event(self, about: Subject, *, warning: bool, reason: str, message: str) -> None:
        """Note that something happened to the subject: CamelCase reason, one sentence."""
        if not self._allowed(about.uid):
            self.dropped += 1
            return
        note = _Note(about, warning, reason, redact(message), wall())
        try:
            self._waiting.put_nowait(note)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Write what was noted, until cancelled."""
        while True:
            note = await self._waiting.get()
            try:
                await self._write(note)
            except KubeError as exc:
                logger.warning("event not written", extra={"reason": note.reason, "why": str(exc)})
            finally:
                self._waiting.task_done()

    async def drain(self, timeout_seconds: float) -> None:
        """Return when everything noted so far is written, or after the timeout."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._waiting.join()
        except TimeoutError:
            return

    def _allowed(self, uid: str) -> bool:
        now = self._clock()
        left, at = self._allowance.pop(uid, (float(_BURST), now))
        left = min(float(_BURST), left + (now - at) / _SPACING_SECONDS)
        self._allowance[uid] = (max(0.0, left - 1), now)
        while len(self._allowance) > _REMEMBERED:
            self._allowance.popitem(last=False)
        return left >= 1

    async def _write(self, note: _Note) -> None:
        series = self._find(note)
        series.count += 1
        namespace = note.about.namespace or "default"
        if series.written:
            patch = {
                "count": series.count,
                "lastTimestamp": stamp(note.at),
                "message": note.message,
            }
            try:
                await self._kube.patch(EVENT, namespace, series.name, patch)
            except NotFound:
                series.written = 0  # the API server has let it expire
            else:
                series.written = series.count
                return
        try:
            await self._kube.create(EVENT, namespace, _manifest(note, series, namespace))
        except AlreadyExists:
            return
        series.written = series.count

    def _find(self, note: _Note) -> _Series:
        key = (note.about.uid, note.reason, note.about.name)
        series = self._series.get(key)
        if series is None or self._clock() - series.since > _TOGETHER_SECONDS:
            what = f"{note.about.uid}/{note.reason}/{note.at}"
            digest = hashlib.sha256(what.encode()).hexdigest()[:16]
            series = _Series(f"{note.about.name[:200]}.{digest}", self._clock())
            self._series[key] = series
        self._series.move_to_end(key)
        while len(self._series) > _REMEMBERED:
            self._series.popitem(last=False)
        return series


def _manifest(note: _Note, series: _Series, namespace: str) -> dict[str, Any]:
    involved = {
        "apiVersion": note.about.resource.api_version,
        "kind": note.about.resource.kind,
        "name": note.about.name,
        "uid": note.about.uid,
    }
    if note.about.namespace:
        involved["namespace"] = note.about.namespace
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": series.name, "namespace": namespace},
        "involvedObject": involved,
        "type": "Warning" if note.warning else "Normal",
        "reason": note.reason,
        "message": note.message,
        "count": series.count,
        "firstTimestamp": stamp(note.at),
        "lastTimestamp": stamp(note.at),
        "source": {"component": FIELD_MANAGER},
    }
