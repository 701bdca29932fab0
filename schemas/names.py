"""Every name that is shared: API group, kinds, labels, annotations, finalizers, namespaces.

Keys of labels and annotations exist here and nowhere else.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

GROUP: Final = "agentsmesh.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "mesh"

CONTROLLER_NAMESPACE: Final = "agentsmesh-system"
"""Where the controller keeps what is its own: the CA's Secrets and its Lease."""

TRUST_DOMAIN: Final = "agentsmesh.local"
"""Default trust domain of runner identities (SPIFFE)."""

FIELD_MANAGER: Final = "agentsmesh-controller"

FINALIZER_TEARDOWN: Final = f"{GROUP}/teardown"
"""On AgentPod and Runner: something on a runner must be released first."""
FINALIZER_ORGANIZATION: Final = f"{GROUP}/organization"
"""On Organization: its pods are torn down before its namespace goes."""
FINALIZER_MESSAGES: Final = f"{GROUP}/messages"
"""On Channel: its messages are deleted from the message store first."""
FINALIZER_GIT_PRUNE: Final = f"{GROUP}/git-prune"
"""On GitSource: what it made is released, or deleted, first."""

LABEL_ORGANIZATION: Final = f"{GROUP}/organization"
LABEL_RUNNER: Final = f"{GROUP}/runner"
LABEL_AGENT_CLASS: Final = f"{GROUP}/agent-class"
LABEL_MANAGED_BY: Final = f"{GROUP}/managed-by"
LABEL_SOURCE: Final = f"{GROUP}/source"
"""On what a GitSource made: its name."""
LABEL_TICKET: Final = f"{GROUP}/ticket"
"""On an AgentPod that was started for a ticket: the ticket's name."""
LABEL_AUTO_RUN: Final = f"{GROUP}/auto-run"
"""On an AgentPod that a ticket started by itself: the rule of its GitSource, or ``ticket``."""

ANNOTATION_AUTO_RUN_SOURCE: Final = f"{GROUP}/auto-run-source"
"""On an AgentPod that a rule started: the rule's GitSource."""
ANNOTATION_REQUESTED_AT: Final = f"{GROUP}/requested-at"
"""Any new value asks for a look now; mirrored to ``status.lastHandledRequestAt``."""
ANNOTATION_RECONCILE: Final = f"{GROUP}/reconcile"
"""``disabled``: the controller leaves the object alone."""
ANNOTATION_PRUNE: Final = f"{GROUP}/prune"
"""``disabled``: a GitSource does not delete the resource when its file is gone."""
ANNOTATION_ALLOW_PRUNE: Final = f"{GROUP}/allow-prune"
"""On a GitSource: the commit for which everything that is gone may be deleted."""
ANNOTATION_SOURCE_PATH: Final = f"{GROUP}/source-path"
"""On what a GitSource made: its file, from the root of the repository."""
ANNOTATION_BUILTIN: Final = f"{GROUP}/builtin"
"""On an AgentClass that came with the controller: digest of the spec that was applied."""
ANNOTATION_FORCE_TEARDOWN: Final = f"{GROUP}/force-teardown"
"""The pod's uid: a person states that its runner will not come back."""

LABEL_CREATED_BY: Final = f"{GROUP}/created-by"
"""On an AgentPod that a pod made: that pod's name, to select by."""

ANNOTATION_CREATED_BY: Final = f"{GROUP}/created-by"
"""On what a pod made through its tools: the pod's name."""
ANNOTATION_CREATED_BY_UID: Final = f"{GROUP}/created-by-uid"
"""Its uid: pods that share it have the same creator."""
ANNOTATION_DEPTH: Final = f"{GROUP}/depth"
"""On an AgentPod: how many pods stand between it and a person; absent is 0."""

TRUST_BUNDLE: Final = "agentsmesh-trust-bundle"
"""ConfigMap in an organization's namespace: ``ca.crt``, ``publicEndpoint``, ``runnerEndpoint``."""
CA_ROOT_SECRET: Final = "agentsmesh-ca-root"  # noqa: S105 - a name
CA_ISSUING_SECRET: Final = "agentsmesh-ca-issuing"  # noqa: S105 - a name
BUILTIN_CLASSES: Final = "agentsmesh-builtin-classes"
"""ConfigMap in the controller's namespace: which built-in AgentClasses were ever made."""


class Scope(StrEnum):
    """What a binding lets the initiator do with the target's terminal."""

    TERMINAL_READ = "terminal:read"
    TERMINAL_WRITE = "terminal:write"


class BindingState(StrEnum):
    """Where a binding stands."""

    PENDING = "pending"
    ACTIVE = "active"
    REJECTED = "rejected"
    INACTIVE = "inactive"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Resource:
    """The address of a kind on the API: ``/apis/<group>/<version>/<plural>``."""

    group: str
    """Empty for the core group."""
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """``group/version``, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


def _ours(kind: str, plural: str, *, namespaced: bool) -> Resource:
    return Resource(GROUP, VERSION, kind, plural, namespaced)


ORGANIZATION: Final = _ours("Organization", "organizations", namespaced=False)
AGENT_CLASS: Final = _ours("AgentClass", "agentclasses", namespaced=False)
REPOSITORY: Final = _ours("Repository", "repositories", namespaced=True)
RUNNER: Final = _ours("Runner", "runners", namespaced=True)
RUNNER_ENROLLMENT: Final = _ours("RunnerEnrollment", "runnerenrollments", namespaced=True)
AGENT_POD: Final = _ours("AgentPod", "agentpods", namespaced=True)
POD_BINDING: Final = _ours("PodBinding", "podbindings", namespaced=True)
CHANNEL: Final = _ours("Channel", "channels", namespaced=True)
TICKET: Final = _ours("Ticket", "tickets", namespaced=True)
GIT_SOURCE: Final = _ours("GitSource", "gitsources", namespaced=True)

OURS: Final = (
    ORGANIZATION,
    AGENT_CLASS,
    REPOSITORY,
    RUNNER,
    RUNNER_ENROLLMENT,
    AGENT_POD,
    POD_BINDING,
    CHANNEL,
    TICKET,
    GIT_SOURCE,
)
"""The kinds of this release, in the order in which they are installed."""

NAMESPACE: Final = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
SECRET: Final = Resource("", "v1", "Secret", "secrets", namespaced=True)
CONFIG_MAP: Final = Resource("", "v1", "ConfigMap", "configmaps", namespaced=True)
EVENT: Final = Resource("", "v1", "Event", "events", namespaced=True)
RESOURCE_QUOTA: Final = Resource("", "v1", "ResourceQuota", "resourcequotas", namespaced=True)
LEASE: Final = Resource("coordination.k8s.io", "v1", "Lease", "leases", namespaced=True)
ROLE_BINDING: Final = Resource(
    "rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", namespaced=True
)
CLUSTER_ROLE: Final = Resource(
    "rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False
)
CLUSTER_ROLE_BINDING: Final = Resource(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)
CRD: Final = Resource(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)
