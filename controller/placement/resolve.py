"""Turns an AgentPod, its class and its repository into what a runner starts. Pure.

One rule holds for arguments, values of variables and home files: see
``controller.placement.expansion``.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from meshwire.v1 import link_pb2

from controller.placement import options
from controller.placement.expansion import expand, literal, references
from controller.placement.quantity import byte_count, millis
from controller.tickets import context
from schemas.agentclass import (
    AgentClass,
    AgentClassSpec,
    HomeFile,
    McpFormat,
    PromptPosition,
)
from schemas.agentpod import AgentPod, AgentPodSpec, RestartPolicy
from schemas.quoting import TextFormat, quoted
from schemas.repository import Repository, Submodules
from schemas.ticket import Ticket

_POSITIONS: Final[dict[PromptPosition, link_pb2.PromptPosition]] = {
    PromptPosition.NONE: link_pb2.PROMPT_NONE,
    PromptPosition.ARGUMENT: link_pb2.PROMPT_ARGUMENT,
    PromptPosition.FLAG: link_pb2.PROMPT_FLAG,
    PromptPosition.TYPED: link_pb2.PROMPT_TYPED,
}
_RESTARTS: Final[dict[RestartPolicy, link_pb2.RestartPolicy]] = {
    RestartPolicy.NEVER: link_pb2.RESTART_NEVER,
    RestartPolicy.ON_FAILURE: link_pb2.RESTART_ON_FAILURE,
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a runner starts, and its digest."""

    spec: link_pb2.RunSpec
    digest: str
    """SHA-256 of the deterministic serialisation, hexadecimal."""


def resolve(
    pod: AgentPod,
    agent: AgentClass,
    repository: Repository | None,
    ticket: Ticket | None = None,
    parent: Ticket | None = None,
) -> Resolved:
    """Return the RunSpec of *pod*. The pod has passed its checks.

    *ticket*: the one that it works on, which is a part of *parent*.
    """
    names = {
        "MODEL": literal(pod.spec.model or ""),
        "POD": literal(pod.metadata.name),
        "ORGANIZATION": literal(pod.metadata.namespace),
    }
    variables = _variables(pod.spec, agent.spec, names)
    every = names | variables
    prompt = agent.spec.prompt
    spec = link_pb2.RunSpec(
        executable=agent.spec.executable,
        args=[
            *(expand(arg, every) for arg in _arguments(pod.spec, agent.spec)),
            *options.arguments(agent.spec, pod.spec.config),
        ],
        environment=[
            link_pb2.EnvironmentVariable(name=name, value=value)
            for name, value in variables.items()
        ],
        prompt=pod.spec.prompt or "",
        prompt_position=_POSITIONS[prompt.position],
        prompt_flag=prompt.flag or "",
        submit_keys=prompt.submit_keys,
        terminal=link_pb2.TerminalSize(cols=pod.spec.terminal.cols, rows=pod.spec.terminal.rows),
        sandbox=link_pb2.Sandbox(
            isolation=pod.spec.sandbox.isolation,
            network=pod.spec.sandbox.network,
            writable_paths=pod.spec.sandbox.writable_paths,
        ),
        limits=_limits(pod.spec),
        restart_policy=_RESTARTS[pod.spec.restart_policy],
        home_files=[_home_file(file, every) for file in agent.spec.home_files],
        organization=pod.metadata.namespace,
        readiness=link_pb2.Readiness(
            regex=agent.spec.readiness.regex or "",
            timeout_seconds=agent.spec.readiness.timeout_seconds,
        ),
    )
    _life(spec, agent.spec, repository, every)
    if agent.spec.mcp.format is not McpFormat.NONE:
        spec.mcp.format = agent.spec.mcp.format
    if repository is not None:
        spec.repository.CopyFrom(_repository(pod.spec, repository, agent.spec))
    if ticket is not None:
        _ticket(spec, ticket, parent)
    digest = hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest()
    return Resolved(spec, digest)


def _ticket(spec: link_pb2.RunSpec, ticket: Ticket, parent: Ticket | None) -> None:
    """Put what the ticket says in front of the first prompt, if there is one, and into a file."""
    said = context.document(ticket, parent)
    spec.ticket.name = ticket.metadata.name
    spec.ticket.content = said
    if spec.prompt_position != link_pb2.PROMPT_NONE:
        spec.prompt = context.first_prompt(ticket, said, spec.prompt)


