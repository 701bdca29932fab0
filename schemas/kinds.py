"""All kinds of this release, by name."""

from typing import Final

from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.base import Object
from schemas.channel import Channel
from schemas.gitsource import GitSource
from schemas.organization import Organization
from schemas.podbinding import PodBinding
from schemas.repository import Repository
from schemas.runner import Runner, RunnerEnrollment
from schemas.ticket import Ticket

KINDS: Final[dict[str, type[Object]]] = {
    model.definition.resource.kind: model
    for model in (
        Organization,
        AgentClass,
        Repository,
        Runner,
        RunnerEnrollment,
        AgentPod,
        PodBinding,
        Channel,
        Ticket,
        GitSource,
    )
}
"""Model by kind, in the order in which the CRDs are installed."""
