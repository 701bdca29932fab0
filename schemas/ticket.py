"""Ticket: a piece of work that pods and people take, do and review."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import (
    READY_COLUMNS,
    Column,
    Definition,
    LocalReference,
    Model,
    Name,
    Object,
    Rule,
    Status,
)
from schemas.names import TICKET


class TicketState(StrEnum):
    """Where the work stands."""

    BACKLOG = "backlog"
    TODO = "todo"
    IN_PROGRESS = "in_progress"
    IN_REVIEW = "in_review"
    DONE = "done"
    CANCELED = "canceled"


class TicketType(StrEnum):
    """What kind of work it is."""

    TASK = "task"
    BUG = "bug"
    FEATURE = "feature"
    IMPROVEMENT = "improvement"
    EPIC = "epic"
    SUBTASK = "subtask"
    STORY = "story"


class TicketPriority(StrEnum):
    """How much it matters."""

    URGENT = "urgent"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NONE = "none"


class Acceptance(Model):
    """Something that must be true when the ticket is done."""

    id: Annotated[str, Field(min_length=1, max_length=63)]
    """Its name within the ticket."""
    text: Annotated[str, Field(min_length=1, max_length=1024)]
    """What must be true."""
    done: bool = False
    """Whether it is."""


_TAG = Annotated[str, Field(min_length=1, max_length=63)]


class TicketSpec(Model):
    """The work."""

    title: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
    """What it is, in a line."""
    body: Annotated[str, Field(max_length=65_536, pattern=r"^[^\x00]*$")] = ""
    """What there is to do, in Markdown, kept byte for byte."""
    state: TicketState = TicketState.BACKLOG
    """backlog, todo, in_progress, in_review, done or canceled."""
    type: TicketType = TicketType.TASK
    """task, bug, feature, improvement, epic, subtask or story."""
    priority: TicketPriority = TicketPriority.NONE
    """urgent, high, medium, low or none."""
    labels: Annotated[
        tuple[_TAG, ...],
        Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Words to find it by."""
    assignees: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253)], ...],
        Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Who works on it: people, pods, or class/<AgentClass>."""
    parent: Name | None = None
    """The Ticket it is a part of."""
    depends_on: Annotated[
        tuple[Name, ...],
        Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Tickets that must be done first."""
    repository_ref: LocalReference | None = None
    """The Repository it is about."""
    acceptance: Annotated[
        tuple[Acceptance, ...],
        Field(
            max_length=64,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["id"],
            },
        ),
    ] = ()
    """What must be true when it is done."""


class Progress(Model):
    """How far it is."""

    done: Annotated[int, Field(ge=0)] = 0
    """Acceptance items that are done, and children that are done or canceled."""
    total: Annotated[int, Field(ge=0)] = 0
    """Acceptance items and children."""


class TicketPod(Model):
    """A pod that works, or worked, on the ticket."""

    name: Annotated[str, Field(max_length=63)]
    """Name of the AgentPod."""
    uid: Annotated[str, Field(max_length=64)]
    """Its uid."""
    branch: Annotated[str, Field(max_length=250)] | None = None
    """The branch of its worktree."""
    commit: Annotated[str, Field(max_length=64)] | None = None
    """The latest commit on it, as last seen."""


class TicketStatus(Status):
    """What is known of the ticket."""

    progress: Progress | None = None
    """Acceptance items and children that are done."""
    agent_pods: Annotated[tuple[TicketPod, ...], Field(max_length=20)] = ()
    """Pods that work or worked on it, the newest first."""
    children: Annotated[tuple[Name, ...], Field(max_length=256)] = ()
    """Tickets that are a part of it."""


class Ticket(Object):
    """A piece of work that pods and people take, do and review."""

    definition: ClassVar = Definition(
        resource=TICKET,
        short_names=("tkt",),
        columns=(
            Column("Title", ".spec.title"),
            Column("State", ".spec.state"),
            Column("Type", ".spec.type"),
            Column("Priority", ".spec.priority"),
            Column("Done", ".status.progress.done", type="integer", wide=True),
            Column("Of", ".status.progress.total", type="integer", wide=True),
            *READY_COLUMNS,
        ),
        spec_rules=(
            Rule(
                "!has(self.parent) || !has(self.dependsOn) || !(self.parent in self.dependsOn)",
                "a ticket cannot depend on its own parent",
                ".dependsOn",
            ),
            Rule(
                "!has(self.body) || size(bytes(self.body)) <= 65536",
                "body must be at most 64 KiB of UTF-8",
                ".body",
            ),
        ),
        selectable_fields=(".spec.state",),
    )

    spec: TicketSpec
    """The work."""
    status: TicketStatus = TicketStatus()
    """What is known of it."""
