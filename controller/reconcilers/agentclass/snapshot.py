"""All that an AgentClass's status is computed from."""

from dataclasses import dataclass

from schemas.agentclass import AgentClass


@dataclass(frozen=True, slots=True)
class ClassSnapshot:
    """The class."""

    subject: AgentClass
