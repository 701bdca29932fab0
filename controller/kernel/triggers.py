"""Watches through kopf, and the only file that imports it.

One ``on.event`` handler per kind, nothing else: it writes nothing to the API, adds no finalizer and
no annotation, and is never retried, so it does one thing: hand the event over.

kopf runs on an event loop of its own in a thread of its own. Where it ends (a watch error that is
not a 410) it cancels every task of its loop and installs signal handlers when it may; ours must
not be among them: runners' streams live through it. It is then started anew, with backoff.
"""

import asyncio
import collections
import contextlib
import functools
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import kopf
from typing_extensions import override

from controller.kernel.redact import redact
from controller.kernel.store import Store
from controller.kube.access import Access
from schemas.names import GROUP, Resource

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS: Final = 0.5
_LAST_PAUSE_SECONDS: Final = 30.0
_STEADY_SECONDS: Final = 60.0
"""A run at least this long was a good one: the next pause is short again."""
_STOP_SECONDS: Final = 10.0
_AT_ONCE: Final = 32
"""So many events are taken before the main loop looks after others."""
_SOON_SECONDS: Final = 0.01

Take = Callable[[str, str | None, dict[str, Any]], None]
"""What is called for each event, on the main loop: kind, type (None: listed), object."""


class Watches:
    """Watches the given kinds in all namespaces for as long as ``run`` runs."""

    def __init__(
        self,
        access: Access,
        store: Store,
        resources: Iterable[Resource],
        relisted: Callable[[], None],
    ) -> None:
        self._access = access
        self._store = store
        self._resources = tuple(resources)
        self._relisted = relisted
        self._watching: set[str] = set()
        self.restarts = 0
        """How often kopf had to be started again."""

    async def run(self) -> None:
        """Watch until cancelled; whatever happens to kopf, it is started again."""
        pause = _FIRST_PAUSE_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._watching.clear()
            run = _Run(self._credentials, self._resources, self._take)
            reason = await run.until_it_ends()
            self.restarts += 1
            self._relisted()
            if loop.time() - began > _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            delay = random.uniform(pause / 2, pause)  # noqa: S311 - no secret
            logger.warning(
                "watches ended and are started again",
                extra={"reason": reason, "retry_seconds": round(delay, 3)},
            )
            await asyncio.sleep(delay)
            pause = min(pause * 2, _LAST_PAUSE_SECONDS)

    def _take(self, kind: str, event: str | None, manifest: dict[str, Any]) -> None:
        """Put one event into the store; whoever listens to it adds keys to the queue."""
        uid = str((manifest.get("metadata") or {}).get("uid") or "")
        if event == "DELETED":
            self._watching.discard(uid)
            self._store.remove(kind, uid)
            return
        if event is None and uid in self._watching:
            self._relisted()  # listed a second time: the watch was broken
        self._watching.add(uid)
        self._store.apply(kind, manifest)

    async def _credentials(self) -> kopf.ConnectionInfo:
        """Return how kopf reaches the API server: as our own client does, read anew.

        Raises:
            Misconfigured: The kubeconfig cannot be used.
        """
        access = self._access.again()
        await access.load()
        configuration = access.configuration
        scheme, _, token = (await access.authorization()).partition(" ")
        return kopf.ConnectionInfo(
            server=str(configuration.host),
            ca_path=configuration.ssl_ca_cert,
            ca_data=configuration.ca_cert_data,
            insecure=not configuration.verify_ssl,
            scheme=scheme or None,
            token=token or None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            proxy_url=configuration.proxy,
            trust_env=True,
        )


