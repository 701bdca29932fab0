"""GitSource: a folder of a git branch whose files are tickets and manifests, kept in step."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from schemas.agentpod import GitRef
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
from schemas.names import GIT_SOURCE
from schemas.ticket import TicketRun, TicketState

DURATION_PATTERN: Final = r"^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,8}s)?$"

_PATH: Final = r"^[^/\x00-\x1f\x7f\\][^\x00-\x1f\x7f\\]*$"


class SourcedKind(StrEnum):
    """Kinds of manifests that a source may hold."""

    AGENT_POD = "AgentPod"
    CHANNEL = "Channel"
    POD_BINDING = "PodBinding"
    REPOSITORY = "Repository"
    RUNNER = "Runner"
    TICKET = "Ticket"


class DeletionPolicy(StrEnum):
    """What follows when the GitSource itself is deleted."""

    ORPHAN = "Orphan"
    DELETE = "Delete"


class PruneLimits(Model):
    """How many resources may go at once without anybody being asked."""

    max_count: Annotated[int, Field(ge=0, le=100_000)] = 10
    """So many are always deleted without asking."""
    max_percent: Annotated[int, Field(ge=0, le=100)] = 10
    """More only up to this share of all that the source has."""


class CommitAuthor(Model):
    """Whose name stands on commits that no pod and no person caused."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f<>]+$")] = (
        "AgentsMesh"
    )
    """Name."""
    email: Annotated[
        str,
        Field(min_length=3, max_length=254, pattern=r"^[^\x00-\x20\x7f<>@]+@[^\x00-\x20\x7f<>@]+$"),
    ] = "agentsmesh@agentsmesh.invalid"
    """Address."""


class WriteBack(Model):
    """How what agents, people and the controller change comes back as commits."""

    enabled: bool = False
    """Whether commits are made and pushed. Without it the tickets of the source are changed in git
    alone."""
    new_tickets: bool = True
    """Whether tickets that are made by tools and commands become files of this source."""
    author: CommitAuthor = CommitAuthor()
    """Committer of all commits, and author of those that nobody else caused."""


