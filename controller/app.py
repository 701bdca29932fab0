"""The composition root: makes the parts, wires them, runs them in one TaskGroup.

In order: API server, CRDs, CA, leadership, the message store, watches, a full store, ports,
reconcilers. No runner is told anything and no object is judged before the store holds everything.
"""

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from controller import garbage, gitset, logs
from controller.bootstrap import prepare
from controller.directory import DirectoryTaken, identity, lock
from controller.gitops.database import DatabaseError
from controller.gitops.sources import Sources
from controller.gitops.webhook import ListenError, Webhooks
from controller.gitops.writeback.journal import JournalError
from controller.kernel.events import Recorder
from controller.kernel.key import Key
from controller.kernel.lease import Leadership, LeadershipLost
from controller.kernel.queue import WorkQueue
from controller.kernel.redact import redact
from controller.kernel.sweep import Sweep
from controller.kernel.triggers import Watches
from controller.kernel.worker import Kernel
from controller.kube.client import Kube
from controller.kube.errors import KubeError, NotFound, Unavailable
from controller.pki.authority import Authority, AuthoritySettings
from controller.pki.errors import PkiError
from controller.placement.fleet import Fleet, RunnerRegistry
from controller.placement.indexes import new_store
from controller.placement.leases import RunnerLeases
from controller.placement.scheduler import Scheduler
from controller.placement.surroundings import Surroundings
from controller.reconcilers.catalogue import reconcilers
from controller.reconcilers.cooperation import Cooperation
from controller.reconcilers.routing import Routing
from controller.rpc.gateway import Gateway, GatewaySettings, PortTaken
from controller.services.notification_sender import Sender
from controller.services.notifications import Notifications
from controller.services.ticket_runs import TicketRuns
from controller.services.ticket_work import TicketWork
from controller.settings import Settings
from controller.store.errors import OpenError
from controller.store.messages import MessageStore
from controller.store.open import StoreSettings, opened
from controller.toolset import Toolset
from schemas.names import CONTROLLER_NAMESPACE, ORGANIZATION, OURS

logger = logging.getLogger(__name__)

PORTS_FILE: Final = "ports.json"
MESSAGES_FILE: Final = "messages.db"
_LEASE: Final = "agentsmesh-controller"
_FIRST_PAUSE_SECONDS: Final = 0.1
_LAST_PAUSE_SECONDS: Final = 10.0
_PR_SET_DUMPABLE: Final = 4  # Source: prctl(2)

T = TypeVar("T")


class StartError(Exception):
    """The controller cannot run (any more); the text is the sentence for the user."""


def run(settings: Settings) -> None:
    """Run the controller until it is told to stop.

    Raises:
        StartError: It cannot run; the reason is in the log as well.
    """
    _hide_memory()
    try:
        lock(settings.data_dir)
        (settings.data_dir / PORTS_FILE).unlink(missing_ok=True)
        logs.start(settings.log_file)
    except DirectoryTaken as exc:
        raise StartError(str(exc)) from exc
    except OSError as exc:
        where = exc.filename or settings.data_dir
        raise StartError(f"cannot write {where}: {exc.strerror or exc}") from exc
    garbage.calm()
    try:
        with _told():
            asyncio.run(serve(settings))
    except StartError as exc:
        logger.error("stopped", extra={"reason": str(exc)})  # noqa: TRY400 - a sentence says it all
        raise


