# Generated from meshwire/v1/link.proto (sha256 5d09be8449f4) by proto/generate.py. Do not edit.
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PodState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POD_STATE_UNSPECIFIED: _ClassVar[PodState]
    PREPARING: _ClassVar[PodState]
    STARTING: _ClassVar[PodState]
    RUNNING: _ClassVar[PodState]
    STOPPING: _ClassVar[PodState]
    SUCCEEDED: _ClassVar[PodState]
    FAILED: _ClassVar[PodState]
    REMOVED: _ClassVar[PodState]

class DesiredState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DESIRED_STATE_UNSPECIFIED: _ClassVar[DesiredState]
    RUN: _ClassVar[DesiredState]
    STOP: _ClassVar[DesiredState]
    REMOVE: _ClassVar[DesiredState]
    SUSPEND: _ClassVar[DesiredState]

class PromptPosition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROMPT_NONE: _ClassVar[PromptPosition]
    PROMPT_ARGUMENT: _ClassVar[PromptPosition]
    PROMPT_FLAG: _ClassVar[PromptPosition]
    PROMPT_TYPED: _ClassVar[PromptPosition]

class RestartPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESTART_NEVER: _ClassVar[RestartPolicy]
    RESTART_ON_FAILURE: _ClassVar[RestartPolicy]

class ViewStart(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VIEW_START_SCREEN: _ClassVar[ViewStart]
    VIEW_START_OFFSET: _ClassVar[ViewStart]

class DeliveryState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_STATE_UNSPECIFIED: _ClassVar[DeliveryState]
    DELIVERY_ACCEPTED: _ClassVar[DeliveryState]
    DELIVERY_SUBMITTED: _ClassVar[DeliveryState]
    DELIVERY_FAILED: _ClassVar[DeliveryState]
    DELIVERY_QUEUED: _ClassVar[DeliveryState]
POD_STATE_UNSPECIFIED: PodState
PREPARING: PodState
STARTING: PodState
RUNNING: PodState
STOPPING: PodState
SUCCEEDED: PodState
FAILED: PodState
REMOVED: PodState
DESIRED_STATE_UNSPECIFIED: DesiredState
RUN: DesiredState
STOP: DesiredState
REMOVE: DesiredState
SUSPEND: DesiredState
PROMPT_NONE: PromptPosition
PROMPT_ARGUMENT: PromptPosition
PROMPT_FLAG: PromptPosition
PROMPT_TYPED: PromptPosition
RESTART_NEVER: RestartPolicy
RESTART_ON_FAILURE: RestartPolicy
VIEW_START_SCREEN: ViewStart
VIEW_START_OFFSET: ViewStart
DELIVERY_STATE_UNSPECIFIED: DeliveryState
DELIVERY_ACCEPTED: DeliveryState
DELIVERY_SUBMITTED: DeliveryState
DELIVERY_FAILED: DeliveryState
DELIVERY_QUEUED: DeliveryState

class GetBundleRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TrustBundle(_message.Message):
    __slots__ = ("sequence", "roots_der")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ROOTS_DER_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    roots_der: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, sequence: _Optional[int] = ..., roots_der: _Optional[_Iterable[bytes]] = ...) -> None: ...

class EnrollRequest(_message.Message):
    __slots__ = ("enrollment", "namespace", "token", "csr_der", "requested_name", "info", "wall_clock_unix_ms")
    ENROLLMENT_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CSR_DER_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_NAME_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    WALL_CLOCK_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    enrollment: str
    namespace: str
    token: str
    csr_der: bytes
    requested_name: str
    info: RunnerInfo
    wall_clock_unix_ms: int
    def __init__(self, enrollment: _Optional[str] = ..., namespace: _Optional[str] = ..., token: _Optional[str] = ..., csr_der: _Optional[bytes] = ..., requested_name: _Optional[str] = ..., info: _Optional[_Union[RunnerInfo, _Mapping]] = ..., wall_clock_unix_ms: _Optional[int] = ...) -> None: ...

