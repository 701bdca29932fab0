"""Which agents runners look for, and what they say that they found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from meshwire.v1 import link_pb2

from controller.kernel.redact import redact
from schemas.agentclass import AgentClass
from schemas.conditions import READY, TRUE, find

FEATURE: Final = "agents"
"""Of a runner that answers a catalogue."""
_LONGEST_ARGUMENTS: Final = 1024
"""Bytes of a version command; nobody is asked for his version at greater length."""
_LONGEST_PROBLEM: Final = 1024
_LONGEST_VERSION: Final = 128


@dataclass(frozen=True, slots=True)
class Programs:
    """What a runner found, by executable. A class that names another one is not answered."""

    problems: Mapping[str, str] = field(default_factory=dict)
    """Why it is not there, in one sentence; empty: it is there."""
    versions: Mapping[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    """By executable and arguments, as far as it is known."""

    def lacks(self, agent: AgentClass) -> str:
        """Return why the agent is not there; empty when it is, or is not known yet."""
        return self.problems.get(agent.spec.executable, "")

    def version(self, agent: AgentClass) -> str | None:
        """Return the version that was found, None when it is not known."""
        return self.versions.get((agent.spec.executable, agent.spec.version_command or ()))


NOTHING: Final = Programs()
"""Of a runner that has not said anything."""


def catalogue(classes: Iterable[AgentClass]) -> link_pb2.AgentCatalogue:
    """Return what runners shall look for: all agents that can be used."""
    usable = sorted((item for item in classes if is_usable(item)), key=_name)
    return link_pb2.AgentCatalogue(
        agents=[
            link_pb2.AgentProgram(
                name=item.metadata.name,
                executable=item.spec.executable,
                version_args=_version_args(item),
            )
            for item in usable
        ]
    )


def programs(said: link_pb2.AgentsFound, asked: link_pb2.AgentCatalogue) -> Programs:
    """Return what the runner found, as far as it was asked."""
    wanted = {program.SerializeToString(deterministic=True) for program in asked.agents}
    problems: dict[str, str] = {}
    versions: dict[tuple[str, tuple[str, ...]], str] = {}
    for answer in said.agents:
        program = answer.looked_for
        if program.SerializeToString(deterministic=True) not in wanted:
            continue
        problem = "" if answer.path else redact(answer.problem, _LONGEST_PROBLEM)
        problems[program.executable] = "" if answer.path else problem or "it was not found"
        if answer.path and (version := redact(answer.version, _LONGEST_VERSION)):
            versions[program.executable, tuple(program.version_args)] = version
    return Programs(problems, versions)


def is_usable(agent: AgentClass) -> bool:
    """Whether pods may be made of the class."""
    ready = find(agent.status.conditions, READY)
    return ready is not None and ready.status == TRUE and not agent.metadata.deleting


def _version_args(agent: AgentClass) -> tuple[str, ...]:
    args = agent.spec.version_command or ()
    return args if sum(len(each.encode()) for each in args) <= _LONGEST_ARGUMENTS else ()


def _name(agent: AgentClass) -> str:
    return agent.metadata.name
