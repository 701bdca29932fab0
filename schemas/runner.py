"""Runner and RunnerEnrollment: a machine that runs pods, and how it comes in."""

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
)
from schemas.names import RUNNER, RUNNER_ENROLLMENT


class Capacity(Model):
    """How much a runner takes."""

    max_pods: Annotated[int, Field(ge=0, le=10000)] | None = None
    """AgentPods at the same time; as many as the runner itself allows if not given."""


class RunnerSpec(Model):
    """What the runner may be used for."""

    description: Annotated[str, Field(max_length=256)] | None = None
    """Text for people."""
    capacity: Capacity | None = None
    """How much it takes."""
    cordoned: bool = False
    """True: no new pod is placed on it."""
    suspend: bool = False
    """True: banned. Its connection is closed and its certificate is not renewed."""
    min_issued_at: Timestamp | None = None
    """Certificates issued earlier are refused: revokes all of them at once."""


class RunnerPhase(StrEnum):
    """A summary; the conditions say more."""

    PENDING = "Pending"
    ONLINE = "Online"
    OFFLINE = "Offline"
    BANNED = "Banned"


class Certificate(Model):
    """A certificate that was issued to the runner."""

    serial: Annotated[str, Field(max_length=64)]
    """Serial number, lower-case hexadecimal."""
    fingerprint: Annotated[str, Field(max_length=128)]
    """SHA-256 of the certificate, hexadecimal."""
    public_key_sha256: Annotated[str, Field(max_length=64)] = ""
    """SHA-256 of its public key (SubjectPublicKeyInfo), hexadecimal."""
    not_before: Timestamp
    """Valid from."""
    not_after: Timestamp
    """Valid until."""
    issued_at: Timestamp
    """When it was issued."""


class Platform(Model):
    """The runner's machine."""

    os: Annotated[str, Field(max_length=64)] = ""
    """Operating system."""
    arch: Annotated[str, Field(max_length=64)] = ""
    """Processor architecture."""
    hostname: Annotated[str, Field(max_length=253)] = ""
    """Name of the machine."""


class RunnerStatus(Status):
    """What is known of the runner."""

    phase: RunnerPhase | None = None
    """Pending, Online, Offline or Banned."""
    certificate: Certificate | None = None
    """The certificate in force. Written by the enrolment service."""
    previous_certificate: Certificate | None = None
    """The one before, accepted for an hour after a renewal. Written by the enrolment service."""
    version: Annotated[str, Field(max_length=64)] | None = None
    """Version of the runner program."""
    protocol_version: int | None = None
    """Version of the protocol that is spoken."""
    platform: Platform | None = None
    """Its machine."""
    isolations: Annotated[
        tuple[Annotated[str, Field(max_length=32)], ...], Field(max_length=8)
    ] = ()
    """Sandboxes that it can make, best first; none where its operator lets pods do without.

    landlock-partial is one that is not enough for a pod that requires a sandbox.
    """
    limits: dict[str, Annotated[str, Field(max_length=64)]] = Field(
        default_factory=dict, max_length=16
    )
    """How it keeps each of resources.limits: cgroup2, cgroup1, rlimit, watched or none."""
    max_pods: int | None = None
    """How many pods it takes: the smaller of spec.capacity.maxPods and its own limit."""
    running: int | None = None
    """Pods placed on it that have not ended."""


class Runner(Object):
    """A machine that runs agent pods. Made at enrolment, or before it by an administrator."""

    definition: ClassVar = Definition(
        resource=RUNNER,
        short_names=("rn",),
        columns=(
            Column("Phase", ".status.phase"),
            Column("Version", ".status.version"),
            Column("Pods", ".status.running", type="integer"),
            Column("Cap", ".status.maxPods", type="integer"),
            *READY_COLUMNS,
        ),
        selectable_fields=(".status.phase",),
    )

    spec: RunnerSpec = RunnerSpec()
    """What the runner may be used for."""
    status: RunnerStatus = RunnerStatus()
    """What is known of the runner."""


class RunnerEnrollmentSpec(Model):
    """Who may enrol with the token, how often and until when. Cannot be changed."""

    runner_name: Name | None = None
    """The Runner that the token enrols; the runner chooses if not given."""
    runner_name_prefix: (
        Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*)?$")]
        | None
    ) = None
    """What the runner's chosen name must start with."""
    ttl_seconds: Annotated[int, Field(ge=1, le=86400)] = 900
    """How long the token is valid after this resource was created."""
    max_uses: Annotated[int, Field(ge=1, le=100)] = 1
    """How many runners it enrols."""
    runner_labels: (
        Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] | None
    ) = None
    """Labels for the Runners that it makes."""
    token_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)] | None = None
    """SHA-256 of the token, hexadecimal. The token itself is never stored. Without one nothing can
    be enrolled (agentsmesh enroll create sets it)."""
    replace: bool = False
    """Whether runnerName may already exist and be enrolled: it gets a new key, the old certificate
    ends."""


class EnrollmentUse(Model):
    """One use of the token."""

    runner_name: Annotated[str, Field(max_length=63)]
    """The Runner."""
    runner_uid: Annotated[str, Field(max_length=64)] = ""
    """Its uid."""
    public_key_sha256: Annotated[str, Field(max_length=64)]
    """SHA-256 of the public key that was enrolled, hexadecimal."""
    at: Timestamp
    """When."""
    remote_address: Annotated[str, Field(max_length=128)] = ""
    """From where."""


class RunnerEnrollmentStatus(Status):
    """What is known of the enrolment."""

    uses: Annotated[tuple[EnrollmentUse, ...], Field(max_length=100)] = ()
    """Who used it. Written by the enrolment service."""
    remaining: int | None = None
    """Uses left."""
    expires_at: Timestamp | None = None
    """Until when the token is valid."""


class RunnerEnrollment(Object):
    """A join token as a resource, without the secret."""

    definition: ClassVar = Definition(
        resource=RUNNER_ENROLLMENT,
        short_names=("renr",),
        columns=(
            Column("Runner", ".spec.runnerName"),
            Column("Remaining", ".status.remaining", type="integer"),
            Column("Expires", ".status.expiresAt", type="string"),
            *READY_COLUMNS,
        ),
        spec_rules=(
            Rule("self == oldSelf", "spec is immutable: delete the enrolment and make a new one"),
            Rule(
                "!(has(self.runnerName) && has(self.runnerNamePrefix))",
                "give runnerName or runnerNamePrefix, not both",
            ),
            Rule(
                "!self.replace || has(self.runnerName)",
                "replace needs runnerName",
                ".replace",
            ),
        ),
    )

    spec: RunnerEnrollmentSpec
    """Who may enrol with the token, how often and until when."""
    status: RunnerEnrollmentStatus = RunnerEnrollmentStatus()
    """What is known of the enrolment."""
