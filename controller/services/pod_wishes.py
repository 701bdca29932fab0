"""What a pod asks for with ``create_pod``, as the spec of an AgentPod; or why it cannot be had.

Everything is checked before anything is written. A child has its creator's sandbox and limits: who
has no network gets none by making a pod.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from controller.bindings.rules import depth
from controller.kernel.store import Store
from controller.placement import options
from controller.placement.indexes import BY_NAMESPACE
from controller.placement.links import Links, Reach
from controller.placement.resolve import permission_arguments
from controller.reconcilers.agentpod.checks import FIT, first
from controller.reconcilers.agentpod.snapshot import Ingredients
from controller.tools.call import Caller, ToolError
from schemas.agentclass import AgentClass, PromptPosition
from schemas.agentpod import AgentPod, Network
from schemas.conditions import FALSE, READY, TRUE, find
from schemas.organization import Organization
from schemas.repository import Repository, RepositorySpec
from schemas.runner import Runner
from schemas.ticket import Ticket
from schemas.tools.pod import CreatePod

_NAMED: Final = 10
"""So many names are told in a sentence."""
_PROMPT_BYTES: Final = 32_768
_ARGUMENTS: Final = {
    "prompt": "initial_prompt",
    "branch": "branch_name",
    "permissionMode": "permission_mode",
    "config": "config_overrides",
}
"""What the tool calls fields of the spec, where it calls them otherwise."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A pod that can be made."""

    agent: str
    """Its AgentClass."""
    spec: Mapping[str, Any]
    """Without a repository that must be made first."""
    new_repository: str = ""
    """Address of a repository that there is not yet; empty: none has to be made."""
    branch: str = ""
    """Of its worktree; empty: the runner's choice."""

    def on(self, repository: str) -> dict[str, Any]:
        """Return the spec, with the Repository of that name; empty: as it is."""
        if not repository:
            return dict(self.spec)
        return {**self.spec, "repositoryRef": _use(repository, self.branch)}


