"""Organization: a tenant, and the namespace in which its resources live."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import (
    READY_COLUMNS,
    Column,
    Definition,
    Model,
    Name,
    Object,
    Rule,
    SecretReference,
    Status,
    immutable,
)
from schemas.names import ORGANIZATION


class SubjectKind(StrEnum):
    """Who a member is. Source: RBAC ``Subject``."""

    USER = "User"
    GROUP = "Group"
    SERVICE_ACCOUNT = "ServiceAccount"


class Role(StrEnum):
    """What a member may do."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Subject(Model):
    """A person, a group or a program, as the API server knows it."""

    kind: SubjectKind
    """User, Group or ServiceAccount."""
    name: Annotated[str, Field(min_length=1, max_length=253)]
    """The name that the API server authenticates."""
    namespace: Name | None = None
    """Namespace of a ServiceAccount."""


class Member(Model):
    """One member of an organization."""

    subject: Subject
    """Who."""
    role: Role
    """owner and admin change everything in the namespace, member works with pods and tickets,
    viewer looks."""


class Quota(Model):
    """How much an organization may have at once. What is not given is not limited."""

    runners: Annotated[int, Field(ge=0)] | None = None
    """Runners."""
    agent_pods: Annotated[int, Field(ge=0)] | None = None
    """AgentPods, whatever their state."""
    running_agent_pods: Annotated[int, Field(ge=0)] | None = None
    """AgentPods placed on a runner and not ended; further ones wait, first come first served."""
    pod_hours_per_month: Annotated[int, Field(ge=0)] | None = None
    """Hours of running pods in a calendar month. Recorded; enforced by a later release."""


class NotificationEvent(StrEnum):
    """What is told."""

    WAITING = "Waiting"
    STUCK = "Stuck"
    FAILED = "Failed"
    SUCCEEDED = "Succeeded"


class Webhook(Model):
    """An address that is told of what happens to pods, by POST of a JSON object."""

    name: Name
    """Its name, for messages."""
    url: Annotated[
        str,
        Field(
            max_length=2048,
            pattern=r"^https?://[A-Za-z0-9\[][A-Za-z0-9.:\]_-]*(/[A-Za-z0-9._~/?&=%+-]*)?$",
        ),
    ]
    """https://, or http:// for an address on loopback alone. No user, no password: what is secret
    goes into the Secret."""
    secret_ref: SecretReference | None = None
    """Secret in the organization's namespace: `key` signs each request (X-AgentsMesh-Signature-256:
    sha256=HMAC of the body, hexadecimal), `authorization` becomes that header."""
    events: Annotated[
        tuple[NotificationEvent, ...],
        Field(min_length=1, max_length=8, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = (NotificationEvent.WAITING,)
    """Which: Waiting (a pod waits for a person), Stuck, Failed, Succeeded."""


class Notifications(Model):
    """Who is told what."""

    webhooks: Annotated[
        tuple[Webhook, ...],
        Field(
            max_length=8,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        ),
    ] = ()
    """Addresses."""


class TicketSettings(Model):
    """How tickets and pods go together."""

    follow_pods: bool = True
    """Whether a ticket's state follows the pod that claimed it: in_progress when it starts,
    in_review when it ends with commits, todo again when it ends without. Never against what a
    person wrote since."""
    max_concurrent_runs: Annotated[int, Field(ge=0, le=1000)] = 5
    """So many pods at once are started by tickets themselves (autoRun); 0: none."""


class OrganizationSpec(Model):
    """What the organization is and may have."""

    display_name: Annotated[str, Field(max_length=128)] | None = None
    """Name for people."""
    namespace_name: Name | None = None
    """Namespace of the organization; its own name if not given. Cannot be changed. A namespace
    that was made for the organization is deleted with it; one that was there before is kept."""
    members: Annotated[tuple[Member, ...], Field(min_length=1, max_length=256)]
    """Who belongs to it; at least one owner."""
    quota: Quota | None = None
    """Limits on what it may have."""
    pod_depth: Annotated[int, Field(ge=0, le=16)] = 2
    """How deep pods may make pods with create_pod: 0 not at all, 1 pods that people made may, 2
    their children may, too."""
    notifications: Notifications = Notifications()
    """Who is told when a pod waits for a person."""
    tickets: TicketSettings = TicketSettings()
    """How tickets and pods go together."""
    suspend: bool = False
    """Leave everything as it is: no pod is placed while true."""


class OrganizationUsage(Model):
    """What the organization has."""

    runners: int = 0
    """Runners."""
    agent_pods: int = 0
    """AgentPods."""
    running_agent_pods: int = 0
    """AgentPods placed on a runner and not ended."""


class OrganizationStatus(Status):
    """What is known of the organization."""

    namespace: Annotated[str, Field(max_length=63)] | None = None
    """The namespace that it has."""
    usage: OrganizationUsage | None = None
    """What it has, beside spec.quota."""


class Organization(Object):
    """A tenant: its members, its limits, and the namespace in which its resources live."""

    definition: ClassVar = Definition(
        resource=ORGANIZATION,
        short_names=("org",),
        columns=(
            Column("Namespace", ".status.namespace"),
            Column("Pods", ".status.usage.agentPods", type="integer"),
            *READY_COLUMNS,
        ),
        spec_rules=(
            immutable("namespaceName"),
            Rule(
                "self.members.exists(m, m.role == 'owner')",
                "at least one member must have the role owner",
                ".members",
            ),
        ),
    )

    spec: OrganizationSpec
    """What the organization is and may have."""
    status: OrganizationStatus = OrganizationStatus()
    """What is known of the organization."""

    @property
    def namespace(self) -> str:
        """The namespace in which its resources live."""
        return self.spec.namespace_name or self.metadata.name
