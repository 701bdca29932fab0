"""One bare mirror per source: what is fetched, read, committed and pushed. Never a checkout.

A mirror is a copy: whatever is wrong with it, it is made anew.
Errors: ``controller.gitops.remote``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.gitops.committing import Draft
from controller.gitops.reading import TicketCommit
from controller.gitops.remote import Outcome, Remote
from controller.gitops.values import MAX_FILES, Author, Entry
from controller.services.notification_addresses import Network
from gitaccess.command import Git


@dataclass(frozen=True, slots=True)
class MirrorSettings:
    """What mirrors may open, and how much of it."""

    local_folders: tuple[Path, ...] = ()
    """Below these a repository may be opened by its path."""
    networks: tuple[Network, ...] = ()
    """Addresses that may be connected to although they are not public."""
    fetch_seconds: float = 300.0
    idle_seconds: float = 60.0
    """Longest time without a word from the server."""
    local_seconds: float = 60.0
    """For what needs no server."""
    fetch_bytes: int = 512 * 1024 * 1024
    """Longest pack that is taken in one fetch."""


class Mirror:
    """The mirror of one source. Its methods may be called at the same time."""

    def __init__(
        self, directory: Path, git: Git, settings: MirrorSettings, clock: Callable[[], float]
    ) -> None:
        """*directory* is this source's alone: ``<data-dir>/git/<uid>``; it need not exist."""
        self._clock = clock
        self._directory = directory
        self._git = git
        self._settings = settings

    def use(self, remote: Remote) -> None:
        """Set which branch it is and what opens it, from the next call on."""
        raise NotImplementedError

    async def remote_tip(self) -> str | None:
        """Return the commit of the branch as the server says (one round trip), None if absent.

        Raises:
            MirrorError: It cannot be asked, or refuses.
        """
        raise NotImplementedError

    async def is_empty(self) -> bool:
        """Tell whether the repository has no branch at all; to be asked when the tip is None.

        Raises:
            MirrorError: It cannot be asked, or refuses.
        """
        raise NotImplementedError

    async def fetch(self) -> str:
        """Bring the branch here, the last 300 commits of it; return its commit.

        Files that are too large to be read are left out where the server can do so. A damaged
        mirror is made anew.

        Raises:
            MirrorError: ``BranchNotFound`` (refused) if it is not there.
        """
        raise NotImplementedError

    async def path_exists(self, commit: str, path: str) -> bool:
        """Tell whether *path* (``.`` is the root) is a folder in the commit.

        Raises:
            MirrorError: The commit is not here, or the path can be none.
        """
        raise NotImplementedError

    async def entries(self, commit: str, path: str, most: int = MAX_FILES) -> list[Entry]:
        """Return everything below *path* (``.`` is the root) by path; nothing if there is none.

        A file that was left out by ``fetch`` has the size ``MAX_FILE_BYTES + 1``.

        Raises:
            RefusedError: ``TooManyFiles``: there are more than *most*.
            MirrorError: The commit is not here, or the path can be none.
        """
        raise NotImplementedError

    async def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Return the contents; those that are not here or longer than MAX_FILE_BYTES are left out.

        All are in memory at once: cut with ``reading.batches`` what may be large.

        Raises:
            MirrorError: They cannot be read.
        """
        raise NotImplementedError

    async def commits(self, old: str | None, new: str, most: int = 300) -> list[TicketCommit]:
        """Return the commits in *new* and not in *old* that name a ticket, newest first.

        None for *old*, or one that is not here: as far as the mirror goes back.

        Raises:
            MirrorError: *new* is not here.
        """
        raise NotImplementedError

    async def operations_landed(self, old: str | None, new: str) -> dict[str, str]:
        """Return ``Operation-Id`` and commit, of those in *new* and not in *old*.

        Raises:
            MirrorError: *new* is not here.
        """
        raise NotImplementedError

    async def commit(
        self,
        parent: str,
        files: Mapping[str, bytes | None],
        author: Author,
        committer: Author,
        message: str,
    ) -> str:
        """Make a commit on *parent* in which *files* are as given; None deletes.

        Raises:
            MirrorError: As ``commit_all``.
        """
        raise NotImplementedError

    async def commit_all(self, parent: str, drafts: Sequence[Draft]) -> list[str]:
        """Make one commit for each draft, each on the one before, the first on *parent*.

        Nothing refers to them until they are pushed. A file keeps its mode.

        Raises:
            RefusedError: ``PathInvalid``: a path that must not be written, or where a link,
                a submodule or a folder is in its way.
            MirrorError: *parent* is not here, or it cannot be done.
        """
        raise NotImplementedError

    async def push(self, commit: str, expect: str) -> Outcome:
        """Set the branch to *commit*, which descends from *expect*, if the branch is there.

        Never by force.
        """
        raise NotImplementedError

    async def remove(self) -> None:
        """Delete the mirror with all that is in it; there may be none."""
        raise NotImplementedError
