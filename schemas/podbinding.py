"""PodBinding: what one pod may do with another pod's terminal."""

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
    Status,
    Timestamp,
    immutable,
)
from schemas.names import POD_BINDING, BindingState, Scope

Scopes = Annotated[
    tuple[Scope, ...],
    Field(max_length=2, json_schema_extra={"x-kubernetes-list-type": "set"}),
]


class Approval(StrEnum):
    """Whose word makes a binding hold."""

    GRANTED = "Granted"
    REQUIRED = "Required"


class PodBindingSpec(Model):
    """Who may do what with whose terminal. Pods and approval are fixed; scopes may only grow."""

    initiator: Name
    """The AgentPod that gets the rights."""
    target: Name
    """The AgentPod whose terminal it is."""
    scopes: Annotated[
        tuple[Scope, ...],
        Field(min_length=1, max_length=2, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ]
    """terminal:read to look, terminal:write to type."""
    approval: Approval = Approval.GRANTED
    """Granted: whoever made the PodBinding approves of it. Required: the target pod must accept;
    so are those that pods ask for with bind_pod."""
    initiator_uid: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, alias="initiatorUID"
    )
    """Holds for this AgentPod alone, not for a later one of its name."""
    target_uid: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, alias="targetUID"
    )
    """Holds for this AgentPod alone, not for a later one of its name."""
    expires_at: Timestamp | None = None
    """The rights end then."""
    reason: Annotated[str, Field(max_length=500)] | None = None
    """What it is for."""


class DecisionState(StrEnum):
    """What was decided."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ENDED = "ended"


class BindingDecision(Model):
    """What a pod said of the binding: written by the binding service, never computed."""

    state: DecisionState
    """accepted or rejected by the target; ended by either side."""
    scopes: Scopes = ()
    """What is accepted. Stays when a request for more is rejected."""
    reason: Annotated[str, Field(max_length=500)] | None = None
    """Why it was rejected."""
    by: Annotated[str, Field(max_length=63)]
    """The pod that decided; the initiator where both pods have the same creator."""
    initiator_uid: Annotated[str, Field(max_length=64)] = Field(alias="initiatorUID")
    """The initiator that it was decided for: it says nothing about a later pod of its name."""
    target_uid: Annotated[str, Field(max_length=64)] = Field(alias="targetUID")
    """The target that it was decided for, likewise."""
    at: Timestamp
    """When."""


class PodBindingStatus(Status):
    """What is known of the binding."""

    state: BindingState | None = None
    """pending, active, rejected, inactive or expired."""
    granted_scopes: Scopes = ()
    """What the initiator may do now."""
    pending_scopes: Scopes = ()
    """What it asked for and the target has not answered."""
    initiator_uid: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, alias="initiatorUID"
    )
    """The AgentPod that the rights belong to."""
    target_uid: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="targetUID")
    """The AgentPod whose terminal it is."""
    requested_at: Timestamp | None = None
    """When it was last asked for: an unanswered request expires 24 hours later."""
    requested_scopes: Scopes = ()
    """What was asked for then, beside what is granted."""
    decision: BindingDecision | None = None
    """What a pod decided."""


class PodBinding(Object):
    """Rights of one pod, the initiator, on the terminal of another, the target."""

    definition: ClassVar = Definition(
        resource=POD_BINDING,
        short_names=("pb",),
        columns=(
            Column("Initiator", ".spec.initiator"),
            Column("Target", ".spec.target"),
            Column("State", ".status.state"),
            Column("Granted", ".status.grantedScopes", wide=True),
            *READY_COLUMNS,
        ),
        spec_rules=(
            immutable("initiator"),
            immutable("target"),
            immutable("approval"),
            immutable("initiatorUID"),
            immutable("targetUID"),
            Rule(
                "oldSelf.scopes.all(s, s in self.scopes)",
                "scopes can only grow: delete the PodBinding to take rights away",
                ".scopes",
            ),
            Rule(
                "self.initiator != self.target",
                "initiator and target must be different pods: a pod needs no binding to itself",
                ".target",
            ),
        ),
    )

    spec: PodBindingSpec
    """Who may do what."""
    status: PodBindingStatus = PodBindingStatus()
    """What is known of it."""
