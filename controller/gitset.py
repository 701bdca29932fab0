"""Joins the parts of the sync with git: index, mirrors, sources, and what is written back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controller.gitops.database import Database
from controller.gitops.index import SCHEMA, Index
from controller.gitops.mirror import Mirror
from controller.gitops.remembered import Remembered
from controller.gitops.shares import Shares
from controller.gitops.sources import Sources
from controller.gitops.strays import remove_strays
from controller.gitops.upstream import MirrorSettings
from controller.gitops.writeback.journal import Journal
from controller.gitops.writeback.reporting import Reporting, reports_of
from controller.gitops.writeback.telling import Telling
from controller.gitops.writeback.writeback import WriteBack
from controller.kernel.clock import wall
from controller.kernel.events import Recorder
from controller.kernel.key import Key
from controller.kernel.store import Store
from controller.kube.client import Kube
from controller.services.notification_addresses import Network
from controller.services.ticket_files import TicketFiles
from gitaccess.command import Git
from schemas.gitsource import GitSource

logger = logging.getLogger(__name__)

INDEX_FILE: Final = "gitops.db"
OPERATIONS_FILE: Final = "operations.db"
MIRRORS: Final = "git"
EPOCH_FILE: Final = "epoch"
"""In ``MIRRORS``: the leadership in which sources were last kept from here."""

Touch = Callable[[Key], None]
"""Has an object looked at."""


@dataclass(frozen=True, slots=True)
class GitSettings:
    """Where the sync with git keeps what is its own, and what it may open."""

    data_dir: Path
    folders: tuple[Path, ...] = ()
    """Below these a repository may be opened by its path."""
    networks: tuple[Network, ...] = ()
    """Where git may connect to beside what is allowed by itself."""


@asynccontextmanager
async def opened(
    settings: GitSettings,
    epoch: int,
    *,
    store: Store,
    kube: Kube,
    recorder: Recorder,
    touch: Touch,
) -> AsyncIterator[Sources]:
    """Give the sources, with all that was known of them; they stand still until they are run.

    The store must hold everything by now. *epoch* is our leadership's: if another controller led
    since these sources were last kept from this data directory, it knows what we do not.

    Raises:
        DatabaseError: What was known cannot be read.
        OSError: The data directory cannot be written.
    """
    folder = settings.data_dir / MIRRORS
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    git = Git(folder / "home")
    git.prepare()
    limits, servers = MirrorSettings(settings.folders, settings.networks), Shares()
    database = Database(settings.data_dir / INDEX_FILE, SCHEMA)
    await database.open()
    try:
        sources = Sources(
            store=store,
            kube=kube,
            recorder=recorder,
            remembered=Remembered(Index(database)),
            mirrors=lambda uid: Mirror(folder / uid, git, limits, servers),
            touch=touch,
            folders=settings.folders,
        )
        known = await asyncio.to_thread(_epoch, folder / EPOCH_FILE)
        await sources.load(
            current=known + 1 == epoch, settled=lambda: _note(folder / EPOCH_FILE, epoch)
        )
        living = {item.metadata.uid for item in store.of(GitSource)}
        await asyncio.to_thread(remove_strays, folder, living)
        yield sources
    finally:
        await database.close()


def _epoch(file: Path) -> int:
    """Return the leadership in which sources were last kept from here, 0 if they never were."""
    known = file.read_text(encoding="ascii").strip() if file.exists() else ""
    return int(known) if known.isdecimal() else 0


def _note(file: Path, epoch: int) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(f"{epoch}\n", encoding="ascii")
    draft.replace(file)


class Writing:
    """What changes tickets that lie in git."""

    def __init__(
        self, store: Store, sources: Sources, journal: Journal, recorder: Recorder, touch: Touch
    ) -> None:
        self.write_back = WriteBack(
            store,
            journal,
            sources,
            reports=reports_of(store),
            touched=touch,
            watching=Telling(store, recorder),
        )
        self.files = TicketFiles(store, sources, self.write_back)
        self._reporting = Reporting(store, journal, sources, self.write_back, clock=wall)

    async def run(self) -> None:
        """Push what is accepted, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.write_back.run())
            tasks.create_task(self._reporting.run())


@asynccontextmanager
async def writing(
    settings: GitSettings, sources: Sources, *, store: Store, recorder: Recorder, touch: Touch
) -> AsyncIterator[Writing]:
    """Give what writes back, with all that was accepted before; nothing is pushed until it is run.

    Raises:
        JournalError: What was accepted cannot be read.
    """
    journal = Journal(settings.data_dir / OPERATIONS_FILE)
    await journal.open(wall())
    try:
        yield Writing(store, sources, journal, recorder, touch)
    finally:
        await journal.close()
