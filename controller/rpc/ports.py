"""What the gRPC edge and its services need from the rest of the controller.

The composition root hands in implementations: the Kubernetes client (``Objects``, ``Reviews``),
the store (``Registry``), placement (``Placement``) and the recorder of Events (``Recorder``).
Errors of the first two are those of ``controller.kube.errors``; the others answer from memory and
never fail.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from meshwire.v1 import link_pb2

from schemas.names import Resource
from schemas.runner import Runner


@dataclass(frozen=True, slots=True)
class RunnerKey:
    """Which runner: what its certificate says, nothing else."""

    namespace: str
    name: str
    uid: str
    """metadata.uid of the Runner: a new Runner of the same name is another one."""


@dataclass(frozen=True, slots=True)
class PodPlace:
    """Where a pod is, as far as the edge must know to decide what a caller may see."""

    uid: str
    namespace: str
    name: str
    runner: RunnerKey | None
    """None: not placed yet."""
    epoch: int
    """status.placement.epoch; 0 while not placed."""
    repository: str = ""
    """Name of its Repository in the same namespace; empty = none."""
    suspended: str = ""
    """What its condition Suspended says while that is True; empty otherwise."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an Event is about."""

    resource: Resource
    namespace: str
    name: str
    uid: str


class User(Protocol):
    """A person or program that the API server has recognised by a bearer token."""

    @property
    def name(self) -> str:
        """The user's name, for messages."""
        ...


class Changes(Protocol):
    """A subscription to changes: ``signals.Subscription`` is one."""

    async def wait(self) -> None:
        """Return once something may have changed since the subscription began or the last wait."""
        ...


class Objects(Protocol):
    """Reads and writes the API directly. ``controller.kube.client.Kube`` is one."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object as it is now, or raise NotFound."""
        ...

    async def create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        """Create the object, or raise AlreadyExists."""
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
        """Merge-patch; raise Conflict if ``metadata.resourceVersion`` is given and not current."""
        ...

    def pages(
        self, resource: Resource, namespace: str = "", *, limit: int = 500
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """List, page by page; an empty namespace lists all of them."""
        ...


class Reviews(Protocol):
    """Asks the API server who somebody is and what they may. ``Kube`` is one."""

    async def review_token(self, token: str, audiences: Sequence[str] = ()) -> Any | None:
        """TokenReview: return the user, or None if the token is not accepted."""
        ...

    async def may(
        self,
        user: Any,
        *,
        verb: str,
        group: str,
        resource: str,
        subresource: str,
        namespace: str,
        name: str,
    ) -> tuple[bool, str]:
        """SubjectAccessReview: return whether it is allowed, and the server's reason."""
        ...


class Registry(Protocol):
    """The Runners, from the store."""

    def runner(self, namespace: str, name: str) -> Runner | None:
        """Return the Runner as last seen by the watch, or None."""
        ...

    def changes(self, namespace: str, name: str) -> AbstractContextManager[Changes]:
        """Listen for changes (also creation and deletion) of that Runner.

        A ban must reach the stream within 2 seconds, so notify when the watch delivers it.
        """
        ...


class Placement(Protocol):
    """What every runner shall have, and what it said it has."""

    def epoch(self) -> int:
        """Return the controller's epoch: transitions of its Lease, at least 1."""
        ...

    async def wait_synced(self) -> None:
        """Return once the store holds everything; before that no runner is told anything."""
        ...

    def desired(self, runner: RunnerKey) -> Sequence[link_pb2.PodDesired]:
        """Return every pod that the runner must have or must get rid of, whole.

        Messages are compared by identity first, so hand out the same one while nothing changed, and
        never change one that was handed out.
        """
        ...

    def changes(self, runner: RunnerKey) -> AbstractContextManager[Changes]:
        """Listen for changes of ``desired(runner)``, ``catalogue()`` and ``warm(runner)``."""
        ...

    def catalogue(self) -> link_pb2.AgentCatalogue:
        """Return the agents that every runner looks for. One that was handed out never changes."""
        ...

    def warm(self, runner: RunnerKey) -> link_pb2.WarmRepositories:
        """Return of which Repositories it shall keep worktrees ready; never changed later."""
        ...

    def found(self, runner: RunnerKey, agents: link_pb2.AgentsFound) -> None:
        """Take which of them the runner has, whole: the latest counts."""
        ...

    async def confirmed_empty(self, runner: RunnerKey) -> bool:
        """Whether a fresh read of the API (not the store) finds no pod placed on the runner.

        Asked only before an empty snapshot is sent; with False (answer so if the API cannot be
        read) the runner keeps what it has.
        """
        ...

    def pod(self, pod_uid: str) -> PodPlace | None:
        """Return where the pod with this uid is, or None if there is none."""
        ...

    def find(self, namespace: str, name: str) -> PodPlace | None:
        """Return where the pod of this name is, or None if there is none."""
        ...

    def observe(
        self, runner: RunnerKey, pods: Sequence[link_pb2.PodObserved], *, complete: bool
    ) -> None:
        """Take a report. Every pod in it belongs to the runner (namespace and placement checked).

        The epoch of a pod may still be an old one: compare it. With ``complete`` the report names
        all that the runner has. Must not wait: put it somewhere and return.
        """
        ...

    def connected(self, runner: RunnerKey, hello: link_pb2.Hello) -> None:
        """The runner has a session now (again, if it had one: the newest counts)."""
        ...

    def heartbeat(self, runner: RunnerKey, beat: link_pb2.Heartbeat) -> None:
        """The runner is alive."""
        ...

    def disconnected(self, runner: RunnerKey) -> None:
        """The runner's last session has ended."""
        ...


class Recorder(Protocol):
    """Writes Events. Aggregates and limits them itself; never waits, never raises."""

    def event(self, about: Subject, *, warning: bool, reason: str, message: str) -> None:
        """Note that something happened to the subject: CamelCase reason, one sentence."""
        ...


Manifest = Mapping[str, Any]
"""An object of the API as it came."""