class SecretKey(Model):
    """One value of a Secret in the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the Secret."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = "token"
    """Key in it."""


class GitWebhook(Model):
    """A call that tells of a push, so that nobody waits for the interval."""

    secret_ref: SecretKey
    """What signs it: HMAC-SHA256 of the body (X-Hub-Signature-256, X-Gitea-Signature), or the
    token itself (X-Gitlab-Token)."""


class AutoRunRule(TicketRun):
    """Tickets of the source for which pods are started by themselves."""

    name: Name
    """Its name, for messages."""
    labels: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=63)], ...],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Labels that the ticket has, all of them; none: every ticket."""
    states: Annotated[
        tuple[TicketState, ...],
        Field(min_length=1, max_length=6, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = (TicketState.TODO,)
    """States of the ticket."""
    max_concurrent: Annotated[int, Field(ge=1, le=1000)] = 1
    """So many pods of this rule are there at once."""


def _plain(path: str) -> str:
    """Return the one way to write a folder: ``./fleet/`` and ``fleet`` are the same."""
    return "/".join(part for part in path.split("/") if part not in {"", "."}) or "."


class GitSourceSpec(Model):
    """What is kept in step, and how."""

    repository_ref: LocalReference
    """The Repository, in the same namespace."""
    branch: GitRef | None = None
    """The branch; the repository's default branch if not given."""
    path: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            pattern=_PATH,
            json_schema_extra=worded(
                Rule("!self.startsWith('/')", "must be relative: no / at its beginning"),
                Rule(
                    r"!self.matches(r'[\x00-\x1f\x7f\\]')",
                    "must not have control characters or backslashes",
                ),
                Rule(
                    "!self.split('/').exists(s, s == '..' || s.lowerAscii() == '.git')",
                    "must not contain '..' or '.git'",
                ),
            ),
        ),
        AfterValidator(_plain),
    ] = "."
    """The folder of the repository; . is all of it."""
    kinds: Annotated[
        tuple[SourcedKind, ...],
        Field(max_length=8, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = (
        SourcedKind.AGENT_POD,
        SourcedKind.CHANNEL,
        SourcedKind.POD_BINDING,
        SourcedKind.TICKET,
    )
    """Kinds that its files may be. Whoever can push to the branch makes these: Repository and
    Runner only where they are named here."""
    interval: Annotated[
        str,
        Field(
            min_length=2,
            max_length=32,
            pattern=DURATION_PATTERN,
            json_schema_extra=worded(
                Rule(
                    "self.matches('^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,8}s)?$')",
                    "must be a duration such as 60s, 5m or 1h30m",
                ),
                Rule(
                    "!self.matches('^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,8}s)?$') || "
                    "duration(self) >= duration('5s')",
                    "must be at least 5s",
                ),
            ),
        ),
    ] = "60s"
    """How often the repository is asked for news, at least 5s: 60s, 5m, 1h30m."""
    prune: bool = True
    """Whether resources are deleted whose files are gone."""
    prune_limits: PruneLimits = PruneLimits()
    """How many may go at once. Beyond it nothing is deleted until the annotation
    agentsmesh.io/allow-prune names the commit."""
    deletion_policy: DeletionPolicy = DeletionPolicy.ORPHAN
    """When the GitSource is deleted: Orphan leaves its resources, Delete deletes them."""
    write_back: WriteBack = WriteBack()
    """How changes come back as commits."""
    webhook: GitWebhook | None = None
    """Who may tell of a push: POST to /webhooks/git/<namespace>/<name> of the controller."""
    auto_run: Annotated[
        tuple[AutoRunRule, ...],
        Field(
            max_length=16,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        ),
    ] = ()
    """Tickets of the source for which pods are started by themselves; the first rule that fits."""
    suspend: bool = False
    """Leave everything as it is: nothing is read or written while true."""


class FileCounts(Model):
    """How many files there are."""

    total: Annotated[int, Field(ge=0)] = 0
    """Files that were looked at."""
    synced: Annotated[int, Field(ge=0)] = 0
    """Files whose resource is as they say."""
    invalid: Annotated[int, Field(ge=0)] = 0
    """Files that cannot be used, or were refused."""
    duplicate: Annotated[int, Field(ge=0)] = 0
    """Files that claim what another file has."""
    pending: Annotated[int, Field(ge=0)] = 0
    """Files that are still to be applied."""


class FileError(Model):
    """What is wrong with a file."""

    path: Annotated[str, Field(max_length=1024)]
    """The file, from the root of the repository."""
    line: Annotated[int, Field(ge=1)] | None = None
    """The line, from 1."""
    reason: Annotated[str, Field(min_length=1, max_length=64)]
    """Why, as one word."""
    message: Annotated[str, Field(max_length=512)]
    """Why, as a sentence: the field, and what to do."""


class Inventory(Model):
    """What the source has made."""

    count: Annotated[int, Field(ge=0)] = 0
    """Resources."""
    digest: Annotated[str, Field(max_length=80)] = ""
    """Digest of kinds, names and contents."""


class WriteBackStatus(Model):
    """How the commits do."""

    pending: Annotated[int, Field(ge=0)] = 0
    """Changes that are not pushed yet."""
    last_commit: Annotated[str, Field(max_length=64)] | None = None
    """The last commit that was pushed."""
    last_push_at: Timestamp | None = None
    """When."""


class GitSourceStatus(Status):
    """What is known of the source."""

    observed_commit: Annotated[str, Field(max_length=64)] | None = None
    """The commit that was fetched last."""
    applied_commit: Annotated[str, Field(max_length=64)] | None = None
    """The commit whose files are all applied, but for those listed as errors."""
    last_sync_at: Timestamp | None = None
    """When the repository last had something new."""
    files: FileCounts | None = None
    """How many files there are."""
    inventory: Inventory | None = None
    """What the source has made."""
    errors: Annotated[tuple[FileError, ...], Field(max_length=20)] = ()
    """The first files that cannot be used, by path."""
    write_back: WriteBackStatus | None = None
    """How the commits do."""


class GitSource(Object):
    """A folder of a git branch whose files are tickets and manifests, kept in step both ways."""

    definition: ClassVar = Definition(
        resource=GIT_SOURCE,
        short_names=("gsrc",),
        columns=(
            Column("Repository", ".spec.repositoryRef.name"),
            Column("Path", ".spec.path"),
            Column("Applied", ".status.appliedCommit"),
            Column("Files", ".status.files.total", type="integer"),
            Column("Invalid", ".status.files.invalid", type="integer"),
            Column("Observed", ".status.observedCommit", wide=True),
            *READY_COLUMNS,
        ),
    )

    spec: GitSourceSpec
    """What is kept in step, and how."""
    status: GitSourceStatus = GitSourceStatus()
    """What is known of the source."""
