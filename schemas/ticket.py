"""Ticket: a piece of work that pods and people take, do and review."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from schemas.agentpod import RepositoryUse
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
    Timestamp,
    worded,
)
from schemas.names import TICKET

_UNFIT = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""C0, DEL and C1, and what breaks lines or turns the direction of writing: they reach terminals and
first prompts. Source: Unicode, General_Category Cc; UAX #9, explicit directional formatting."""
LINE_PATTERN = f"^[^{_UNFIT}]*$"
"""One line, as it is seen."""
LINE_MESSAGE = "must be one line without control characters"
_RE2 = re.sub(r"\\u([0-9a-f]{4})", r"\\x{\1}", LINE_PATTERN)
_LINE = worded(Rule(f"self.matches(r'{_RE2}')", LINE_MESSAGE))


OWN_PARENT: Final = Rule(
    "!has(self.parent) || !has(self.dependsOn) || !(self.parent in self.dependsOn)",
    "a ticket cannot depend on its own parent",
    ".dependsOn",
)
_BODY_BYTES: Final = 65_536
_LONG_BODY: Final = Rule(
    f"!has(self.body) || size(bytes(self.body)) <= {_BODY_BYTES}",
    "body must be at most 64 KiB of UTF-8",
    ".body",
)


def broken_rule(spec: Mapping[str, Any]) -> Rule | None:
    """Return the rule of the CRD that a spec, as in a manifest, breaks; None: it breaks none.

    The same in Python, for whoever writes where the API server does not look: into files.
    """
    if spec.get("parent") is not None and spec["parent"] in (spec.get("dependsOn") or ()):
        return OWN_PARENT
    if len(str(spec.get("body") or "").encode(errors="replace")) > _BODY_BYTES:
        return _LONG_BODY
    return None


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


_TAG = Annotated[
    str, Field(min_length=1, max_length=63, pattern=LINE_PATTERN, json_schema_extra=_LINE)
]


class Acceptance(Model):
    """Something that must be true when the ticket is done."""

    id: _TAG
    """Its name within the ticket."""
    text: Annotated[
        str, Field(min_length=1, max_length=1024, pattern=LINE_PATTERN, json_schema_extra=_LINE)
    ]
    """What must be true."""
    done: bool = False
    """Whether it is."""


class TicketRun(Model):
    """The pod that a ticket starts by itself."""

    agent_class_name: Name
    """The AgentClass."""
    repository_ref: RepositoryUse | None = None
    """The repository to work on; the ticket's own, if not given."""
    model: Annotated[str, Field(max_length=128, pattern=r"^[^\x00]*$")] | None = None
    """The model, as the agent names it."""
    permission_mode: (
        Annotated[
            str,
            Field(
                json_schema_extra={"enum": ["plan", "default", "acceptEdits", "bypassPermissions"]}
            ),
        ]
        | None
    ) = None
    """How freely the agent acts: plan, default, acceptEdits or bypassPermissions."""
    prompt: Annotated[str, Field(max_length=32768, pattern=r"^[^\x00]*$")] | None = None
    """What follows the ticket in the first prompt."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 1
    """So often a pod is started for a ticket; anew once a person changes the ticket's state."""
    active_deadline_seconds: Annotated[int, Field(ge=1, le=31536000)] | None = None
    """The pod is stopped, and has failed, so many seconds after its start."""
    idle_timeout_seconds: Annotated[int, Field(ge=10, le=31536000)] | None = None
    """The pod is stopped after it was idle for so many seconds: an agent that waits for the next
    prompt ends by this alone, and its ticket goes on."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31536000)] | None = None
    """The pod is deleted so many seconds after its end; it counts as a pod until then."""


class TicketSpec(Model):
    """The work."""

    title: Annotated[
        str, Field(min_length=1, max_length=500, pattern=LINE_PATTERN, json_schema_extra=_LINE)
    ]
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
        tuple[
            Annotated[
                str,
                Field(min_length=1, max_length=253, pattern=LINE_PATTERN, json_schema_extra=_LINE),
            ],
            ...,
        ],
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
    auto_run: TicketRun | None = None
    """The pod that is started for it by itself, once it is todo and all that it depends on is
    done. Of a ticket that comes from a GitSource only where the source's kinds have AgentPod."""
    follow_pods: bool | None = None
    """Whether its state follows the pod that claimed it: in_progress, then in_review or todo again.
    As the organization says (spec.tickets.followPods), if not given."""


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
    base_commit: Annotated[str, Field(max_length=64)] | None = None
    """The commit that it started from."""


