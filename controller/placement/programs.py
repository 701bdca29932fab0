"""Which agents runners look for, and what they say that they found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from meshwire.v1 import link_pb2

from controller.kernel.redact import redact
from schemas.agentclass import AgentClass
from schemas.conditions import READY, TRUE, find
from schemas.versions import is_older

FEATURE: Final = "agents"
"""Of a runner that answers a catalogue."""
_LONGEST_ARGUMENTS: Final = 1024
"""Bytes of a version command; nobody is asked for his version at greater length."""
_LONGEST_PROBLEM: Final = 1024
_LONGEST_VERSION: Final = 128
_TOO_OLD: Final = "which is older than"


@dataclass(frozen=True, slots=True)
class Programs:
    """What a runner found, by executable. A class that names another one is not answered."""

    problems: Mapping[str, str] = field(default_factory=dict)
    """By ``wanted``: why it is not there, in one sentence; empty: it is there."""
    versions: Mapping[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    """By executable and arguments, as far as it is known."""

    def lacks(self, agent: AgentClass) -> str:
        """Return why the agent is not there; empty when it is, or is not known yet."""
        return self.problems.get(wanted(agent), "")

    def version(self, agent: AgentClass) -> str | None:
        """Return the version that was found, None when it is not known."""
        return self.versions.get((agent.spec.executable, agent.spec.version_command or ()))


NOTHING: Final = Programs()
"""Of a runner that has not said anything."""


def wanted(agent: AgentClass) -> str:
    """Return what pods of the class need of a runner, as one word: program and oldest version."""
    return _wanted(agent.spec.executable, agent.spec.minimum_version or "")


def _wanted(executable: str, minimum: str) -> str:
    return f"{executable} >= {minimum}" if minimum else executable


def catalogue(classes: Iterable[AgentClass]) -> link_pb2.AgentCatalogue:
    """Return what runners shall look for: all agents that can be used."""
    usable = sorted((item for item in classes if is_usable(item)), key=_name)
    return link_pb2.AgentCatalogue(
        agents=[
            link_pb2.AgentProgram(
                name=item.metadata.name,
                executable=item.spec.executable,
                version_args=_version_args(item),
                minimum_version=item.spec.minimum_version or "",
            )
            for item in usable
        ]
    )


def programs(said: link_pb2.AgentsFound, asked: link_pb2.AgentCatalogue) -> Programs:
    """Return what the runner found, as far as it was asked."""
    known = {program.SerializeToString(deterministic=True) for program in asked.agents}
    problems: dict[str, str] = {}
    versions: dict[tuple[str, tuple[str, ...]], str] = {}
    for answer in said.agents:
        program = answer.looked_for
        if program.SerializeToString(deterministic=True) not in known:
            continue
        version = redact(answer.version, _LONGEST_VERSION)
        problem = redact(answer.problem, _LONGEST_PROBLEM) or "it was not found"
        problems[_wanted(program.executable, program.minimum_version)] = (
            _too_old(program, version) if answer.path else problem
        )
        if answer.path and version:
            versions[program.executable, tuple(program.version_args)] = version
    return Programs(problems, versions)


def _too_old(program: link_pb2.AgentProgram, version: str) -> str:
    """Return that the program is older than the class allows; empty when nobody knows that."""
    if not program.minimum_version or not is_older(version, program.minimum_version):
        return ""
    return (
        f"the executable {program.executable!r} is there as {version!r}, {_TOO_OLD} "
        f"{program.minimum_version}: update it."
    )


def why_not_found(message: str) -> str:
    """Return the reason of AgentFound for what runners said of a program."""
    return "VersionTooOld" if _TOO_OLD in message else "AgentNotFound"


def is_usable(agent: AgentClass) -> bool:
    """Whether pods may be made of the class."""
    ready = find(agent.status.conditions, READY)
    return ready is not None and ready.status == TRUE and not agent.metadata.deleting


def _version_args(agent: AgentClass) -> tuple[str, ...]:
    args = agent.spec.version_command or ()
    return args if sum(len(each.encode()) for each in args) <= _LONGEST_ARGUMENTS else ()


def _name(agent: AgentClass) -> str:
    return agent.metadata.name
