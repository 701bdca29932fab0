"""The states of a pod on this runner, the legal moves between them, and what is remembered."""

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from meshwire.v1 import link_pb2


class State(StrEnum):
    """Where a pod stands."""

    PREPARING = "preparing"
    """Worktree, home, sandbox. Nothing was started."""
    STARTING = "starting"
    """Journalled before the spawn: from here on this (uid, epoch, restart) never starts again."""
    RUNNING = "running"
    STOPPING = "stopping"
    """Being ended, or being removed."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REMOVED = "removed"
    """A tombstone: nothing is left but what the controller may still ask about."""


MOVES: Final[dict[State, frozenset[State]]] = {
    State.PREPARING: frozenset({State.PREPARING, State.STARTING, State.FAILED, State.STOPPING}),
    # back to preparing only where it is proven that the program never began
    State.STARTING: frozenset(
        {State.PREPARING, State.RUNNING, State.SUCCEEDED, State.FAILED, State.STOPPING}
    ),
    State.RUNNING: frozenset({State.RUNNING, State.SUCCEEDED, State.FAILED, State.STOPPING}),
    State.STOPPING: frozenset({State.STOPPING, State.SUCCEEDED, State.FAILED, State.REMOVED}),
    # begun again by a higher epoch, the restart policy or a wish, which raise epoch or restart
    State.SUCCEEDED: frozenset({State.SUCCEEDED, State.PREPARING, State.STOPPING}),
    State.FAILED: frozenset({State.FAILED, State.PREPARING, State.STOPPING}),
    State.REMOVED: frozenset({State.REMOVED, State.PREPARING}),
}
"""A move that is not listed is a bug, and refused."""

ALIVE: Final = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
"""States in which a process of the pod may exist."""

ENDED: Final = frozenset({State.SUCCEEDED, State.FAILED})


@dataclass(frozen=True, slots=True)
class Row:
    """What the journal knows of one pod."""

    uid: str
    epoch: int
    namespace: str
    name: str
    state: State
    restart: int = 0
    """Which restart within the epoch."""
    generation: int = 0
    digest: str = ""
    desired: bytes = field(default=b"", repr=False)
    """The PodDesired as last acted on. It holds no secrets: those are fetched for each start."""
    initialized: bool = False
    pid: int = 0
    """Of the shim."""
    child_pid: int = 0
    """Of the agent."""
    started_ms: int = 0
    finished_ms: int = 0
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    message: str = ""
    ending: str = ""
    """Why the run is being ended: Stopped, DeadlineExceeded, Replaced; empty when it is not."""
    stopped: bool = False
    """A person wants it stopped, or wanted that when it ended: wanted again, it starts again."""
    suspended: bool = False
    """It is to be frozen. Written before anything is frozen or thawed."""
    frozen_at_ms: int = 0
    """Since when it is; 0: it is not, or not for certain. Written after that."""
    frozen_ms: int = 0
    """How long it was frozen before, since ``active_ms``."""
    active_ms: int = 0
    """When it was first started since a person last wanted it to run: deadlines count from here,
    over restarts after failures."""
    ran: bool = False
    """Whether an agent was started, or may have been, in this worktree and home before."""
    prompt_given: bool = False
    """Whether the first prompt was given, or may have been, in the life of the pod. Written before
    the process that is given it starts, or before what submits it is typed."""
    proven_dead: bool = True
    """False when a run was lost without proof that none of its processes lives."""
    failures: int = 0
    """Failures in a row without ten minutes of running in between: the restart backoff."""
    branch: str = ""
    commit: str = ""
    base_commit: str = ""
    """That the worktree started from."""
    dirty: bool = False
    saved_ref: str = ""
    kept_files: str = ""
    """Where files were kept that no commit could hold."""
    note: str = ""
    """One sentence about worktree or sandbox."""
    isolation: str = ""
    network: str = ""
    prompt_sent: bool = False
    """Whether the first prompt was, or may have been, given to this run."""
    forgotten_ms: int = 0
    """When the controller dropped the removed pod. The row stays for a while: should the same
    epoch be asked for again, by a controller that was mistaken, it does not start again."""
    boot_id: str = ""
    """The boot of the machine in which the run was begun: a crash of the machine may take a
    shim's files along, and with them the proof that a program never began."""
    output_begin: int = 0
    """Offset of this run's first byte in the pod's transcript."""

    def moved(self, state: State, **changes: object) -> "Row":
        """Return the row after a legal move.

        Raises:
            IllegalMoveError: The table does not allow it.
        """
        if state not in MOVES[self.state]:
            raise IllegalMoveError(f"{self.uid}: {self.state} -> {state}")
        return dataclasses.replace(self, state=state, **changes)  # type: ignore[arg-type]

    @property
    def is_frozen(self) -> bool:
        """Whether all processes of the run are frozen, for certain."""
        return self.suspended and self.frozen_at_ms > 0

    @property
    def is_held(self) -> bool:
        """Whether processes of the run may be frozen, or are on their way into or out of that."""
        return self.suspended or self.frozen_at_ms > 0

    def pod(self) -> link_pb2.PodDesired:
        """Return the PodDesired that was last acted on."""
        return link_pb2.PodDesired.FromString(self.desired)


class IllegalMoveError(Exception):
    """A bug: a state was left in a way that the table of moves does not know."""


def begun(
    pod: link_pb2.PodDesired,
    state: State = State.PREPARING,
    before: Row | None = None,
    **fields: object,
) -> Row:
    """Return the first row of a pod's epoch; *before*: the last one of an earlier epoch."""
    if before is not None and before.state is not State.REMOVED:
        fields |= {"ran": before.ran, "prompt_given": before.prompt_given}
        fields |= {"branch": before.branch, "commit": before.commit, "dirty": before.dirty}
        fields |= {"base_commit": before.base_commit}
    return Row(
        uid=pod.ref.pod_uid,
        epoch=pod.ref.epoch,
        namespace=pod.namespace,
        name=pod.name,
        state=state,
        generation=pod.generation,
        digest=pod.spec_digest,
        desired=pod.SerializeToString(),
        **fields,  # type: ignore[arg-type]
    )