class Wishes:
    """Reads what there is from the store."""

    def __init__(self, store: Store, links: Links) -> None:
        self._store = store
        self._links = links

    def wish(self, caller: Caller, asked: CreatePod) -> Wish:
        """Return what is to be made.

        Raises:
            ToolError: It cannot be, with the argument that is wrong.
        """
        _check_depth(caller, self.home(caller))
        agent = self._agent(asked.agent_type_id)
        self._check_references(caller, asked)
        self._check_machines(caller, agent, asked.runner_id)
        spec: dict[str, Any] = {"agentClassName": agent.metadata.name, **_inherited(caller.pod)}
        spec |= _plain(asked)
        _check_prompt(agent, asked.initial_prompt or "")
        if (mode := _mode(agent, asked)) is not None:
            spec["permissionMode"] = mode
        if asked.config_overrides:
            spec["config"] = _config(agent, asked.config_overrides)
        repository, address = self._repository(caller, asked)
        branch = asked.branch_name or ""
        if branch and not (repository or address):
            raise _wrong("branch_name: give a repository, too: repository_id or repository_url")
        if repository:
            spec["repositoryRef"] = _use(repository, branch)
        wish = Wish(agent.metadata.name, spec, address, branch)
        _check_fit(caller, agent, wish)
        return wish

    def home(self, caller: Caller) -> Organization | None:
        """Return the caller's organization."""
        homes = self._store.of(Organization).indexed(BY_NAMESPACE, caller.namespace)
        return min(homes, key=lambda item: item.metadata.creation_timestamp, default=None)

    def _agent(self, name: str) -> AgentClass:
        classes = self._store.of(AgentClass)
        agent = classes.get("", name)
        if agent is None or agent.metadata.deleting:
            known = sorted(item.metadata.name for item in classes if _is(item, TRUE))
            more = " …" if len(known) > _NAMED else ""
            there = ", ".join(known[:_NAMED]) + more if known else "none"
            raise ToolError(
                "NotFound", f"agent_type_id: there is no agent {name!r}; there are: {there}"
            )
        if _is(agent, FALSE):
            ready = find(agent.status.conditions, READY)
            why = ready.message if ready else ""
            raise _wrong(f"agent_type_id: agent {name} cannot be used: {why}")
        return agent

    def _check_references(self, caller: Caller, asked: CreatePod) -> None:
        """Whatever the pod shall be on or about is there."""
        where = caller.namespace
        if (name := asked.runner_id) is not None:
            runner = self._store.of(Runner).get(where, name)
            if runner is None or runner.metadata.deleting:
                raise _missing("runner_id", f"runner {name!r}", "list_runners")
        if (name := asked.ticket_id) is not None:
            ticket = self._store.of(Ticket).get(where, name.lower())
            if ticket is None or ticket.metadata.deleting:
                raise _missing("ticket_id", f"ticket {name!r}", "search_tickets")
        if asked.credential_profile_id is not None:
            raise ToolError(
                "NotFound",
                "credential_profile_id: this release has no provider keys; leave it out, and the "
                "agent uses what is configured on its runner",
            )

    def _check_machines(self, caller: Caller, agent: AgentClass, runner_id: str | None) -> None:
        """The agent's program is on the runner, or on one that may take the pod."""
        runners = [
            runner
            for runner in self._store.of(Runner).indexed(BY_NAMESPACE, caller.namespace)
            if runner.metadata.name == runner_id
            or (runner_id is None and self._links.reach(runner.metadata.uid)[0] is Reach.CONNECTED)
        ]
        without = [(runner, self._lacks(runner, agent)) for runner in runners]
        if not without or not all(problem for _, problem in without):
            return
        runner, problem = min(without, key=lambda item: item[0].metadata.name)
        name, what = runner.metadata.name, agent.metadata.name
        raise _wrong(
            f"runner_id: runner {name} does not have agent {what}: {problem}"
            if runner_id is not None
            else f"agent_type_id: no connected runner has agent {what}; {name} says: {problem}"
        )

    def _lacks(self, runner: Runner, agent: AgentClass) -> str:
        about = self._links.about(runner.metadata.uid)
        return about.programs.lacks(agent) if about else ""

    def _repository(self, caller: Caller, asked: CreatePod) -> tuple[str, str]:
        """Return the name of the Repository, or the address of one that is to be made."""
        if asked.repository_id is not None and asked.repository_url is not None:
            raise _wrong("give repository_id or repository_url, not both")
        if asked.repository_id is not None:
            found = self._store.of(Repository).get(caller.namespace, asked.repository_id)
            if found is None or found.metadata.deleting:
                what = f"repository {asked.repository_id!r}"
                raise _missing("repository_id", what, "list_repositories")
            return found.metadata.name, ""
        if asked.repository_url is None:
            return "", ""
        address = _address(asked.repository_url)
        if known := self.repository_at(caller.namespace, address):
            return known.metadata.name, ""
        if caller.pod.spec.sandbox.network is not Network.HOST:
            raise ToolError(
                "Forbidden",
                "repository_url: your sandbox has no free network, so you cannot have new "
                "addresses contacted: take a repository of list_repositories",
            )
        return "", address

    def repository_at(self, namespace: str, address: str) -> Repository | None:
        """Return the Repository with that address: the one that can be used, else the oldest."""
        found = [
            item
            for item in self._store.of(Repository).indexed(BY_NAMESPACE, namespace)
            if not item.metadata.deleting and _normal(item.spec.url) == _normal(address)
        ]
        return min(found, key=_preference, default=None)


def _check_depth(caller: Caller, home: Organization | None) -> None:
    limit, at = (home.spec.pod_depth if home else 0), depth(caller.pod)
    if at < limit:
        return
    if limit == 0:
        raise ToolError(
            "LimitExceeded", "in your organization pods make no pods (spec.podDepth is 0)"
        )
    raise ToolError(
        "LimitExceeded",
        f"pods make pods to a depth of {limit} in your organization (spec.podDepth), and you "
        f"are at depth {at}: let a pod above you, or a person, make it",
    )


def _preference(item: Repository) -> tuple[bool, str, str]:
    return not _is(item, TRUE), item.metadata.creation_timestamp, item.metadata.name


def _is(item: AgentClass | Repository, status: str) -> bool:
    ready = find(item.status.conditions, READY)
    return ready is not None and ready.status == status


