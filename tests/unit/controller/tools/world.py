"""Organizations, runners and pods in memory, for tests of what tools do at the controller.

What is written to the API reaches the store as a watch would bring it, at once; with ``watching``
False it does not, and only the answers to the program's own writes are known. ``call`` carries out
a tool as the toolbox does, from the arguments as JSON to the result as JSON.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from controller.placement.indexes import new_store
from controller.rpc.ports import RunnerKey
from controller.services.authoriser import Authoriser
from controller.services.bindings import Bindings
from controller.tools.call import Caller, Handler
from schemas.agentpod import AgentPod
from schemas.base import Object
from schemas.kinds import KINDS
from schemas.names import (
    AGENT_CLASS,
    AGENT_POD,
    ANNOTATION_CREATED_BY,
    ANNOTATION_CREATED_BY_UID,
    ANNOTATION_DEPTH,
    ORGANIZATION,
    OURS,
    REPOSITORY,
    RUNNER,
    Resource,
)
from schemas.tools.base import parsed
from schemas.tools.catalogue import CATALOGUE
from tests.unit.controller.kube_memory import MemoryKube

NOW = 1_800_000_000.0
ORG = "acme"
ELSEWHERE = "rival"
"""Another organization."""


class World:
    """An API server, a store and a clock; time stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW
        self.watching = True
        self.kube = MemoryKube(now=lambda: datetime.fromtimestamp(self.now, UTC))
        self.kube.watchers.append(self._watch)
        self.store = new_store()
        self.authoriser = Authoriser(self.store, self.clock)
        self.bindings = Bindings(self.store, self.kube, self.authoriser, self.clock)
        self.handlers: dict[str, Handler] = {}
        """Add those that the test is about."""

    def clock(self) -> float:
        return self.now

    async def call(self, pod: AgentPod, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool as *pod*. Raises ToolError and InvalidArgumentsError."""
        described = CATALOGUE[tool]
        result = await self.handlers[tool](self.caller(pod), parsed(described.arguments, arguments))
        assert type(result) is described.result
        return result.structured()

    def caller(self, pod: AgentPod) -> Caller:
        """Return the pod as a caller: as the store has it, on its runner."""
        current = self.store.of(AgentPod).by_uid(pod.metadata.uid) or pod
        placement = current.status.placement
        assert placement is not None, "a pod that is not placed cannot call"
        where = current.metadata.namespace
        return Caller(current, RunnerKey(where, placement.runner_name, placement.runner_uid))

    # --- what there is ---

    async def organization(self, name: str = ORG, **spec: Any) -> Object:
        members = [{"subject": {"kind": "User", "name": "ada"}, "role": "owner"}]
        return await self.make(ORGANIZATION, name, "", spec={"members": members, **spec})

    async def agent_class(
        self, name: str = "greeter", *, ready: bool = True, **spec: Any
    ) -> Object:
        made = await self.make(AGENT_CLASS, name, "", spec={"executable": "greet", **spec})
        return await self.status(made, {"conditions": [_ready(ready, self.now)]})

    async def repository(
        self, name: str = "shop", url: str = "https://git.example/shop.git", org: str = ORG
    ) -> Object:
        made = await self.make(REPOSITORY, name, org, spec={"url": url})
        return await self.status(made, {"conditions": [_ready(True, self.now)]})  # noqa: FBT003

    async def runner(self, name: str = "r1", org: str = ORG, **spec: Any) -> Object:
        return await self.make(RUNNER, name, org, spec=spec)

    async def pod(  # noqa: PLR0913 - what tests vary, by name
        self,
        name: str,
        *,
        org: str = ORG,
        runner: str | None = "r1",
        phase: str = "Running",
        creator: AgentPod | None = None,
        depth: int | None = None,
        **spec: Any,
    ) -> AgentPod:
        """Make a pod that runs. *runner* None: it waits. *creator*: the pod that made it."""
        annotations: dict[str, str] = {}
        if creator is not None:
            one = creator.metadata
            annotations = {ANNOTATION_CREATED_BY: one.name, ANNOTATION_CREATED_BY_UID: one.uid}
        if depth is not None:
            annotations[ANNOTATION_DEPTH] = str(depth)
        made = await self.make(
            AGENT_POD,
            name,
            org,
            metadata={"annotations": annotations},
            spec={"agentClassName": "greeter", **spec},
        )
        if runner is None:
            return await self._pod(made, {"phase": "Pending"})
        placement = {
            "runnerName": runner,
            "runnerUID": self._uid_of_runner(org, runner),
            "epoch": 1,
            "placedAt": _time(self.now),
        }
        return await self._pod(made, {"phase": phase, "placement": placement})

    async def end(self, pod: AgentPod, phase: str = "Succeeded") -> AgentPod:
        """Let the agent end."""
        return await self._pod(pod, {"phase": phase})

    async def delete(self, item: Object) -> None:
        """Delete an object; without finalizers it is gone."""
        metadata = item.metadata
        resource = item.definition.resource
        await self.kube.delete(resource, metadata.namespace, metadata.name, uid=metadata.uid)

    async def make(
        self,
        resource: Resource,
        name: str,
        org: str = ORG,
        *,
        metadata: Mapping[str, Any] | None = None,
        **parts: Any,
    ) -> Object:
        """Create an object as ``kubectl apply`` would."""
        manifest = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name, **(metadata or {})},
            **parts,
        }
        namespace = org if resource.namespaced else ""
        made = await self.kube.create(resource, namespace, manifest)
        return KINDS[resource.kind].model_validate(made)

    async def status(self, item: Object, status: dict[str, Any]) -> Object:
        """Change an object's status."""
        metadata, resource = item.metadata, item.definition.resource
        answer = await self.kube.patch(
            resource, metadata.namespace, metadata.name, {"status": status}, subresource="status"
        )
        return KINDS[resource.kind].model_validate(answer)

    def manifest(self, resource: Resource, name: str, org: str = ORG) -> dict[str, Any]:
        """Return an object as the API has it."""
        return self.kube.objects[resource.kind, org if resource.namespaced else "", name]

    async def _pod(self, pod: Object, status: dict[str, Any]) -> AgentPod:
        return AgentPod.model_validate((await self.status(pod, status)).manifest())

    def _uid_of_runner(self, org: str, name: str) -> str:
        found = self.kube.objects.get((RUNNER.kind, org, name))
        return str(found["metadata"]["uid"]) if found else f"uid-of-{org}-{name}"

    def _watch(self, resource: Resource, manifest: dict[str, Any]) -> None:
        if not self.watching or resource not in OURS:
            return
        metadata = manifest["metadata"]
        address = (resource.kind, metadata["namespace"], metadata["name"])
        stored = self.kube.objects.get(address)
        if stored is None or stored["metadata"]["uid"] != metadata["uid"]:
            self.store.remove(resource.kind, metadata["uid"])
        else:
            self.store.apply(resource.kind, manifest)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ready(ready: bool, at: float) -> dict[str, Any]:  # noqa: FBT001 - a fact, not a switch
    return {
        "type": "Ready",
        "status": "True" if ready else "False",
        "reason": "Ready" if ready else "Broken",
        "message": "" if ready else "it is broken",
        "lastTransitionTime": _time(at),
    }
