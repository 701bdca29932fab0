"""The runner's composition root: makes the parts, joins them, and ends them in order.

Ending the daemon ends no agent. Killing it at any moment is fine as well.
"""

import asyncio
import ctypes
import fcntl
import importlib.metadata
import logging
import os
import platform
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshwire.v1 import link_pb2

from runner import logs, own_modes
from runner.cancelling import cancelled
from runner.clock import wall_ms
from runner.converge.agents_found import AgentsFound
from runner.converge.agents_used import AgentsUsed
from runner.converge.cleaning import clean_groups
from runner.converge.custodian import Custodian
from runner.converge.deliveries import Deliveries
from runner.converge.journal import Journal, JournalError
from runner.converge.loop import Converger
from runner.converge.perform import Performer
from runner.converge.places import Places
from runner.converge.reports import Reports
from runner.converge.secrets import LinkSecrets
from runner.converge.setup import Setups
from runner.converge.states import Row
from runner.converge.workshop import Ground, Workshop
from runner.converge.worktree_conditions import worktree_conditions
from runner.drivers import descriptors
from runner.drivers.cgroups.cgroups import Cgroups
from runner.drivers.limits.keeping import keepers
from runner.drivers.sandbox.accounts import Accounts
from runner.drivers.sandbox.probe import probe
from runner.drivers.sandbox.values import Capabilities
from runner.drivers.sandbox.version import Room, VersionCommand
from runner.drivers.screen import Screen
from runner.drivers.terminal import Terminals
from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from runner.link.enrol import Door
from runner.link.identity import Identity, IdentityStore
from runner.link.keeper import Keeper
from runner.link.link import Link
from runner.link.session import FEATURES, PROTOCOL
from runner.link.tools import ToolsLink
from runner.mcpserver.server import McpServer
from runner.settings import Settings
from runner.terminals.aside import Aside
from runner.terminals.asks import TerminalAsks
from runner.terminals.emulators import Emulators
from runner.terminals.keeping import Keeping
from runner.terminals.serve import TerminalServer

logger = logging.getLogger(__name__)