class TicketClaim(Model):
    """The pod whose work the ticket is: one at a time. Written with compare-and-swap."""

    pod_name: Annotated[str, Field(max_length=63)]
    """Name of the AgentPod."""
    pod_uid: Annotated[str, Field(max_length=64)] = Field(alias="podUID")
    """Its uid."""
    claimed_at: Timestamp
    """When."""
    followed: TicketState | None = None
    """The state that the ticket was given because of this pod; another one is a person's."""
    generation: Annotated[int, Field(ge=0)] | None = None
    """The metadata.generation at which `followed` was decided; absent: it is not being written."""
    seen: TicketState | None = None
    """The state that `followed` replaces, while it is being written."""


class TicketSource(Model):
    """Where the ticket is kept in git."""

    name: Annotated[str, Field(max_length=63)]
    """Name of the GitSource."""
    path: Annotated[str, Field(max_length=1024)]
    """The file, from the root of the repository."""
    blob: Annotated[str, Field(max_length=64)]
    """Object id of its content."""
    commit: Annotated[str, Field(max_length=64)]
    """The commit that it was last applied from."""


class TicketCommit(Model):
    """A commit that names the ticket in a trailer ``Ticket:``."""

    sha: Annotated[str, Field(max_length=64)]
    """Its id."""
    subject: Annotated[str, Field(max_length=256)] = ""
    """The first line of its message."""
    author: Annotated[str, Field(max_length=128)] = ""
    """Name of its author."""


class TicketRuns(Model):
    """Pods that were started for the ticket by themselves."""

    attempts: Annotated[int, Field(ge=0)] = 0
    """How many, since a person last changed its state."""
    total: Annotated[int, Field(ge=0)] = 0
    """How many ever: numbers the pods."""
    last_pod: Annotated[str, Field(max_length=63)] | None = None
    """Name of the last one."""
    rule: Annotated[str, Field(max_length=63)] | None = None
    """The rule of the GitSource; absent: the ticket's own."""
    state: TicketState | None = None
    """The ticket's state as no person has changed it since; another one starts the count anew."""
    given: TicketState | None = None
    """The state that a pod asked for last, until it has come or come to nothing: no person's
    either."""
    asked: Annotated[
        tuple[TicketState, ...],
        Field(max_length=len(TicketState), json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Likewise, before that one, as long as such a change may be on its way into git."""
    depth: Annotated[int, Field(ge=0, le=1000)] | None = None
    """How many pods stand between a person and the next pod, as a pod asked for the state: no more
    than Organization.spec.podDepth; absent: a person did."""
    starting: bool | None = None
    """True while the last pod is being made: it is counted before it is there."""
    started_at: Timestamp | None = None
    """When the last one was started."""


class TicketOutcome(Model):
    """How the last pod that had claimed the ticket ended."""

    pod_name: Annotated[str, Field(max_length=63)]
    """Name of the AgentPod."""
    pod_uid: Annotated[str, Field(max_length=64)] = Field(alias="podUID")
    """Its uid."""
    ended_at: Timestamp
    """When it was seen."""
    reason: Annotated[str, Field(max_length=64)]
    """Committed, NoCommits, NotStarted or Deleted."""
    message: Annotated[str, Field(max_length=512)] = ""
    """The same as a sentence, and what it did to the ticket's state."""


class TicketStatus(Status):
    """What is known of the ticket."""

    progress: Progress | None = None
    """Acceptance items and children that are done."""
    agent_pods: Annotated[tuple[TicketPod, ...], Field(max_length=20)] = ()
    """Pods that work or worked on it, the newest first."""
    children: Annotated[tuple[Name, ...], Field(max_length=256)] = ()
    """Tickets that are a part of it."""
    claim: TicketClaim | None = None
    """The pod whose work it is."""
    source: TicketSource | None = None
    """Where it is kept in git; absent: it is kept here alone."""
    observed_digest: Annotated[str, Field(max_length=80)] | None = None
    """Digest of what the file said when it was last applied."""
    commits: Annotated[tuple[TicketCommit, ...], Field(max_length=20)] = ()
    """Commits that name it in a trailer `Ticket:`, the newest first."""
    runs: TicketRuns | None = None
    """Pods that were started for it by themselves."""
    outcome: TicketOutcome | None = None
    """How the last pod that had claimed it ended."""


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
            Column("Waits", '.status.conditions[?(@.type=="PodWaiting")].reason'),
            Column("Claimed by", ".status.claim.podName", wide=True),
            Column("Auto run", '.status.conditions[?(@.type=="AutoRun")].reason', wide=True),
            Column("File", ".status.source.path", wide=True),
            Column("Done", ".status.progress.done", type="integer", wide=True),
            Column("Of", ".status.progress.total", type="integer", wide=True),
            *READY_COLUMNS,
        ),
        spec_rules=(OWN_PARENT, _LONG_BODY),
        selectable_fields=(".spec.state",),
    )

    spec: TicketSpec
    """The work."""
    status: TicketStatus = TicketStatus()
    """What is known of it."""
