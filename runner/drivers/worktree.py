"""Git worktrees: a checkout for each pod, borrowing its objects from one cache per repository.

Below the runner's data directory::

    caches/<hash of the url>/repo.git    bare, all of upstream; written by the runner alone
    pods/<uid>/worktree.json             what was made for the pod; written before it is handed out
    pods/<uid>/repo.git                  the pod's own refs, config and new objects
    pods/<uid>/worktree                  its files
    pods/<uid>/inspect.git               the runner's own view of the two above
    kept/                                what could neither be saved nor may be deleted
    trash/                               renamed here, deleted in the background

What stands in a pod's repository and worktree is hostile once the agent has run.
"""

from dataclasses import dataclass
from pathlib import Path

from runner.drivers.trash import Trash
from runner.drivers.worktree_values import SavedRef, Worktree, WorktreeRequest, WorktreeState


@dataclass(frozen=True, slots=True)
class WorktreeSettings:
    """How worktrees are made."""

    allow_local: tuple[Path, ...] = ()
    """Folders below which repositories may be opened by path or ``file:`` URL."""

    fetch_seconds: float = 3600.0
    """Longest time for a fetch as a whole."""

    idle_seconds: float = 60.0
    """Longest time for a fetch to show no progress."""

    local_seconds: float = 600.0
    """Longest time for any other step."""


class GitWorktrees:
    """Worktrees made by git."""

    def __init__(
        self, data_dir: Path, trash: Trash, settings: WorktreeSettings | None = None
    ) -> None:
        self._data_dir = data_dir
        self._trash = trash
        self._settings = settings or WorktreeSettings()

    async def ensure(self, request: WorktreeRequest) -> Worktree:
        """Return the worktree of the pod, making it if absent. Safe to repeat after a crash.

        Raises:
            GitError: One of ``runner.git.errors``, with a sentence for the user.
        """
        raise NotImplementedError

    async def inspect(self, uid: str) -> WorktreeState | None:
        """Return how the worktree stands, running nothing of the pod's; None without worktree.

        Raises:
            WorktreeLostError: The agent left something that cannot be read as a repository.
        """
        raise NotImplementedError

    async def save(self, uid: str) -> SavedRef | None:
        """Keep in the cache what upstream does not have; None when that is nothing.

        Call it after the last process of the pod ended and before ``remove``. Safe to repeat.

        Raises:
            SaveFailedError: Not all could be kept. Nothing was removed; the next ``remove``
                moves the files below ``kept/``.
        """
        raise NotImplementedError

    async def remove(self, uid: str) -> Path | None:
        """Take the worktree and the pod's repository away. Removing an absent one is fine.

        Returns:
            Where the files were kept when ``save`` could not keep all of them, else None.
        """
        raise NotImplementedError