_PR_SET_DUMPABLE: Final = 4
_UP: Final = "up.pid"
"""Marks a data directory of `agentsmesh up`."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class StartError(Exception):
    """The runner cannot start; the text is one sentence for whoever started it."""


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        StartError: It cannot start.
    """
    os.umask(0o077)
    descriptors.allow_many()
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # no core, no ptrace: it holds a key
    lock = _claim(settings.data_dir)
    try:
        try:
            logs.start(settings.log_file)
        except OSError as exc:
            text = f"The log file {settings.log_file} cannot be written: {exc.strerror}."
            raise StartError(text) from exc
        asyncio.run(_run(settings))
    finally:
        os.close(lock)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a running runner."""

    converger: Converger
    keeper: Keeper
    link: Link
    views: TerminalServer
    tools: ToolsLink
    mcp: McpServer
    trash: Trash
    journal: Journal
    terminals: Terminals
    agents: AgentsFound
    custodian: Custodian
    worktrees: GitWorktrees
    keeping: Keeping


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with assemble(settings) as parts:
        logger.info("runner started", extra={"runner": settings.name, "pid": os.getpid()})
        await serve(parts, stop)
    logger.info("runner stopped; agents go on")


async def serve(parts: Parts, stop: asyncio.Event) -> None:
    """Run all parts until *stop* is set, then leave in order."""
    await parts.converger.look_around()
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(each.run(), name=type(each).__name__)
            for each in (
                parts.trash,
                parts.converger,
                parts.keeper,
                parts.link,
                parts.views,
                parts.tools,
                parts.mcp,
                parts.agents,
                parts.custodian,
                parts.keeping,
            )
        ]
        running.append(tasks.create_task(parts.worktrees.tend(), name="warm worktrees"))
        await stop.wait()
        await parts.converger.close()
        await parts.mcp.close()
        await parts.link.close("Stopping")
        await cancelled(running)


@asynccontextmanager
async def assemble(settings: Settings) -> AsyncIterator[Parts]:
    """Make the parts; close what holds something when done.

    Raises:
        StartError: The journal cannot be opened.
    """
    places = Places(settings.data_dir)
    _note_session(places, begun=False)
    journal = Journal(places.journal)
    try:
        await journal.open()
    except JournalError as exc:
        raise StartError(str(exc)) from exc
    cgroups = await asyncio.to_thread(_cgroups, places)
    terminals, emulators = Terminals(cgroups), Emulators()
    try:
        capabilities = await asyncio.to_thread(probe, account=settings.pod_uid_range.first)
        yield _join(settings, places, journal, terminals, emulators, capabilities, cgroups)
    finally:
        emulators.close()
        await terminals.close()
        await journal.close()
        await asyncio.to_thread(cgroups.close)


def _cgroups(places: Places) -> Cgroups:
    """Find out what control groups there are, and clear what earlier runs left in ours.

    Raises:
        StartError: The data directory cannot be used.
    """
    try:
        cgroups = Cgroups.open(places.data_dir)
        clean_groups(places, cgroups)
    except OSError as exc:
        raise StartError(f"Control groups cannot be looked after: {exc}.") from exc
    return cgroups


def _join(
    settings: Settings,
    places: Places,
    journal: Journal,
    terminals: Terminals,
    emulators: Emulators,
    capabilities: Capabilities,
    cgroups: Cgroups,
) -> Parts:
    reports, secrets, trash = Reports(), LinkSecrets(), Trash(places.trash)
    if not places.uids():
        trash.discard(places.settings)  # no pod reads older ones any more
    worktrees = GitWorktrees(
        settings.data_dir,
        trash,
        WorktreeSettings(settings.allow_local_repositories, settings.include_dir),
    )
    ground = Ground(
        settings.search_path,
        capabilities,
        settings.allow_writable,
        protected=_meshes_around(settings.data_dir),
        none_allowed=settings.allow_no_isolation,
        mcp_port=settings.mcp_port,
        accounts=Accounts(places.pods, settings.pod_uid_range),
    )
    workshop = Workshop(places, worktrees, trash, ground)
    performer = Performer(places, journal, reports, terminals, workshop, secrets, _boot_id())
    deliveries = Deliveries(places, journal, terminals, Screen)
    converger = Converger(
        places, journal, reports, performer, terminals, deliveries, settings.max_pods
    )
    converger.use(worktrees.eyes)
    performer.record.sources.append(worktree_conditions(worktrees))
    performer.use(Setups(places, terminals, workshop))
    custodian = Custodian(places, lambda: journal.rows, terminals)
    performer.record.sources.append(custodian.told)
    info = _info(settings, capabilities, cgroups)
    keeper = Keeper(IdentityStore(places.identity), _door(settings), settings.controller, info)
    instance_id = str(uuid.uuid4())

    def hello(identity: Identity) -> link_pb2.Hello:
        return link_pb2.Hello(
            runner_uid=identity.about.uid,
            boot_id=_boot_id(),
            instance_id=instance_id,
            protocol_min=PROTOCOL,
            protocol_max=PROTOCOL,
            features=FEATURES,
            info=info,
            last_controller_epoch=journal.controller_epoch,
            wall_clock_unix_ms=wall_ms(),
        )

    agents = AgentsFound(settings.search_path, _version_command(places, ground, trash))
    used = AgentsUsed(places, agents)
    workshop.started_from = used.planned
    performer.record.sources.append(used.source)
    agents.subscribe(lambda: _tell(performer, used.news()))
    link = Link(settings.controller, keeper, converger, agents, hello)
    secrets.source = link
    link.warm = lambda found: worktrees.warm.know(
        {each.url_sha256: each.worktrees for each in found.repositories}
    )
    link.connected = lambda: _note_session(places, begun=True)

    def rows() -> Mapping[str, Row]:
        return journal.rows

    drawing = Aside()
    views = TerminalServer(
        settings.controller, keeper, instance_id, rows, places, terminals, drawing, worktrees.kept
    )
    keeping = Keeping(rows, places, Aside(), performer.record.tell, drawing)
    performer.record.sources.append(keeping.source)
    asks = TerminalAsks(rows, places, terminals, emulators)
    tools = ToolsLink(settings.controller, keeper, instance_id, asks, deliveries)
    mcp = McpServer(rows, converger, places, terminals, tools, converger, _version())
    return Parts(
        converger,
        keeper,
        link,
        views,
        tools,
        mcp,
        trash,
        journal,
        terminals,
        agents,
        custodian,
        worktrees,
        keeping,
    )


def _note_session(places: Places, *, begun: bool) -> None:
    """Note for `agentsmesh up` that this runner has a session, or that it has none yet."""
    try:
        places.connected.touch(0o600)
        if not begun:
            os.utime(places.connected, (0, 0))
    except OSError as exc:
        logger.warning("%s cannot be written: %s", places.connected, exc.strerror)


def _tell(performer: Performer, uids: Iterable[str]) -> None:
    for uid in uids:
        performer.record.tell(uid)


def _version_command(places: Places, ground: Ground, trash: Trash) -> VersionCommand:
    room = Room(
        folder=places.versions,
        settings=places.settings,
        search_path=ground.search_path,
        capabilities=ground.capabilities,
        readable=ground.readable,
        protected=(places.data_dir, *ground.protected),
    )
    return VersionCommand(room, trash)


def _door(settings: Settings) -> Door:
    return Door(
        endpoint=settings.enroll,
        organization=settings.organization,
        name=settings.name,
        token_file=settings.join_token_file,
        pin=settings.ca_pin,
        ca_file=settings.ca_file,
    )


def _info(settings: Settings, capabilities: Capabilities, cgroups: Cgroups) -> link_pb2.RunnerInfo:
    isolations = ["bubblewrap"] if capabilities.bubblewrap is not None else []
    if capabilities.landlock > 0:
        isolations.append("landlock" if capabilities.landlock_holds else "landlock-partial")
    isolations += ["none"] if settings.allow_no_isolation else []
    kept = keepers(cgroups, counted=capabilities.counts or capabilities.accounts)
    return link_pb2.RunnerInfo(
        version=_version(),
        os=platform.system().lower(),
        arch=platform.machine(),
        hostname=socket.gethostname(),
        isolations=isolations,
        limits={str(limit): str(keeper) for limit, keeper in kept.items()},
        max_pods=settings.max_pods,
    )


def _meshes_around(data_dir: Path) -> tuple[Path, ...]:
    """Return the directories of `agentsmesh up` around ours: its keys and kubeconfig are there."""
    return tuple(folder for folder in data_dir.parents if (folder / _UP).exists())


def _version() -> str:
    try:
        return importlib.metadata.version("agentsmesh")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _claim(data_dir: Path) -> int:
    """Make the data directory and take it for this process; return the lock's descriptor.

    Raises:
        StartError: Another runner has it, or it cannot be written.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        data_dir.chmod(0o700)
        own_modes.repair(Places(data_dir))
        lock = os.open(data_dir / "runner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StartError(
            f"The data directory {data_dir} cannot be written ({exc.strerror}): "
            "give --data-dir a directory that this user owns."
        ) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(lock)
        raise StartError(
            f"Another runner uses {data_dir}: stop it, or give this one its own --data-dir."
        ) from exc
    return lock
