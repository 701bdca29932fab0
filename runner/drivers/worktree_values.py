"""The values that the worktree driver takes and gives."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gitaccess.credentials import Credentials


@dataclass(frozen=True, slots=True)
class WorktreeRequest:
    """Which code a pod works on."""

    uid: str
    """The AgentPod's UID; names its directory."""

    pod: str
    """The AgentPod's name."""

    url: str
    """``https://``, ``ssh://``, or a folder below those that the operator allows."""

    ref: str = ""
    """Branch, tag or full commit to begin at. Empty: ``default_branch``."""

    branch: str = ""
    """The worktree's branch. Empty: ``agentsmesh/<pod>-<first 8 of the uid>``."""

    create: bool | None = None
    """True: the branch must be new. False: it must exist. None: taken where it exists, else new.

    A branch that exists is checked out at its upstream commit, and *ref* is not looked at.
    """

    default_branch: str = ""
    """Where an empty *ref* begins. Empty: the remote's own default."""

    credentials: Credentials | None = field(default=None, repr=False)
    """What opens the repository; None when it is public."""

    namespace: str = ""
    """Of the AgentPod: only from there its work can be asked for when it is gone."""

    repository: str = ""
    """Name of the Repository."""

    depth: int = 0
    """So many commits of the history are fetched; 0: all."""

    filter: str = ""
    """What contents are to be left out of the history; not done, and said."""

    submodules: bool = False
    lfs: bool = False
    warm: int = 0
    """So many worktrees of the default branch are to be kept ready."""

    include: tuple[str, ...] = ()
    """Files and folders of the runner's owner to put in; relative paths."""


@dataclass(frozen=True, slots=True)
class Worktree:
    """A checkout of one pod's own."""

    path: Path
    """The files: the agent's working directory, writable."""

    repository: Path
    """The pod's own bare repository, writable."""

    branch: str
    """The branch that is checked out."""

    commit: str
    """Where the branch began."""

    readable: tuple[Path, ...]
    """Object folders that the pod's repository borrows from: readable in the sandbox."""

    note: str = ""
    """One sentence when something is other than hoped for, as a remote that did not answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a worktree that is not as one would think: a condition that is False."""

    kind: str
    """CamelCase: the condition."""
    reason: str
    message: str


UNREAD: Final = "WorktreeRead"
"""The condition that says that git could not look; ``dirty`` is true then."""


@dataclass(frozen=True, slots=True)
class WorktreeState:
    """What a worktree looks like now."""

    branch: str
    """Empty when HEAD is detached."""

    commit: str
    """HEAD; empty when the branch has no commit."""

    dirty: bool
    """Files differ from HEAD, or are new and not ignored."""

    ahead: int
    """Commits since the worktree was made."""

    rewritten: str = ""
    """Where upstream's branch is now, when it does not hold any more what the worktree began at."""


@dataclass(frozen=True, slots=True)
class SavedRef:
    """Work that was kept in the cache before removal."""

    ref: str
    """The ref in the cache: ``refs/agentsmesh/saved/<uid>``."""

    commit: str
    """The commit, with the files as they were left."""

    others: tuple[str, ...] = ()
    """Refs of further branches, tags and stashes with work of their own."""

    note: str = ""
    """One sentence about what no commit can hold, such as a repository inside the worktree.

    Where there is a note, ``remove`` keeps the files below ``kept/`` instead of deleting them.
    """
