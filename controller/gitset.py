"""Joins the parts of the sync with git: index, mirrors, sources."""

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
from controller.gitops.sources import Sources
from controller.gitops.upstream import MirrorSettings
from controller.kernel.events import Recorder
from controller.kernel.key import Key
from controller.kernel.store import Store
from controller.kube.client import Kube
from controller.services.notification_addresses import Network
from gitaccess.command import Git

logger = logging.getLogger(__name__)

INDEX_FILE: Final = "gitops.db"
MIRRORS: Final = "git"


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
    *,
    store: Store,
    kube: Kube,
    recorder: Recorder,
    touch: Callable[[Key], None],
) -> AsyncIterator[Sources]:
    """Give the sources, with all that was known of them; they stand still until they are run.

    The store must hold everything by now.

    Raises:
        DatabaseError: What was known cannot be read.
        OSError: The data directory cannot be written.
    """
    folder = settings.data_dir / MIRRORS
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    git = Git(folder / "home")
    git.prepare()
    limits = MirrorSettings(settings.folders, settings.networks)
    database = Database(settings.data_dir / INDEX_FILE, SCHEMA)
    await database.open()
    try:
        sources = Sources(
            store=store,
            kube=kube,
            recorder=recorder,
            remembered=Remembered(Index(database)),
            mirrors=lambda uid: Mirror(folder / uid, git, limits),
            touch=touch,
            folders=settings.folders,
        )
        await sources.load()
        yield sources
    finally:
        await database.close()
