"""All kinds of this release, by name."""

from typing import Final

from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.base import Object
from schemas.organization import Organization
from schemas.repository import Repository
from schemas.runner import Runner, RunnerEnrollment

KINDS: Final[dict[str, type[Object]]] = {
    model.definition.resource.kind: model
    for model in (Organization, AgentClass, Repository, Runner, RunnerEnrollment, AgentPod)
}
"""Model by kind, in the order in which the CRDs are installed."""