def _inherited(creator: AgentPod) -> dict[str, Any]:
    """Return what a child has of its creator. Paths that the creator may write are its own."""
    sandbox = creator.spec.sandbox.manifest()
    sandbox.pop("writablePaths", None)
    if not sandbox.get("allowedHosts"):
        sandbox.pop("allowedHosts", None)
    limits = creator.spec.resources
    return {"sandbox": sandbox} | ({"resources": limits.manifest()} if limits else {})


def _plain(asked: CreatePod) -> dict[str, Any]:
    """Return what is passed on as it is."""
    spec: dict[str, Any] = {}
    if asked.initial_prompt is not None:
        if len(asked.initial_prompt.encode()) > _PROMPT_BYTES:
            raise _wrong("initial_prompt: it must be at most 32 KiB of UTF-8")
        spec["prompt"] = asked.initial_prompt
    if asked.model is not None:
        spec["model"] = asked.model
    if asked.runner_id is not None:
        spec["runnerName"] = asked.runner_id
    if asked.ticket_id is not None:
        spec["ticketRef"] = {"name": asked.ticket_id.lower()}
    return spec


def _check_prompt(agent: AgentClass, prompt: str) -> None:
    """Refuse a prompt that the agent's command line would take for an option: it is data."""
    on_command_line = {PromptPosition.ARGUMENT, PromptPosition.FLAG}
    if prompt.startswith("-") and agent.spec.prompt.position in on_command_line:
        raise _wrong(
            f"initial_prompt: agent {agent.metadata.name} would take it for an option, as it "
            "begins with -: begin it with a word"
        )


def _mode(agent: AgentClass, asked: CreatePod) -> str | None:
    """Return the permission mode; None where the default is unknown to the agent's class."""
    mode = asked.permission_mode.value
    given = "permission_mode" in asked.model_fields_set
    return mode if given or permission_arguments(agent.spec, mode) is not None else None


def _config(agent: AgentClass, values: Mapping[str, options.Value]) -> dict[str, str]:
    try:
        return options.texts(agent.spec, values)
    except ValueError as exc:
        raise _wrong(f"config_overrides: {exc}") from None


def _use(repository: str, branch: str) -> dict[str, Any]:
    use: dict[str, Any] = {"name": repository}
    if branch:
        use["worktree"] = {"branch": branch, "createBranch": True, "continueBranch": True}
    return use


def _check_fit(caller: Caller, agent: AgentClass, wish: Wish) -> None:
    """Have the pod checked as the reconciler would. Raises ToolError."""
    metadata = {"name": "draft", "namespace": caller.namespace}
    try:
        draft = AgentPod.model_validate({"metadata": metadata, "spec": wish.on("draft")})
    except ValidationError as exc:
        found = exc.errors(include_url=False, include_context=False, include_input=False)
        raise _wrong("; ".join(_told(found))) from None
    world = Ingredients(organization=None, agent=agent, available=(), repository=None)
    finding = first(draft, world, FIT)
    if finding is not None:
        field, _, rest = finding.message.partition(":")
        raise _wrong(f"{_ARGUMENTS.get(field, field)}:{rest}")


def _told(errors: list[Any]) -> Iterator[str]:
    for error in errors[:_NAMED]:
        field = str(error["loc"][-1])
        pattern = error["type"] == "string_pattern_mismatch"
        why = "it has characters that it must not have" if pattern else error["msg"]
        yield f"{_ARGUMENTS.get(field, field)}: {why}"


def _address(text: str) -> str:
    """Return the address of a repository. Raises ToolError where it is none for agents."""
    try:
        RepositorySpec(url=text)
    except ValidationError:
        right = False
    else:
        right = text.startswith(("https://", "ssh://")) and ".." not in text
    if not right:
        raise _wrong(
            "repository_url: it must be https://host/path or ssh://user@host/path, with letters, "
            "digits and . _ ~ / - alone, and no password"
        )
    return text


def _normal(address: str) -> tuple[str, str, str]:
    """Return what is the same for all ways to write an address."""
    parts = urlsplit(address)
    path = parts.path.rstrip("/").removesuffix(".git")
    return parts.scheme.lower(), parts.netloc.lower(), path


def _wrong(message: str) -> ToolError:
    return ToolError("InvalidArgument", message)


def _missing(argument: str, what: str, where: str) -> ToolError:
    message = f"{argument}: there is no {what} in your organization: {where} names those there are"
    return ToolError("NotFound", message)