def _life(
    spec: link_pb2.RunSpec,
    agent: AgentClassSpec,
    repository: Repository | None,
    names: Mapping[str, str],
) -> None:
    """Say how it goes on after a stop, how its activity is told, and what its worktree needs."""
    if agent.resume is not None:
        spec.resume.args.extend(expand(arg, names) for arg in agent.resume.args)
        spec.resume.prompt = agent.resume.prompt
        spec.resume.session_files = agent.resume.session_files or ""
    signs = agent.activity
    spec.activity.CopyFrom(
        link_pb2.Activity(
            waiting=signs.waiting,
            executing=signs.executing,
            idle=signs.idle,
            idle_seconds=signs.idle_seconds,
            stuck_seconds=signs.stuck_seconds,
            hooks=signs.hooks,
        )
    )
    spec.version_args.extend(agent.version_command or ())
    spec.minimum_version = agent.minimum_version or ""
    if repository is None:
        return
    for setup in (repository.spec.worktree.setup, agent.worktree.setup):
        if setup is not None:
            spec.setup.add(script=setup.script, timeout_seconds=setup.timeout_seconds)


def _home_file(file: HomeFile, names: Mapping[str, str]) -> link_pb2.HomeFile:
    form = file.format or TextFormat.TEXT
    escaped = {name: quoted(value, form) for name, value in names.items()}
    return link_pb2.HomeFile(
        path=file.path,
        content=expand(file.content, escaped),
        format=file.format or "",
        keep=bool(file.keep),
    )


def mentions(agent: AgentClassSpec, name: str) -> bool:
    """Whether the class uses ``$(name)`` anywhere."""
    texts = [*agent.args, *(item.value for item in agent.environment)]
    texts += [file.content for file in agent.home_files]
    texts += [arg for option in agent.options for arg in option.args]
    return any(found == name for text in texts for found in references(text))


def _arguments(pod: AgentPodSpec, agent: AgentClassSpec) -> Iterable[str]:
    """Return the class's arguments, those of the permission mode, then the model's flag.

    Options follow, in the class's order.
    """
    yield from agent.args
    if pod.permission_mode and (mode := permission_arguments(agent, pod.permission_mode)):
        yield from mode
    if pod.model and agent.model and agent.model.flag:
        yield agent.model.flag
        yield "$(MODEL)"


def permission_arguments(agent: AgentClassSpec, mode: str) -> tuple[str, ...] | None:
    """Return the arguments of a permission mode, None if the class does not know it."""
    modes = agent.permission_modes
    if modes is None:
        return None
    known = {
        "plan": modes.plan,
        "default": modes.default,
        "acceptEdits": modes.accept_edits,
        "bypassPermissions": modes.bypass_permissions,
    }
    return known.get(mode)


def _variables(
    pod: AgentPodSpec, agent: AgentClassSpec, names: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of class and pod, for the runner; later ones win, may use earlier."""
    variables: dict[str, str] = {}
    for item in (*agent.environment, *pod.environment):
        variables[item.name] = expand(item.value, {**names, **variables})
    if pod.model and agent.model and agent.model.env:
        variables[agent.model.env] = literal(pod.model)
    chosen = options.variables(agent, pod.config)
    return variables | {name: literal(text) for name, text in chosen.items()}


def _limits(pod: AgentPodSpec) -> link_pb2.Limits:
    limits = pod.resources.limits if pod.resources else None
    if limits is None:
        return link_pb2.Limits()
    return link_pb2.Limits(
        memory_bytes=byte_count(limits.memory) if limits.memory else 0,
        cpu_millis=millis(limits.cpu) if limits.cpu else 0,
        pids=limits.pids or 0,
        open_files=limits.open_files or 0,
        disk_bytes=byte_count(limits.disk) if limits.disk else 0,
    )


def _repository(
    pod: AgentPodSpec, repository: Repository, agent: AgentClassSpec
) -> link_pb2.Repository:
    use = pod.repository_ref
    assert use is not None, "a repository without a reference to it"  # noqa: S101 - the caller's
    return link_pb2.Repository(
        url=repository.spec.url,
        ref=use.ref or "",
        branch=use.worktree.branch or "",
        create_branch=use.worktree.create_branch,
        continue_branch=use.worktree.continue_branch,
        has_credentials=repository.spec.auth_secret_ref is not None,
        default_branch=repository.spec.default_branch,
        name=repository.metadata.name,
        include=repository.spec.worktree.include,
        warm_worktrees=repository.spec.warm_worktrees,
        submodules=repository.spec.submodules is Submodules.CHECKOUT,
        lfs=repository.spec.lfs,
        depth=agent.worktree.depth or 0,
        filter=agent.worktree.filter or "",
    )