class _Run:
    """One life of kopf's operator, on its own loop in its own thread."""

    def __init__(
        self,
        credentials: Callable[[], Awaitable[kopf.ConnectionInfo]],
        resources: Iterable[Resource],
        take: Take,
    ) -> None:
        self._credentials = credentials
        self._resources = resources
        self._main = asyncio.get_running_loop()
        self._ended: asyncio.Future[str] = self._main.create_future()
        self._stop: Callable[[], object] = lambda: None
        self._events = Events(self._main, take)

    async def until_it_ends(self) -> str:
        """Run and return why it ended; on cancellation stop it first."""
        # A daemon thread: a kopf that hangs while stopping must not keep the process alive.
        thread = threading.Thread(target=self._thread, name="kopf", daemon=True)
        thread.start()
        try:
            return await asyncio.shield(self._ended)
        finally:
            self._stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await asyncio.shield(self._ended)

    def _thread(self) -> None:
        try:
            asyncio.run(self._operate())
            reason = "kopf stopped"
        except Exception as exc:  # noqa: BLE001 - whatever ends kopf, the watches must go on
            reason = f"{type(exc).__name__}: {exc}"
        with contextlib.suppress(RuntimeError):  # the main loop may be closed already
            self._main.call_soon_threadsafe(self._finish, redact(reason))

    def _finish(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    async def _operate(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        self._stop = functools.partial(_call, loop, stop.set)
        await kopf.operator(
            registry=self._registry(),
            settings=_settings(),
            clusterwide=True,
            standalone=True,
            stop_flag=stop,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        """Return a registry of our own: one handler per kind, and who we are."""
        registry = kopf.OperatorRegistry()

        async def login(**_: Any) -> kopf.ConnectionInfo:
            return await self._credentials()

        kopf.on.login(registry=registry)(login)
        for resource in self._resources:
            handler = functools.partial(self._on_event, resource.kind)
            kopf.on.event(
                resource.group, resource.version, resource.plural, id="event", registry=registry
            )(handler)
        return registry

    async def _on_event(self, kind: str, /, *, event: Any, **_: Any) -> None:
        """Hand the event to the main loop; never wait, never fail."""
        manifest = dict(event["object"])
        self._events.put(kind, event["type"], manifest)


class Events:
    """Carries events from kopf's thread to the main loop, which is woken once for many."""

    def __init__(self, main: asyncio.AbstractEventLoop, take: Take) -> None:
        self._main = main
        self._take = take
        self._waiting: collections.deque[tuple[str, str | None, dict[str, Any]]] = (
            collections.deque()
        )
        self._woken = threading.Event()
        """Set while the main loop is about to look."""

    def put(self, kind: str, event: str | None, manifest: dict[str, Any]) -> None:
        """Have the main loop take the event after all earlier ones. From any thread."""
        self._waiting.append((kind, event, manifest))
        if not self._woken.is_set():
            self._woken.set()
            with contextlib.suppress(RuntimeError):  # the main loop is closing
                self._main.call_soon_threadsafe(self._some)

    def _some(self) -> None:
        """Take some events; others may have their turn before the rest.

        While they come thick and fast they are looked for, so that nobody has to wake us.
        """
        some = min(len(self._waiting), _AT_ONCE)
        try:
            for _ in range(some):
                self._take(*self._waiting.popleft())
        finally:
            if self._waiting:
                self._main.call_soon(self._some)
            elif some:
                self._main.call_later(_SOON_SECONDS, self._some)
            else:
                self._woken.clear()  # what is put from here on wakes us again
                if self._waiting:
                    self._woken.set()
                    self._main.call_soon(self._some)


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # it has ended by itself
        loop.call_soon_threadsafe(callback)


def _settings() -> kopf.OperatorSettings:
    """Return settings for an operator that only watches (design of the controller, 1.5)."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.queueing.idle_timeout = 0.1
    settings.queueing.exit_timeout = 5
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 290 + random.randint(0, 60)  # noqa: S311 - no secret
    settings.watching.client_timeout = settings.watching.server_timeout + 30
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 70
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.enforce_retry_after = True
    settings.execution.max_workers = 2  # nothing of ours runs in its executor
    # It would kill its thread, and with it the process, when a restart takes long.
    settings.process.ultimate_exiting_timeout = None
    # Never used by us; set so that an accidental high-level handler cannot collide with others.
    settings.persistence.finalizer = f"{GROUP}/kopf"
    prefix = f"kopf.{GROUP}"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=prefix)
    settings.persistence.diffbase_storage = _Unremembered()
    return settings


class _Unremembered(kopf.DiffBaseStorage):
    """Remembers no state of objects: who only watches compares nothing.

    Whatever the handlers, kopf asks for it with each event, and else copies the whole object.
    """

    @override
    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    @override
    def fetch(self, *, body: Any) -> None:
        return None

    @override
    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        pass
