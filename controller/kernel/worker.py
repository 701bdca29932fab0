"""Takes keys from the queue and reconciles them: one order for all kinds, status exactly once."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final, Protocol

from controller.kernel.alarm import WriteAlarm
from controller.kernel.clock import stamp, wall
from controller.kernel.events import About, Recorder
from controller.kernel.executor import Executor
from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.reconciler import ReconcileError, Reconciler, Waiting, earliest
from controller.kernel.redact import redact
from controller.kernel.reporter import Reporter
from controller.kernel.store import Store
from controller.kube.errors import Conflict, KubeError, NotFound, Unavailable
from schemas.base import Object, Status
from schemas.conditions import READY, UNKNOWN, condition, merge
from schemas.names import ANNOTATION_RECONCILE, Resource

logger = logging.getLogger(__name__)

_TOLERATED_FAILURES: Final = 3
"""An unknown error is told in the status when it has happened this often in a row."""


class Client(Protocol):
    """What the kernel needs of the API client."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object."""
        ...

    async def create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        """Create the object."""
        ...

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: dict[str, Any],
        *,
        subresource: str = "",
    ) -> dict[str, Any]:
        """Merge a patch into the object."""
        ...

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete the object."""
        ...


class Kernel:
    """Works off a queue of keys with the reconcilers of their kinds."""

    def __init__(  # noqa: PLR0913 - the parts, by name
        self,
        *,
        kube: Client,
        store: Store,
        queue: WorkQueue,
        recorder: Recorder,
        reconcilers: Iterable[Reconciler],
        alarm: WriteAlarm | None = None,
    ) -> None:
        self._kube = kube
        self._store = store
        self._queue = queue
        self._recorder = recorder
        self._reconcilers = {reconciler.kind: reconciler for reconciler in reconcilers}
        self._alarm = alarm or WriteAlarm()
        self._executor = Executor(kube, store, recorder, self._wrote)
        self._reporter = Reporter(kube, store, self._wrote)

    async def run(self, workers: int, gate: asyncio.Event) -> None:
        """Work until cancelled, on so many keys at the same time, while *gate* is set."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(self._work(gate))

    async def _work(self, gate: asyncio.Event) -> None:
        while True:
            key = await self._queue.take()
            try:
                await gate.wait()
                await self._handle(key)
            finally:
                self._queue.done(key)
            await asyncio.sleep(0)  # a pass that needs no answer must not keep others waiting

    async def _handle(self, key: Key) -> None:
        """Reconcile once and decide when to look again. Nothing that goes wrong gets out."""
        try:
            recheck = await self._cycle(key)
        except (Conflict, NotFound) as exc:
            level = (
                logging.WARNING
                if self._queue.failures(key) >= _TOLERATED_FAILURES
                else logging.DEBUG
            )
            logger.log(level, "look again", extra={"key": key.path, "reason": str(exc)})
            await self._look_again(key)
        except Unavailable as exc:
            delay = self._queue.retry(key)
            logger.warning(
                "API server unavailable",
                extra={"key": key.path, "reason": str(exc), "retry_seconds": round(delay, 3)},
            )
        except Exception as exc:  # noqa: BLE001 - a bug in one object must not stop the others
            await self._failed(key, exc)
        else:
            self._queue.forget(key)
            if recheck is not None:
                self._queue.add_after(key, recheck)

    async def _cycle(self, key: Key) -> float | None:
        """Observe, plan, carry out, report; return after how many seconds to look again."""
        reconciler = self._reconcilers[key.kind]
        snapshot = await reconciler.observe(key)
        if snapshot is None:
            return None
        subject: Object = snapshot.subject
        if subject.metadata.annotations.get(ANNOTATION_RECONCILE) == "disabled":
            return None
        publish, recheck = True, None
        error: ReconcileError | None = None
        try:
            plan = reconciler.plan(snapshot, wall())
            publish, recheck = plan.publish, plan.recheck_after_seconds
            await self._executor.apply(key, plan.changes)
        except Waiting as exc:
            error, recheck = exc, exc.delay_seconds
        except ReconcileError as exc:
            error = exc
        if not publish:
            return recheck
        report = reconciler.status(snapshot, error, wall())
        if report.hold_seconds > 0:
            return earliest(recheck, report.hold_seconds, report.recheck_after_seconds)
        if await self._reporter.publish(key, subject, report.status):
            for note in report.tells:
                self._executor.tell(note)
        return earliest(recheck, report.recheck_after_seconds)

    async def _look_again(self, key: Key) -> None:
        """Somebody was faster than our view: read the object and start over."""
        self._queue.retry(key)
        if key.kind not in self._store.kinds():
            return
        collection = self._store.named(key.kind)
        stale = collection.get(key.namespace, key.name)
        if stale is None:
            return
        resource = stale.definition.resource
        try:
            self._store.apply(key.kind, await self._kube.get(resource, key.namespace, key.name))
        except NotFound:
            self._store.remove(key.kind, stale.metadata.uid)
        except KubeError as exc:
            logger.warning("could not look again", extra={"key": key.path, "reason": str(exc)})

    async def _failed(self, key: Key, exc: Exception) -> None:
        """Log a failure that nobody foresaw, back off, and tell it where it stays."""
        delay = self._queue.retry(key)
        logger.error(
            "reconciliation failed",
            extra={"key": key.path, "retry_seconds": round(delay, 3)},
            exc_info=exc,
        )
        if self._queue.failures(key) != _TOLERATED_FAILURES or key.kind not in self._store.kinds():
            return
        subject = self._store.named(key.kind).get(key.namespace, key.name)
        if subject is None:
            return
        try:
            await self._reporter.publish(key, subject, _internal_error(subject, exc))
        except KubeError as publishing:
            logger.warning("not told", extra={"key": key.path, "reason": str(publishing)})

    def _wrote(self, key: Key) -> None:
        if not self._alarm.note(key) or key.kind not in self._store.kinds():
            return
        subject = self._store.named(key.kind).get(key.namespace, key.name)
        message = "written more than 20 times in a minute: its status does not settle"
        logger.error("write alarm", extra={"key": key.path, "reason": "StatusNotSettling"})
        if subject is not None:
            metadata = subject.metadata
            about = About(
                subject.definition.resource, metadata.namespace, metadata.name, metadata.uid
            )
            self._recorder.event(about, warning=True, reason="StatusNotSettling", message=message)


def _internal_error(subject: Object, exc: Exception) -> Status:
    """Return the present status of *subject* with Ready=Unknown because of *exc*."""
    current: Status = getattr(subject, "status", Status())
    told = condition(
        READY,
        UNKNOWN,
        "InternalError",
        redact(f"the controller failed on it and tries again: {type(exc).__name__}: {exc}"),
        generation=subject.metadata.generation,
        now=stamp(wall()),
    )
    others = tuple(item for item in current.conditions if item.type != READY)
    return current.model_copy(update={"conditions": merge(current.conditions, (*others, told))})
