"""What the service of tickets is asked and answers. Values only."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from controller.bindings.rules import depth
from controller.gitops.writeback.values import File
from schemas.agentpod import AgentPod
from schemas.ticket import Ticket


class ByKind(StrEnum):
    """Who changes tickets."""

    POD = "pod"
    PERSON = "person"
    CONTROLLER = "controller"


@dataclass(frozen=True, slots=True)
class By:
    """Who asks for a change: whose name stands on the commit."""

    kind: ByKind
    name: str
    """Of the pod, or the user name; empty for the controller."""
    uid: str = ""
    """Of the pod."""
    agent_class: str = ""
    """Of the pod."""
    depth: int = 0
    """How many pods stand between a person and a pod that a change of this pod leads to."""


CONTROLLER: Final = By(ByKind.CONTROLLER, "")
"""The controller itself: tickets that follow pods, and what it says in x-status."""


def by_pod(pod: AgentPod) -> By:
    """Return the pod as one who changes tickets."""
    meta = pod.metadata
    return By(ByKind.POD, meta.name, meta.uid, pod.spec.agent_class_name, depth(pod) + 1)


def by_person(user: str) -> By:
    """Return the person as one who changes tickets."""
    return By(ByKind.PERSON, user)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a change of a ticket."""

    ticket: Ticket
    """As it is now; of a change that is pending: as it was before. A ticket whose file is not
    written yet has neither uid nor generation."""
    commit: str = ""
    """That holds the change; empty: the ticket does not live in git, or see *pending*."""
    pending: bool = False
    """It lives in git; the change is accepted and kept, and not pushed or applied yet."""
    conflicts: tuple[str, ...] = ()
    """Fields of the change that stayed as somebody else has set them meanwhile, or are not in force
    as the API server does not take the file."""
    message: str = ""
    """One sentence about *pending* or *conflicts*; empty if there is neither."""
    unchanged: bool = False
    """It lives in git, and its file said so already."""
    file: File | None = None
    """Where it lies in git."""
