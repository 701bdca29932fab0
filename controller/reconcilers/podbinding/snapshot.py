"""All that a PodBinding's plan and status are computed from."""

from dataclasses import dataclass

from schemas.agentpod import AgentPod
from schemas.podbinding import PodBinding


@dataclass(frozen=True, slots=True)
class BindingSnapshot:
    """The binding and the pods that have the names of its ends now."""

    subject: PodBinding
    initiator: AgentPod | None
    target: AgentPod | None