async def serve(settings: Settings) -> None:
    """Run everything until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Kube.open(settings.kubeconfig) as kube, asyncio.TaskGroup() as tasks:
        controller = tasks.create_task(Controller(settings, kube).run())
        stopping = tasks.create_task(stop.wait())
        collecting = tasks.create_task(garbage.run())
        await asyncio.wait({controller, stopping}, return_when=asyncio.FIRST_COMPLETED)
        logger.info("stopping")
        for task in (controller, stopping, collecting):
            task.cancel()


class Controller:
    """All parts, and the order in which they start and stop."""

    def __init__(self, settings: Settings, kube: Kube) -> None:
        self._settings = settings
        self._kube = kube
        self._epoch = 0
        self._store = new_store()
        self._queue = WorkQueue()
        self._recorder = Recorder(kube)
        self._fleet = Fleet(self._store, self._queue, kube)
        self._scheduler = Scheduler(Surroundings(self._store, self._fleet.links))
        self._routing = Routing(self._store, self._queue, self._scheduler)
        self._cooperation = Cooperation(self._store, self._queue)
        self._sweep = Sweep(
            kube,
            self._store,
            interval_seconds=settings.sweep_seconds,
            after_relist_seconds=settings.relist_seconds,
        )
        self._authority = Authority(
            kube,
            AuthoritySettings(leaf_lifetime=timedelta(seconds=settings.leaf_lifetime_seconds)),
        )
        self._leadership = Leadership(
            kube,
            namespace=CONTROLLER_NAMESPACE,
            name=_LEASE,
            identity=identity(settings.data_dir),
        )

    async def run(self) -> None:
        """Start in order, run until cancelled, take leave."""
        await patiently("the API server", self._kube.version)
        await patiently("CRDs and roles", self._prepare)
        await patiently("the certificate authority", self._authority.refresh)
        self._epoch = await self._leadership.acquire()
        self._fleet.lead(self._epoch)
        try:
            messages = await opened(store_settings(self._settings))
            try:
                await self._lead(messages)
            finally:
                await messages.close()
        finally:
            await self._leadership.release()

    async def _prepare(self) -> None:
        await prepare(self._kube)

    async def _lead(self, messages: MessageStore) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._leadership.hold())
            tasks.create_task(self._recorder.run())
            tasks.create_task(self._authority.run())
            watches = Watches(self._kube.access, self._store, OURS, self._sweep.ask)
            tasks.create_task(watches.run())
            await patiently("a list of everything", self._sweep.once)
            self._fleet.synced()
            tasks.create_task(self._sweep.run())
            async with self._git() as (sources, writing):
                await self._serve(tasks, messages, sources, writing)

    @contextlib.asynccontextmanager
    async def _git(self) -> AsyncIterator[tuple[Sources, gitset.Writing]]:
        """Give what keeps GitSources in step, and what writes back to them."""
        settings = gitset.GitSettings(
            self._settings.data_dir,
            self._settings.allow_local_repositories,
            self._settings.git_networks,
        )
        store, recorder, touch = self._store, self._recorder, self._queue.add
        async with (
            gitset.opened(
                settings,
                self._epoch,
                store=store,
                kube=self._kube,
                recorder=recorder,
                touch=touch,
            ) as sources,
            gitset.writing(
                settings, sources, store=store, recorder=recorder, touch=touch
            ) as writing,
        ):
            yield sources, writing

    async def _serve(
        self,
        tasks: asyncio.TaskGroup,
        messages: MessageStore,
        sources: Sources,
        writing: gitset.Writing,
    ) -> None:
        toolset = Toolset(
            kube=self._kube,
            store=self._store,
            fleet=self._fleet,
            recorder=self._recorder,
            messages=messages,
            touched=self._cooperation.touched,
            files=writing.files,
        )
        tasks.create_task(toolset.run())
        async with Sender(self._settings.webhook_networks) as sender:
            notifications = Notifications(self._store, messages, self._kube, sender, self._touch)
            tasks.create_task(notifications.run())
            await self._open(tasks, messages, toolset, notifications, sources, writing)

    def _touch(self, organization: str) -> None:
        self._queue.add(Key(ORGANIZATION.kind, "", organization))

    async def _open(
        self,
        tasks: asyncio.TaskGroup,
        messages: MessageStore,
        toolset: Toolset,
        notifications: Notifications,
        sources: Sources,
        writing: gitset.Writing,
    ) -> None:
        """Open the ports and reconcile, until cancelled."""
        gateway = Gateway(
            GatewaySettings(
                runner_listen=self._settings.runner_listen,
                public_listen=self._settings.public_listen,
                advertise_host=self._settings.advertise_host,
            ),
            self._authority,
            objects=self._kube,
            reviews=self._kube,
            registry=RunnerRegistry(self._fleet),
            placement=self._fleet,
            recorder=self._recorder,
            tools=toolset.services,
        )
        ports = await gateway.start()
        webhooks, listen = Webhooks(self._store, self._kube, sources), self._settings.webhook_listen
        try:
            told = {"runner": ports.runner, "public": ports.public}
            if listen:
                told["webhooks"] = await webhooks.start(listen)
            await asyncio.to_thread(_announce, self._settings.data_dir, told)
            leases = RunnerLeases(self._kube, self._store, self._fleet.links)
            tasks.create_task(leases.run(self._leadership.sure))
            kernel = self._kernel(gateway, messages, notifications, sources, toolset, writing)
            tasks.create_task(sources.run())
            tasks.create_task(writing.run())
            await kernel.run(self._settings.workers, self._leadership.sure)
        finally:
            await webhooks.stop()
            await gateway.stop()
            await self._recorder.drain(timeout_seconds=2)

    def _kernel(
        self,
        gateway: Gateway,
        messages: MessageStore,
        notifications: Notifications,
        sources: Sources,
        toolset: Toolset,
        writing: gitset.Writing,
    ) -> Kernel:
        claims, recorder = toolset.claims, self._recorder
        work = TicketWork(self._store, self._queue, claims, toolset.tickets, recorder)
        runs = TicketRuns(self._store, self._queue, self._kube, claims, recorder)

        def bundle() -> dict[str, str]:
            return {
                "ca.crt": self._authority.roots_pem.decode(),
                "publicEndpoint": gateway.public_endpoint,
                "runnerEndpoint": gateway.runner_endpoint,
            }

        kinds = reconcilers(
            kube=self._kube,
            store=self._store,
            fleet=self._fleet,
            scheduler=self._scheduler,
            bundle=bundle,
            local_repositories=bool(self._settings.allow_local_repositories),
            sources=sources,
            commits=writing.write_back,
            failing=notifications.failing,
        )
        return Kernel(
            kube=self._kube,
            store=self._store,
            queue=self._queue,
            recorder=self._recorder,
            reconcilers=[
                *kinds,
                *self._cooperation.reconcilers(messages, sources, runs, writing.write_back),
                work.reconciler(),
                runs.reconciler(),
                self._routing.reviews(),
            ],
        )


async def patiently(what: str, step: Callable[[], Awaitable[T]]) -> T:
    """Return the result of *step*, tried again for as long as the API server is unavailable."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await step()
        except (Unavailable, NotFound) as exc:  # NotFound: it does not serve the kind yet
            logger.warning("waiting for %s", what, extra={"reason": str(exc)})
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LAST_PAUSE_SECONDS)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what can end the controller into one sentence."""
    try:
        yield
    except* (
        KubeError,
        PkiError,
        PortTaken,
        LeadershipLost,
        OpenError,
        DatabaseError,
        JournalError,
        ListenError,
    ) as group:
        raise StartError(redact(str(_first(group)))) from group
    except* OSError as group:
        raise StartError(f"the system refused: {_first(group)}") from group


def store_settings(settings: Settings) -> StoreSettings:
    """Return where the messages are: in our data directory, if nothing else was said."""
    if settings.message_store_url_file is not None:
        return StoreSettings(url_file=settings.message_store_url_file)
    if settings.message_store_url:
        return StoreSettings(url=settings.message_store_url)
    return StoreSettings(path=settings.data_dir / MESSAGES_FILE)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _announce(folder: Path, ports: Mapping[str, int]) -> None:
    """Write the ports that are really bound, whole or not at all."""
    final = folder / PORTS_FILE
    draft = folder / f".{PORTS_FILE}.{os.getpid()}"
    draft.write_text(json.dumps(dict(ports)) + "\n")
    draft.chmod(0o600)
    draft.replace(final)


def _hide_memory() -> None:
    """Let no other process of the user read our memory: the CA's keys are in it."""
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