class EnrollResponse(_message.Message):
    __slots__ = ("spiffe_id", "runner_uid", "chain_der", "bundle", "control_endpoints", "renew_after_unix")
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    RUNNER_UID_FIELD_NUMBER: _ClassVar[int]
    CHAIN_DER_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    RENEW_AFTER_UNIX_FIELD_NUMBER: _ClassVar[int]
    spiffe_id: str
    runner_uid: str
    chain_der: _containers.RepeatedScalarFieldContainer[bytes]
    bundle: TrustBundle
    control_endpoints: _containers.RepeatedScalarFieldContainer[str]
    renew_after_unix: int
    def __init__(self, spiffe_id: _Optional[str] = ..., runner_uid: _Optional[str] = ..., chain_der: _Optional[_Iterable[bytes]] = ..., bundle: _Optional[_Union[TrustBundle, _Mapping]] = ..., control_endpoints: _Optional[_Iterable[str]] = ..., renew_after_unix: _Optional[int] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("csr_der", "wall_clock_unix_ms")
    CSR_DER_FIELD_NUMBER: _ClassVar[int]
    WALL_CLOCK_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    csr_der: bytes
    wall_clock_unix_ms: int
    def __init__(self, csr_der: _Optional[bytes] = ..., wall_clock_unix_ms: _Optional[int] = ...) -> None: ...

class RenewResponse(_message.Message):
    __slots__ = ("chain_der", "bundle", "renew_after_unix")
    CHAIN_DER_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    RENEW_AFTER_UNIX_FIELD_NUMBER: _ClassVar[int]
    chain_der: _containers.RepeatedScalarFieldContainer[bytes]
    bundle: TrustBundle
    renew_after_unix: int
    def __init__(self, chain_der: _Optional[_Iterable[bytes]] = ..., bundle: _Optional[_Union[TrustBundle, _Mapping]] = ..., renew_after_unix: _Optional[int] = ...) -> None: ...

class RunnerInfo(_message.Message):
    __slots__ = ("version", "os", "arch", "hostname", "isolations", "limits", "max_pods")
    class LimitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OS_FIELD_NUMBER: _ClassVar[int]
    ARCH_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    ISOLATIONS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    MAX_PODS_FIELD_NUMBER: _ClassVar[int]
    version: str
    os: str
    arch: str
    hostname: str
    isolations: _containers.RepeatedScalarFieldContainer[str]
    limits: _containers.ScalarMap[str, str]
    max_pods: int
    def __init__(self, version: _Optional[str] = ..., os: _Optional[str] = ..., arch: _Optional[str] = ..., hostname: _Optional[str] = ..., isolations: _Optional[_Iterable[str]] = ..., limits: _Optional[_Mapping[str, str]] = ..., max_pods: _Optional[int] = ...) -> None: ...

class RunnerMessage(_message.Message):
    __slots__ = ("seq", "hello", "heartbeat", "observed_snapshot", "observed", "resync", "goodbye", "agents")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    RESYNC_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    hello: Hello
    heartbeat: Heartbeat
    observed_snapshot: ObservedSnapshot
    observed: Observed
    resync: ResyncRequest
    goodbye: Goodbye
    agents: AgentsFound
    def __init__(self, seq: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., observed_snapshot: _Optional[_Union[ObservedSnapshot, _Mapping]] = ..., observed: _Optional[_Union[Observed, _Mapping]] = ..., resync: _Optional[_Union[ResyncRequest, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., agents: _Optional[_Union[AgentsFound, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("runner_uid", "boot_id", "instance_id", "protocol_min", "protocol_max", "features", "info", "last_controller_epoch", "last_revision", "wall_clock_unix_ms")
    RUNNER_UID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MAX_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    LAST_CONTROLLER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    LAST_REVISION_FIELD_NUMBER: _ClassVar[int]
    WALL_CLOCK_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    runner_uid: str
    boot_id: str
    instance_id: str
    protocol_min: int
    protocol_max: int
    features: _containers.RepeatedScalarFieldContainer[str]
    info: RunnerInfo
    last_controller_epoch: int
    last_revision: int
    wall_clock_unix_ms: int
    def __init__(self, runner_uid: _Optional[str] = ..., boot_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., protocol_min: _Optional[int] = ..., protocol_max: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., info: _Optional[_Union[RunnerInfo, _Mapping]] = ..., last_controller_epoch: _Optional[int] = ..., last_revision: _Optional[int] = ..., wall_clock_unix_ms: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("beat", "running")
    BEAT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    beat: int
    running: int
    def __init__(self, beat: _Optional[int] = ..., running: _Optional[int] = ...) -> None: ...

class ObservedSnapshot(_message.Message):
    __slots__ = ("pods", "last")
    PODS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    pods: _containers.RepeatedCompositeFieldContainer[PodObserved]
    last: bool
    def __init__(self, pods: _Optional[_Iterable[_Union[PodObserved, _Mapping]]] = ..., last: _Optional[bool] = ...) -> None: ...

class Observed(_message.Message):
    __slots__ = ("pods",)
    PODS_FIELD_NUMBER: _ClassVar[int]
    pods: _containers.RepeatedCompositeFieldContainer[PodObserved]
    def __init__(self, pods: _Optional[_Iterable[_Union[PodObserved, _Mapping]]] = ...) -> None: ...

class ResyncRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class AgentsFound(_message.Message):
    __slots__ = ("agents",)
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[AgentFound]
    def __init__(self, agents: _Optional[_Iterable[_Union[AgentFound, _Mapping]]] = ...) -> None: ...

class AgentFound(_message.Message):
    __slots__ = ("looked_for", "path", "problem", "version")
    LOOKED_FOR_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    looked_for: AgentProgram
    path: str
    problem: str
    version: str
    def __init__(self, looked_for: _Optional[_Union[AgentProgram, _Mapping]] = ..., path: _Optional[str] = ..., problem: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class PodObserved(_message.Message):
    __slots__ = ("ref", "namespace", "name", "generation", "spec_digest", "state", "orphan", "started_unix_ms", "finished_unix_ms", "exit_code", "signal", "reason", "message", "restarts", "terminal_bytes", "worktree", "isolation", "network", "pid", "activity", "initialized", "tools_listed_unix_ms", "suspended", "activity_unix_ms", "activity_evidence", "stuck", "limits", "conditions", "agent_version", "prompt_given", "stopped")
    class LimitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REF_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SPEC_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ORPHAN_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    WORKTREE_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    INITIALIZED_FIELD_NUMBER: _ClassVar[int]
    TOOLS_LISTED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    STUCK_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_GIVEN_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    ref: PodRef
    namespace: str
    name: str
    generation: int
    spec_digest: str
    state: PodState
    orphan: bool
    started_unix_ms: int
    finished_unix_ms: int
    exit_code: int
    signal: int
    reason: str
    message: str
    restarts: int
    terminal_bytes: int
    worktree: Worktree
    isolation: str
    network: str
    pid: int
    activity: str
    initialized: bool
    tools_listed_unix_ms: int
    suspended: bool
    activity_unix_ms: int
    activity_evidence: str
    stuck: str
    limits: _containers.ScalarMap[str, str]
    conditions: _containers.RepeatedCompositeFieldContainer[PodCondition]
    agent_version: str
    prompt_given: bool
    stopped: bool
    def __init__(self, ref: _Optional[_Union[PodRef, _Mapping]] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., generation: _Optional[int] = ..., spec_digest: _Optional[str] = ..., state: _Optional[_Union[PodState, str]] = ..., orphan: _Optional[bool] = ..., started_unix_ms: _Optional[int] = ..., finished_unix_ms: _Optional[int] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., restarts: _Optional[int] = ..., terminal_bytes: _Optional[int] = ..., worktree: _Optional[_Union[Worktree, _Mapping]] = ..., isolation: _Optional[str] = ..., network: _Optional[str] = ..., pid: _Optional[int] = ..., activity: _Optional[str] = ..., initialized: _Optional[bool] = ..., tools_listed_unix_ms: _Optional[int] = ..., suspended: _Optional[bool] = ..., activity_unix_ms: _Optional[int] = ..., activity_evidence: _Optional[str] = ..., stuck: _Optional[str] = ..., limits: _Optional[_Mapping[str, str]] = ..., conditions: _Optional[_Iterable[_Union[PodCondition, _Mapping]]] = ..., agent_version: _Optional[str] = ..., prompt_given: _Optional[bool] = ..., stopped: _Optional[bool] = ...) -> None: ...

class PodCondition(_message.Message):
    __slots__ = ("type", "status", "reason", "message")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    type: str
    status: bool
    reason: str
    message: str
    def __init__(self, type: _Optional[str] = ..., status: _Optional[bool] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Worktree(_message.Message):
    __slots__ = ("branch", "commit", "dirty", "saved_ref", "note", "kept_files", "base_commit")
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    DIRTY_FIELD_NUMBER: _ClassVar[int]
    SAVED_REF_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    KEPT_FILES_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    branch: str
    commit: str
    dirty: bool
    saved_ref: str
    note: str
    kept_files: str
    base_commit: str
    def __init__(self, branch: _Optional[str] = ..., commit: _Optional[str] = ..., dirty: _Optional[bool] = ..., saved_ref: _Optional[str] = ..., note: _Optional[str] = ..., kept_files: _Optional[str] = ..., base_commit: _Optional[str] = ...) -> None: ...

class ControllerMessage(_message.Message):
    __slots__ = ("seq", "controller_epoch", "welcome", "snapshot", "delta", "heartbeat_ack", "bundle", "agents", "close", "warm")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CONTROLLER_EPOCH_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_ACK_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    seq: int
    controller_epoch: int
    welcome: Welcome
    snapshot: Snapshot
    delta: Delta
    heartbeat_ack: HeartbeatAck
    bundle: BundleUpdate
    agents: AgentCatalogue
    close: CloseSession
    warm: WarmRepositories
    def __init__(self, seq: _Optional[int] = ..., controller_epoch: _Optional[int] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., delta: _Optional[_Union[Delta, _Mapping]] = ..., heartbeat_ack: _Optional[_Union[HeartbeatAck, _Mapping]] = ..., bundle: _Optional[_Union[BundleUpdate, _Mapping]] = ..., agents: _Optional[_Union[AgentCatalogue, _Mapping]] = ..., close: _Optional[_Union[CloseSession, _Mapping]] = ..., warm: _Optional[_Union[WarmRepositories, _Mapping]] = ...) -> None: ...

class WarmRepositories(_message.Message):
    __slots__ = ("repositories",)
    REPOSITORIES_FIELD_NUMBER: _ClassVar[int]
    repositories: _containers.RepeatedCompositeFieldContainer[WarmRepository]
    def __init__(self, repositories: _Optional[_Iterable[_Union[WarmRepository, _Mapping]]] = ...) -> None: ...

class WarmRepository(_message.Message):
    __slots__ = ("url_sha256", "worktrees")
    URL_SHA256_FIELD_NUMBER: _ClassVar[int]
    WORKTREES_FIELD_NUMBER: _ClassVar[int]
    url_sha256: bytes
    worktrees: int
    def __init__(self, url_sha256: _Optional[bytes] = ..., worktrees: _Optional[int] = ...) -> None: ...

class AgentCatalogue(_message.Message):
    __slots__ = ("agents",)
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[AgentProgram]
    def __init__(self, agents: _Optional[_Iterable[_Union[AgentProgram, _Mapping]]] = ...) -> None: ...

class AgentProgram(_message.Message):
    __slots__ = ("name", "executable", "version_args", "minimum_version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXECUTABLE_FIELD_NUMBER: _ClassVar[int]
    VERSION_ARGS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    executable: str
    version_args: _containers.RepeatedScalarFieldContainer[str]
    minimum_version: str
    def __init__(self, name: _Optional[str] = ..., executable: _Optional[str] = ..., version_args: _Optional[_Iterable[str]] = ..., minimum_version: _Optional[str] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session_id", "protocol", "heartbeat_ms", "lease_ttl_ms", "server_time_unix_ms")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    LEASE_TTL_MS_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    protocol: int
    heartbeat_ms: int
    lease_ttl_ms: int
    server_time_unix_ms: int
    def __init__(self, session_id: _Optional[str] = ..., protocol: _Optional[int] = ..., heartbeat_ms: _Optional[int] = ..., lease_ttl_ms: _Optional[int] = ..., server_time_unix_ms: _Optional[int] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("revision", "pods", "last", "allow_empty")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PODS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    ALLOW_EMPTY_FIELD_NUMBER: _ClassVar[int]
    revision: int
    pods: _containers.RepeatedCompositeFieldContainer[PodDesired]
    last: bool
    allow_empty: bool
    def __init__(self, revision: _Optional[int] = ..., pods: _Optional[_Iterable[_Union[PodDesired, _Mapping]]] = ..., last: _Optional[bool] = ..., allow_empty: _Optional[bool] = ...) -> None: ...

class Delta(_message.Message):
    __slots__ = ("base_revision", "revision", "upserts", "removals")
    BASE_REVISION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UPSERTS_FIELD_NUMBER: _ClassVar[int]
    REMOVALS_FIELD_NUMBER: _ClassVar[int]
    base_revision: int
    revision: int
    upserts: _containers.RepeatedCompositeFieldContainer[PodDesired]
    removals: _containers.RepeatedCompositeFieldContainer[PodRef]
    def __init__(self, base_revision: _Optional[int] = ..., revision: _Optional[int] = ..., upserts: _Optional[_Iterable[_Union[PodDesired, _Mapping]]] = ..., removals: _Optional[_Iterable[_Union[PodRef, _Mapping]]] = ...) -> None: ...

class HeartbeatAck(_message.Message):
    __slots__ = ("beat",)
    BEAT_FIELD_NUMBER: _ClassVar[int]
    beat: int
    def __init__(self, beat: _Optional[int] = ...) -> None: ...

class BundleUpdate(_message.Message):
    __slots__ = ("bundle",)
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    bundle: TrustBundle
    def __init__(self, bundle: _Optional[_Union[TrustBundle, _Mapping]] = ...) -> None: ...

class CloseSession(_message.Message):
    __slots__ = ("reason", "message", "retry_after_ms")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    retry_after_ms: int
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class PodRef(_message.Message):
    __slots__ = ("pod_uid", "epoch")
    POD_UID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    pod_uid: str
    epoch: int
    def __init__(self, pod_uid: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class PodDesired(_message.Message):
    __slots__ = ("ref", "namespace", "name", "generation", "spec_digest", "desired", "grace_seconds", "spec", "deadline_unix_ms", "idle_timeout_seconds", "keep_stopped", "active_deadline_seconds", "stop_after_seconds")
    REF_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SPEC_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DESIRED_FIELD_NUMBER: _ClassVar[int]
    GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    KEEP_STOPPED_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_DEADLINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STOP_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ref: PodRef
    namespace: str
    name: str
    generation: int
    spec_digest: str
    desired: DesiredState
    grace_seconds: int
    spec: RunSpec
    deadline_unix_ms: int
    idle_timeout_seconds: int
    keep_stopped: bool
    active_deadline_seconds: int
    stop_after_seconds: int
    def __init__(self, ref: _Optional[_Union[PodRef, _Mapping]] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., generation: _Optional[int] = ..., spec_digest: _Optional[str] = ..., desired: _Optional[_Union[DesiredState, str]] = ..., grace_seconds: _Optional[int] = ..., spec: _Optional[_Union[RunSpec, _Mapping]] = ..., deadline_unix_ms: _Optional[int] = ..., idle_timeout_seconds: _Optional[int] = ..., keep_stopped: _Optional[bool] = ..., active_deadline_seconds: _Optional[int] = ..., stop_after_seconds: _Optional[int] = ...) -> None: ...

class RunSpec(_message.Message):
    __slots__ = ("executable", "args", "environment", "prompt", "prompt_position", "prompt_flag", "submit_keys", "repository", "terminal", "sandbox", "limits", "restart_policy", "home_files", "organization", "readiness", "mcp", "resume", "activity", "setup", "version_args", "minimum_version", "ticket")
    EXECUTABLE_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_POSITION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FLAG_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_KEYS_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RESTART_POLICY_FIELD_NUMBER: _ClassVar[int]
    HOME_FILES_FIELD_NUMBER: _ClassVar[int]
    ORGANIZATION_FIELD_NUMBER: _ClassVar[int]
    READINESS_FIELD_NUMBER: _ClassVar[int]
    MCP_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    SETUP_FIELD_NUMBER: _ClassVar[int]
    VERSION_ARGS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_VERSION_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    executable: str
    args: _containers.RepeatedScalarFieldContainer[str]
    environment: _containers.RepeatedCompositeFieldContainer[EnvironmentVariable]
    prompt: str
    prompt_position: PromptPosition
    prompt_flag: str
    submit_keys: str
    repository: Repository
    terminal: TerminalSize
    sandbox: Sandbox
    limits: Limits
    restart_policy: RestartPolicy
    home_files: _containers.RepeatedCompositeFieldContainer[HomeFile]
    organization: str
    readiness: Readiness
    mcp: Mcp
    resume: Resume
    activity: Activity
    setup: _containers.RepeatedCompositeFieldContainer[Setup]
    version_args: _containers.RepeatedScalarFieldContainer[str]
    minimum_version: str
    ticket: TicketFile
    def __init__(self, executable: _Optional[str] = ..., args: _Optional[_Iterable[str]] = ..., environment: _Optional[_Iterable[_Union[EnvironmentVariable, _Mapping]]] = ..., prompt: _Optional[str] = ..., prompt_position: _Optional[_Union[PromptPosition, str]] = ..., prompt_flag: _Optional[str] = ..., submit_keys: _Optional[str] = ..., repository: _Optional[_Union[Repository, _Mapping]] = ..., terminal: _Optional[_Union[TerminalSize, _Mapping]] = ..., sandbox: _Optional[_Union[Sandbox, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., restart_policy: _Optional[_Union[RestartPolicy, str]] = ..., home_files: _Optional[_Iterable[_Union[HomeFile, _Mapping]]] = ..., organization: _Optional[str] = ..., readiness: _Optional[_Union[Readiness, _Mapping]] = ..., mcp: _Optional[_Union[Mcp, _Mapping]] = ..., resume: _Optional[_Union[Resume, _Mapping]] = ..., activity: _Optional[_Union[Activity, _Mapping]] = ..., setup: _Optional[_Iterable[_Union[Setup, _Mapping]]] = ..., version_args: _Optional[_Iterable[str]] = ..., minimum_version: _Optional[str] = ..., ticket: _Optional[_Union[TicketFile, _Mapping]] = ...) -> None: ...

class TicketFile(_message.Message):
    __slots__ = ("name", "content")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    content: str
    def __init__(self, name: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class Resume(_message.Message):
    __slots__ = ("args", "prompt", "session_files")
    ARGS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FILES_FIELD_NUMBER: _ClassVar[int]
    args: _containers.RepeatedScalarFieldContainer[str]
    prompt: bool
    session_files: str
    def __init__(self, args: _Optional[_Iterable[str]] = ..., prompt: _Optional[bool] = ..., session_files: _Optional[str] = ...) -> None: ...

class Activity(_message.Message):
    __slots__ = ("waiting", "executing", "idle", "idle_seconds", "stuck_seconds", "hooks")
    WAITING_FIELD_NUMBER: _ClassVar[int]
    EXECUTING_FIELD_NUMBER: _ClassVar[int]
    IDLE_FIELD_NUMBER: _ClassVar[int]
    IDLE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STUCK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HOOKS_FIELD_NUMBER: _ClassVar[int]
    waiting: _containers.RepeatedScalarFieldContainer[str]
    executing: _containers.RepeatedScalarFieldContainer[str]
    idle: _containers.RepeatedScalarFieldContainer[str]
    idle_seconds: int
    stuck_seconds: int
    hooks: str
    def __init__(self, waiting: _Optional[_Iterable[str]] = ..., executing: _Optional[_Iterable[str]] = ..., idle: _Optional[_Iterable[str]] = ..., idle_seconds: _Optional[int] = ..., stuck_seconds: _Optional[int] = ..., hooks: _Optional[str] = ...) -> None: ...

class Setup(_message.Message):
    __slots__ = ("script", "timeout_seconds")
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    script: str
    timeout_seconds: int
    def __init__(self, script: _Optional[str] = ..., timeout_seconds: _Optional[int] = ...) -> None: ...

class Mcp(_message.Message):
    __slots__ = ("format",)
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    format: str
    def __init__(self, format: _Optional[str] = ...) -> None: ...

class EnvironmentVariable(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Repository(_message.Message):
    __slots__ = ("url", "ref", "branch", "create_branch", "has_credentials", "default_branch", "continue_branch", "depth", "filter", "submodules", "lfs", "include", "warm_worktrees", "name")
    URL_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    CREATE_BRANCH_FIELD_NUMBER: _ClassVar[int]
    HAS_CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_BRANCH_FIELD_NUMBER: _ClassVar[int]
    CONTINUE_BRANCH_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SUBMODULES_FIELD_NUMBER: _ClassVar[int]
    LFS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    WARM_WORKTREES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    url: str
    ref: str
    branch: str
    create_branch: bool
    has_credentials: bool
    default_branch: str
    continue_branch: bool
    depth: int
    filter: str
    submodules: bool
    lfs: bool
    include: _containers.RepeatedScalarFieldContainer[str]
    warm_worktrees: int
    name: str
    def __init__(self, url: _Optional[str] = ..., ref: _Optional[str] = ..., branch: _Optional[str] = ..., create_branch: _Optional[bool] = ..., has_credentials: _Optional[bool] = ..., default_branch: _Optional[str] = ..., continue_branch: _Optional[bool] = ..., depth: _Optional[int] = ..., filter: _Optional[str] = ..., submodules: _Optional[bool] = ..., lfs: _Optional[bool] = ..., include: _Optional[_Iterable[str]] = ..., warm_worktrees: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class TerminalSize(_message.Message):
    __slots__ = ("cols", "rows")
    COLS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    cols: int
    rows: int
    def __init__(self, cols: _Optional[int] = ..., rows: _Optional[int] = ...) -> None: ...

class Sandbox(_message.Message):
    __slots__ = ("isolation", "network", "writable_paths")
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    WRITABLE_PATHS_FIELD_NUMBER: _ClassVar[int]
    isolation: str
    network: str
    writable_paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, isolation: _Optional[str] = ..., network: _Optional[str] = ..., writable_paths: _Optional[_Iterable[str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("memory_bytes", "cpu_millis", "pids", "open_files", "disk_bytes")
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FILES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    memory_bytes: int
    cpu_millis: int
    pids: int
    open_files: int
    disk_bytes: int
    def __init__(self, memory_bytes: _Optional[int] = ..., cpu_millis: _Optional[int] = ..., pids: _Optional[int] = ..., open_files: _Optional[int] = ..., disk_bytes: _Optional[int] = ...) -> None: ...

class HomeFile(_message.Message):
    __slots__ = ("path", "content", "format", "keep")
    PATH_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    path: str
    content: str
    format: str
    keep: bool
    def __init__(self, path: _Optional[str] = ..., content: _Optional[str] = ..., format: _Optional[str] = ..., keep: _Optional[bool] = ...) -> None: ...

class Readiness(_message.Message):
    __slots__ = ("regex", "timeout_seconds")
    REGEX_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    regex: str
    timeout_seconds: int
    def __init__(self, regex: _Optional[str] = ..., timeout_seconds: _Optional[int] = ...) -> None: ...

class FetchSecretsRequest(_message.Message):
    __slots__ = ("ref",)
    REF_FIELD_NUMBER: _ClassVar[int]
    ref: PodRef
    def __init__(self, ref: _Optional[_Union[PodRef, _Mapping]] = ...) -> None: ...

class FetchSecretsResponse(_message.Message):
    __slots__ = ("git",)
    GIT_FIELD_NUMBER: _ClassVar[int]
    git: GitCredentials
    def __init__(self, git: _Optional[_Union[GitCredentials, _Mapping]] = ...) -> None: ...

class GitCredentials(_message.Message):
    __slots__ = ("username", "password", "ssh_private_key", "known_hosts", "ca_bundle")
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    SSH_PRIVATE_KEY_FIELD_NUMBER: _ClassVar[int]
    KNOWN_HOSTS_FIELD_NUMBER: _ClassVar[int]
    CA_BUNDLE_FIELD_NUMBER: _ClassVar[int]
    username: str
    password: str
    ssh_private_key: str
    known_hosts: str
    ca_bundle: str
    def __init__(self, username: _Optional[str] = ..., password: _Optional[str] = ..., ssh_private_key: _Optional[str] = ..., known_hosts: _Optional[str] = ..., ca_bundle: _Optional[str] = ...) -> None: ...

class TerminalDown(_message.Message):
    __slots__ = ("view", "open", "credit", "input", "resize", "close", "open_port", "export", "restore", "end")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    OPEN_PORT_FIELD_NUMBER: _ClassVar[int]
    EXPORT_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    view: int
    open: OpenView
    credit: Credit
    input: Input
    resize: TerminalSize
    close: CloseView
    open_port: OpenPort
    export: ExportTranscript
    restore: RestoreWork
    end: CloseView
    def __init__(self, view: _Optional[int] = ..., open: _Optional[_Union[OpenView, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., input: _Optional[_Union[Input, _Mapping]] = ..., resize: _Optional[_Union[TerminalSize, _Mapping]] = ..., close: _Optional[_Union[CloseView, _Mapping]] = ..., open_port: _Optional[_Union[OpenPort, _Mapping]] = ..., export: _Optional[_Union[ExportTranscript, _Mapping]] = ..., restore: _Optional[_Union[RestoreWork, _Mapping]] = ..., end: _Optional[_Union[CloseView, _Mapping]] = ...) -> None: ...

class OpenPort(_message.Message):
    __slots__ = ("ref", "port")
    REF_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    ref: PodRef
    port: int
    def __init__(self, ref: _Optional[_Union[PodRef, _Mapping]] = ..., port: _Optional[int] = ...) -> None: ...

class ExportTranscript(_message.Message):
    __slots__ = ("ref",)
    REF_FIELD_NUMBER: _ClassVar[int]
    ref: PodRef
    def __init__(self, ref: _Optional[_Union[PodRef, _Mapping]] = ...) -> None: ...

class RestoreWork(_message.Message):
    __slots__ = ("pod_uid", "namespace", "pod", "have")
    POD_UID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    HAVE_FIELD_NUMBER: _ClassVar[int]
    pod_uid: str
    namespace: str
    pod: str
    have: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, pod_uid: _Optional[str] = ..., namespace: _Optional[str] = ..., pod: _Optional[str] = ..., have: _Optional[_Iterable[str]] = ...) -> None: ...

class WorkFound(_message.Message):
    __slots__ = ("pod_uid", "pod", "saved_ref", "commit", "branch", "saved_unix_ms", "refs", "bundled", "files")
    POD_UID_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    SAVED_REF_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    SAVED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    REFS_FIELD_NUMBER: _ClassVar[int]
    BUNDLED_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    pod_uid: str
    pod: str
    saved_ref: str
    commit: str
    branch: str
    saved_unix_ms: int
    refs: _containers.RepeatedCompositeFieldContainer[KeptRef]
    bundled: bool
    files: str
    def __init__(self, pod_uid: _Optional[str] = ..., pod: _Optional[str] = ..., saved_ref: _Optional[str] = ..., commit: _Optional[str] = ..., branch: _Optional[str] = ..., saved_unix_ms: _Optional[int] = ..., refs: _Optional[_Iterable[_Union[KeptRef, _Mapping]]] = ..., bundled: _Optional[bool] = ..., files: _Optional[str] = ...) -> None: ...

class KeptRef(_message.Message):
    __slots__ = ("name", "commit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    commit: str
    def __init__(self, name: _Optional[str] = ..., commit: _Optional[str] = ...) -> None: ...

class TerminalUp(_message.Message):
    __slots__ = ("view", "opened", "output", "gap", "input_ack", "ended", "hello", "recorded", "end", "work")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    INPUT_ACK_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    view: int
    opened: ViewOpened
    output: Output
    gap: Gap
    input_ack: InputAck
    ended: ViewEnded
    hello: TerminalHello
    recorded: Recorded
    end: CloseView
    work: WorkFound
    def __init__(self, view: _Optional[int] = ..., opened: _Optional[_Union[ViewOpened, _Mapping]] = ..., output: _Optional[_Union[Output, _Mapping]] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ..., input_ack: _Optional[_Union[InputAck, _Mapping]] = ..., ended: _Optional[_Union[ViewEnded, _Mapping]] = ..., hello: _Optional[_Union[TerminalHello, _Mapping]] = ..., recorded: _Optional[_Union[Recorded, _Mapping]] = ..., end: _Optional[_Union[CloseView, _Mapping]] = ..., work: _Optional[_Union[WorkFound, _Mapping]] = ...) -> None: ...

class Recorded(_message.Message):
    __slots__ = ("at_seconds", "output", "resize", "input_bytes", "gap", "marker", "began_unix_ms")
    AT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    INPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    MARKER_FIELD_NUMBER: _ClassVar[int]
    BEGAN_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    at_seconds: float
    output: bytes
    resize: TerminalSize
    input_bytes: int
    gap: Gap
    marker: str
    began_unix_ms: int
    def __init__(self, at_seconds: _Optional[float] = ..., output: _Optional[bytes] = ..., resize: _Optional[_Union[TerminalSize, _Mapping]] = ..., input_bytes: _Optional[int] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ..., marker: _Optional[str] = ..., began_unix_ms: _Optional[int] = ...) -> None: ...

class TerminalHello(_message.Message):
    __slots__ = ("instance_id",)
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    def __init__(self, instance_id: _Optional[str] = ...) -> None: ...

class OpenView(_message.Message):
    __slots__ = ("ref", "start", "from_offset", "follow", "size", "tail_lines")
    REF_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    FROM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    ref: PodRef
    start: ViewStart
    from_offset: int
    follow: bool
    size: TerminalSize
    tail_lines: int
    def __init__(self, ref: _Optional[_Union[PodRef, _Mapping]] = ..., start: _Optional[_Union[ViewStart, str]] = ..., from_offset: _Optional[int] = ..., follow: _Optional[bool] = ..., size: _Optional[_Union[TerminalSize, _Mapping]] = ..., tail_lines: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("bytes",)
    BYTES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    def __init__(self, bytes: _Optional[int] = ...) -> None: ...

class Input(_message.Message):
    __slots__ = ("seq", "data")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    seq: int
    data: bytes
    def __init__(self, seq: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class InputAck(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class CloseView(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ViewOpened(_message.Message):
    __slots__ = ("offset", "screen", "running", "size")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SCREEN_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    offset: int
    screen: bytes
    running: bool
    size: TerminalSize
    def __init__(self, offset: _Optional[int] = ..., screen: _Optional[bytes] = ..., running: _Optional[bool] = ..., size: _Optional[_Union[TerminalSize, _Mapping]] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("offset", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("from_offset", "to_offset")
    FROM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    TO_OFFSET_FIELD_NUMBER: _ClassVar[int]
    from_offset: int
    to_offset: int
    def __init__(self, from_offset: _Optional[int] = ..., to_offset: _Optional[int] = ...) -> None: ...

class ViewEnded(_message.Message):
    __slots__ = ("reason", "message", "exit_code", "signal", "offset")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    exit_code: int
    signal: int
    offset: int
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class AttachIn(_message.Message):
    __slots__ = ("open", "input", "resize", "credit")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    open: AttachOpen
    input: Input
    resize: TerminalSize
    credit: Credit
    def __init__(self, open: _Optional[_Union[AttachOpen, _Mapping]] = ..., input: _Optional[_Union[Input, _Mapping]] = ..., resize: _Optional[_Union[TerminalSize, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ...) -> None: ...

class AttachOpen(_message.Message):
    __slots__ = ("namespace", "pod", "read_only", "start", "from_offset", "follow", "size", "tail_lines", "recording")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    FROM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    RECORDING_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    pod: str
    read_only: bool
    start: ViewStart
    from_offset: int
    follow: bool
    size: TerminalSize
    tail_lines: int
    recording: bool
    def __init__(self, namespace: _Optional[str] = ..., pod: _Optional[str] = ..., read_only: _Optional[bool] = ..., start: _Optional[_Union[ViewStart, str]] = ..., from_offset: _Optional[int] = ..., follow: _Optional[bool] = ..., size: _Optional[_Union[TerminalSize, _Mapping]] = ..., tail_lines: _Optional[int] = ..., recording: _Optional[bool] = ...) -> None: ...

class AttachOut(_message.Message):
    __slots__ = ("opened", "output", "gap", "input_ack", "ended", "recorded", "note")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    INPUT_ACK_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    opened: ViewOpened
    output: Output
    gap: Gap
    input_ack: InputAck
    ended: ViewEnded
    recorded: Recorded
    note: ViewNote
    def __init__(self, opened: _Optional[_Union[ViewOpened, _Mapping]] = ..., output: _Optional[_Union[Output, _Mapping]] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ..., input_ack: _Optional[_Union[InputAck, _Mapping]] = ..., ended: _Optional[_Union[ViewEnded, _Mapping]] = ..., recorded: _Optional[_Union[Recorded, _Mapping]] = ..., note: _Optional[_Union[ViewNote, _Mapping]] = ...) -> None: ...

class ViewNote(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ForwardIn(_message.Message):
    __slots__ = ("open", "data", "credit", "end")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    open: ForwardOpen
    data: bytes
    credit: Credit
    end: CloseView
    def __init__(self, open: _Optional[_Union[ForwardOpen, _Mapping]] = ..., data: _Optional[bytes] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., end: _Optional[_Union[CloseView, _Mapping]] = ...) -> None: ...

class ForwardOpen(_message.Message):
    __slots__ = ("namespace", "pod", "port")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    pod: str
    port: int
    def __init__(self, namespace: _Optional[str] = ..., pod: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class ForwardOut(_message.Message):
    __slots__ = ("opened", "data", "ended", "credit", "end")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    opened: ViewOpened
    data: bytes
    ended: ViewEnded
    credit: Credit
    end: CloseView
    def __init__(self, opened: _Optional[_Union[ViewOpened, _Mapping]] = ..., data: _Optional[bytes] = ..., ended: _Optional[_Union[ViewEnded, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., end: _Optional[_Union[CloseView, _Mapping]] = ...) -> None: ...

class PromptSubmit(_message.Message):
    __slots__ = ("namespace", "pod", "text", "idempotency_key")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    pod: str
    text: str
    idempotency_key: str
    def __init__(self, namespace: _Optional[str] = ..., pod: _Optional[str] = ..., text: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class PromptProgress(_message.Message):
    __slots__ = ("state", "reason", "message", "prompt_id")
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PROMPT_ID_FIELD_NUMBER: _ClassVar[int]
    state: DeliveryState
    reason: str
    message: str
    prompt_id: str
    def __init__(self, state: _Optional[_Union[DeliveryState, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., prompt_id: _Optional[str] = ...) -> None: ...

class RestoreRequest(_message.Message):
    __slots__ = ("namespace", "pod", "have")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    HAVE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    pod: str
    have: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, namespace: _Optional[str] = ..., pod: _Optional[str] = ..., have: _Optional[_Iterable[str]] = ...) -> None: ...

class RestoreChunk(_message.Message):
    __slots__ = ("saved_ref", "commit", "branch", "data", "found", "runner")
    SAVED_REF_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    saved_ref: str
    commit: str
    branch: str
    data: bytes
    found: WorkFound
    runner: str
    def __init__(self, saved_ref: _Optional[str] = ..., commit: _Optional[str] = ..., branch: _Optional[str] = ..., data: _Optional[bytes] = ..., found: _Optional[_Union[WorkFound, _Mapping]] = ..., runner: _Optional[str] = ...) -> None: ...

class ToolCall(_message.Message):
    __slots__ = ("caller", "tool", "arguments")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    caller: PodRef
    tool: str
    arguments: bytes
    def __init__(self, caller: _Optional[_Union[PodRef, _Mapping]] = ..., tool: _Optional[str] = ..., arguments: _Optional[bytes] = ...) -> None: ...

class ToolResult(_message.Message):
    __slots__ = ("structured", "failure")
    STRUCTURED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    structured: bytes
    failure: ToolFailure
    def __init__(self, structured: _Optional[bytes] = ..., failure: _Optional[_Union[ToolFailure, _Mapping]] = ...) -> None: ...

class ToolFailure(_message.Message):
    __slots__ = ("reason", "message", "structured")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STRUCTURED_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    structured: bytes
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., structured: _Optional[bytes] = ...) -> None: ...

class AskDown(_message.Message):
    __slots__ = ("number", "ref", "look", "text", "keys", "cancel", "deliver", "settled")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    LOOK_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    DELIVER_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    number: int
    ref: PodRef
    look: Look
    text: TypeText
    keys: PressKeys
    cancel: CancelAsk
    deliver: Deliver
    settled: DeliverySettled
    def __init__(self, number: _Optional[int] = ..., ref: _Optional[_Union[PodRef, _Mapping]] = ..., look: _Optional[_Union[Look, _Mapping]] = ..., text: _Optional[_Union[TypeText, _Mapping]] = ..., keys: _Optional[_Union[PressKeys, _Mapping]] = ..., cancel: _Optional[_Union[CancelAsk, _Mapping]] = ..., deliver: _Optional[_Union[Deliver, _Mapping]] = ..., settled: _Optional[_Union[DeliverySettled, _Mapping]] = ...) -> None: ...

class AskUp(_message.Message):
    __slots__ = ("number", "hello", "looked", "done", "failed", "delivery")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    LOOKED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    number: int
    hello: TerminalHello
    looked: Looked
    done: Done
    failed: AskFailed
    delivery: DeliveryReport
    def __init__(self, number: _Optional[int] = ..., hello: _Optional[_Union[TerminalHello, _Mapping]] = ..., looked: _Optional[_Union[Looked, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ..., failed: _Optional[_Union[AskFailed, _Mapping]] = ..., delivery: _Optional[_Union[DeliveryReport, _Mapping]] = ...) -> None: ...

class Look(_message.Message):
    __slots__ = ("lines", "raw", "include_screen")
    LINES_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SCREEN_FIELD_NUMBER: _ClassVar[int]
    lines: int
    raw: bool
    include_screen: bool
    def __init__(self, lines: _Optional[int] = ..., raw: _Optional[bool] = ..., include_screen: _Optional[bool] = ...) -> None: ...

class Looked(_message.Message):
    __slots__ = ("output", "screen", "cursor_x", "cursor_y", "total_lines", "has_more")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SCREEN_FIELD_NUMBER: _ClassVar[int]
    CURSOR_X_FIELD_NUMBER: _ClassVar[int]
    CURSOR_Y_FIELD_NUMBER: _ClassVar[int]
    TOTAL_LINES_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    output: str
    screen: str
    cursor_x: int
    cursor_y: int
    total_lines: int
    has_more: bool
    def __init__(self, output: _Optional[str] = ..., screen: _Optional[str] = ..., cursor_x: _Optional[int] = ..., cursor_y: _Optional[int] = ..., total_lines: _Optional[int] = ..., has_more: _Optional[bool] = ...) -> None: ...

class TypeText(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class PressKeys(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keys: _Optional[_Iterable[str]] = ...) -> None: ...

class CancelAsk(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Done(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AskFailed(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Deliver(_message.Message):
    __slots__ = ("id", "text", "give_up_unix_ms")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    GIVE_UP_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    give_up_unix_ms: int
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ..., give_up_unix_ms: _Optional[int] = ...) -> None: ...

class DeliveryReport(_message.Message):
    __slots__ = ("ref", "id", "state", "reason", "message")
    REF_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ref: PodRef
    id: str
    state: DeliveryState
    reason: str
    message: str
    def __init__(self, ref: _Optional[_Union[PodRef, _Mapping]] = ..., id: _Optional[str] = ..., state: _Optional[_Union[DeliveryState, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class DeliverySettled(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ChannelSend(_message.Message):
    __slots__ = ("namespace", "channel", "content", "mentions", "reply_to", "idempotency_key")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    MENTIONS_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    channel: str
    content: str
    mentions: _containers.RepeatedScalarFieldContainer[str]
    reply_to: str
    idempotency_key: str
    def __init__(self, namespace: _Optional[str] = ..., channel: _Optional[str] = ..., content: _Optional[str] = ..., mentions: _Optional[_Iterable[str]] = ..., reply_to: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ChannelRead(_message.Message):
    __slots__ = ("namespace", "channel", "after_sequence", "limit", "follow", "newest")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    channel: str
    after_sequence: int
    limit: int
    follow: bool
    newest: bool
    def __init__(self, namespace: _Optional[str] = ..., channel: _Optional[str] = ..., after_sequence: _Optional[int] = ..., limit: _Optional[int] = ..., follow: _Optional[bool] = ..., newest: _Optional[bool] = ...) -> None: ...

class ChannelMessage(_message.Message):
    __slots__ = ("message_id", "sequence", "sender_pod", "sender_user", "content", "message_type", "mentions", "reply_to", "created_at", "undeliverable")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SENDER_POD_FIELD_NUMBER: _ClassVar[int]
    SENDER_USER_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_TYPE_FIELD_NUMBER: _ClassVar[int]
    MENTIONS_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UNDELIVERABLE_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    sequence: int
    sender_pod: str
    sender_user: str
    content: str
    message_type: str
    mentions: _containers.RepeatedScalarFieldContainer[str]
    reply_to: str
    created_at: str
    undeliverable: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, message_id: _Optional[str] = ..., sequence: _Optional[int] = ..., sender_pod: _Optional[str] = ..., sender_user: _Optional[str] = ..., content: _Optional[str] = ..., message_type: _Optional[str] = ..., mentions: _Optional[_Iterable[str]] = ..., reply_to: _Optional[str] = ..., created_at: _Optional[str] = ..., undeliverable: _Optional[_Iterable[str]] = ...) -> None: ...

class TicketCreate(_message.Message):
    __slots__ = ("namespace", "name", "spec_json", "source")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    spec_json: str
    source: str
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ..., spec_json: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class TicketUpdate(_message.Message):
    __slots__ = ("namespace", "name", "changes_json", "expected_revision")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHANGES_JSON_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: str
    changes_json: str
    expected_revision: int
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[str] = ..., changes_json: _Optional[str] = ..., expected_revision: _Optional[int] = ...) -> None: ...

class TicketAnswer(_message.Message):
    __slots__ = ("ticket_json", "commit", "pending", "conflict", "waits", "unchanged")
    TICKET_JSON_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    ticket_json: str
    commit: str
    pending: bool
    conflict: str
    waits: str
    unchanged: bool
    def __init__(self, ticket_json: _Optional[str] = ..., commit: _Optional[str] = ..., pending: _Optional[bool] = ..., conflict: _Optional[str] = ..., waits: _Optional[str] = ..., unchanged: _Optional[bool] = ...) -> None: ...
