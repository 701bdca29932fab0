"""What every kind shares: the base of all models, metadata, references, conditions.

A field's docstring becomes its description in the CRD, and so the text of ``kubectl explain``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from schemas.names import Resource

Name = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
]
"""A DNS-1123 label: what a resource of ours is called."""

Text = Annotated[str, Field(max_length=1024)]
"""One sentence, or a few, for people."""

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, max_length=40)]
"""RFC 3339, in UTC, to the second."""


class Model(BaseModel):
    """A value on the API: camelCase outside, snake_case inside, never changed once made."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    def manifest(self) -> dict[str, Any]:
        """Return the value as it stands in a manifest: camelCase, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ConditionStatus(StrEnum):
    """What is known of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One aspect of the resource's state. Source: Kubernetes ``metav1.Condition``."""

    type: Annotated[str, Field(max_length=316)]
    """What the condition is about, such as Ready."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """Why, as one CamelCase word for programs."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why, as a sentence for people."""
    last_transition_time: Timestamp
    """When the status last changed."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The metadata.generation that the condition was computed from."""


class Status(Model):
    """What every status has."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The metadata.generation that this status was computed from."""
    last_handled_request_at: Annotated[str, Field(max_length=256)] | None = None
    """The last value of the annotation agentsmesh.io/requested-at that was acted upon."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        ),
    ] = ()
    """What is known of the resource, one aspect each. Ready sums it up."""


class LocalReference(Model):
    """A reference to a resource in the same namespace."""

    name: Name
    """Name of the resource."""


class SecretReference(Model):
    """A reference to a Secret in the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the Secret."""


class OwnerReference(Model):
    """Who the resource belongs to."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class Metadata(Model):
    """The part of ``ObjectMeta`` that we read."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def deleting(self) -> bool:
        """Whether the resource has been deleted and waits for its finalizers."""
        return self.deletion_timestamp is not None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``kubectl get``."""

    name: str
    path: str
    """Simple JSONPath below the object, such as ``.status.phase``."""
    type: str = "string"
    wide: bool = False
    """Shown by ``-o wide`` only."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule of ``spec``, or of a field. Source: Kubernetes ``x-kubernetes-validations``."""

    rule: str
    message: str
    field_path: str = ""


def worded(*rules: Rule) -> dict[str, Any]:
    """Return what a field's schema says in place of its pattern, which explains itself to nobody.

    The model keeps the pattern; together the rules must refuse whatever it refuses. What is left of
    the pattern refuses NUL: CEL in C++ sees texts only as far as that.
    """
    said = [{"rule": rule.rule, "message": rule.message} for rule in rules]
    return {"pattern": r"^[^\x00]*$", "x-kubernetes-validations": said}


@dataclass(frozen=True, slots=True)
class Definition:
    """What the CRD of a kind says beside its schema."""

    resource: Resource
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    spec_rules: tuple[Rule, ...] = ()
    selectable_fields: tuple[str, ...] = ()
    root_rules: tuple[Rule, ...] = field(default=())


READY_COLUMNS = (
    Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
    Column("Age", ".metadata.creationTimestamp", type="date"),
    Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', wide=True),
    Column("Message", '.status.conditions[?(@.type=="Ready")].message', wide=True),
)
"""Every kind ends with these."""


class Object(Model):
    """A custom resource of ours: subclasses add ``spec`` and ``status``."""

    definition: ClassVar[Definition]
    """Its CRD, beside the schema."""

    api_version: str = ""
    kind: str = ""
    metadata: Metadata


def immutable(name: str) -> Rule:
    """Return the rule that ``spec.<name>`` never changes, and is neither added nor removed.

    Stated on the parent: a transition rule on an optional field does not run when the field is
    added or removed.
    """
    return Rule(
        rule=f"has(self.{name}) == has(oldSelf.{name}) && "
        f"(!has(self.{name}) || self.{name} == oldSelf.{name})",
        message=f"{name} is immutable: delete the resource and make a new one",
        field_path=f".{name}",
    )
