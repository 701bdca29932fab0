"""Bindings and pods that pods make, on a real API server: its versions, rules and garbage."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.bootstrap import prepare
from controller.kernel.store import Store
from controller.kube.client import Kube
from controller.kube.errors import NotFound
from controller.placement.indexes import new_store
from controller.placement.links import Links
from controller.rpc.ports import RunnerKey
from controller.services.authoriser import Authoriser
from controller.services.bindings import Bindings
from controller.services.pods import Pods
from controller.tools.bindings import BindingTools
from controller.tools.call import Caller, Handler, ToolError
from controller.tools.pods import PodTools
from schemas.agentpod import AgentPod
from schemas.names import (
    AGENT_CLASS,
    AGENT_POD,
    NAMESPACE,
    ORGANIZATION,
    POD_BINDING,
    REPOSITORY,
    Resource,
    Scope,
)
from schemas.tools.base import parsed
from schemas.tools.catalogue import CATALOGUE
from tests.process.conftest import ApiserverProcess

pytestmark = pytest.mark.anyio

ORG = "acme"


class Desk:
    """A controller's services on an API server; nothing watches, they know what they wrote."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.store: Store = new_store()
        self.authoriser = Authoriser(self.store)
        self.bindings = Bindings(self.store, kube, self.authoriser)
        self.handlers: dict[str, Handler] = {
            **BindingTools(self.authoriser, self.bindings).handlers(),
            **PodTools(Pods(self.store, kube, Links()), self.bindings).handlers(),
        }

    async def make(self, resource: Resource, name: str, spec: dict[str, Any]) -> None:
        manifest = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        namespace = ORG if resource.namespaced else ""
        self.store.apply(resource.kind, await self.kube.create(resource, namespace, manifest))

    async def pod(self, name: str) -> AgentPod:
        await self.make(AGENT_POD, name, {"agentClassName": "greeter"})
        placement = {
            "runnerName": "r1",
            "runnerUID": "u",
            "epoch": 1,
            "placedAt": "2026-01-01T00:00:00Z",
        }
        status = {"status": {"phase": "Running", "placement": placement}}
        answer = await self.kube.patch(AGENT_POD, ORG, name, status, subresource="status")
        self.store.apply(AGENT_POD.kind, answer)
        return AgentPod.model_validate(answer)

    async def call(self, pod: AgentPod, tool: str, **arguments: Any) -> dict[str, Any]:
        caller = Caller(pod, RunnerKey(ORG, "r1", "u"))
        asked = parsed(CATALOGUE[tool].arguments, arguments)
        return (await self.handlers[tool](caller, asked)).structured()


@pytest.fixture
async def desk(apiserver_process: ApiserverProcess) -> AsyncIterator[Desk]:
    async with Kube.open(Path(apiserver_process.kubeconfig)) as kube:
        await prepare(kube)
        named = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ORG}}
        await kube.create(NAMESPACE, "", named)
        desk = Desk(kube)
        members = [{"subject": {"kind": "User", "name": "ada"}, "role": "owner"}]
        await desk.make(ORGANIZATION, ORG, {"members": members, "quota": {"agentPods": 4}})
        await desk.make(AGENT_CLASS, "greeter", {"executable": "greet"})
        yield desk


async def test_a_binding_is_asked_for_granted_ended_and_asked_for_again(desk: Desk) -> None:
    lead, fix = await desk.pod("lead"), await desk.pod("fix")
    both = ["terminal:read", "terminal:write"]
    asked = await desk.call(lead, "bind_pod", target_pod="fix", scopes=both[:1])
    name = asked["binding_id"]
    more = await desk.call(lead, "bind_pod", target_pod="fix", scopes=both)
    assert (more["binding_id"], more["pending_scopes"]) == (name, both)
    await desk.call(fix, "accept_binding", binding_id=name)
    assert desk.authoriser.scopes(lead, fix) == set(Scope)
    await desk.call(fix, "unbind_pod", target_pod="lead")
    assert not desk.authoriser.scopes(lead, fix)
    again = await desk.call(lead, "bind_pod", target_pod="fix", scopes=both[:1])
    assert again["status"] == "pending"
    await desk.call(fix, "reject_binding", binding_id=name, reason="no")
    status = (await desk.kube.get(POD_BINDING, ORG, name))["status"]
    assert status["decision"]["state"] == "rejected"
    await desk.call(lead, "bind_pod", target_pod="fix", scopes=both[:1])
    status = (await desk.kube.get(POD_BINDING, ORG, name))["status"]
    assert "decision" not in status
    assert status["requestedScopes"] == both[:1]


async def test_of_two_answers_at_the_same_time_one_counts(desk: Desk) -> None:
    lead, fix = await desk.pod("lead"), await desk.pod("fix")
    asked = await desk.call(lead, "bind_pod", target_pod="fix", scopes=["terminal:read"])
    name = asked["binding_id"]
    answers = await asyncio.gather(
        desk.call(fix, "accept_binding", binding_id=name),
        desk.call(fix, "reject_binding", binding_id=name),
        return_exceptions=True,
    )
    lost = [each for each in answers if isinstance(each, ToolError)]
    [won] = [each for each in answers if isinstance(each, dict)]
    assert [each.reason for each in lost] == ["Conflict"]
    status = (await desk.kube.get(POD_BINDING, ORG, name))["status"]
    told = {"accepted": "active", "rejected": "rejected"}[status["decision"]["state"]]
    assert won["status"] == told


async def test_two_requests_at_the_same_time_make_one_binding(desk: Desk) -> None:
    lead, _ = await desk.pod("lead"), await desk.pod("fix")
    answers = await asyncio.gather(
        *(
            desk.call(lead, "bind_pod", target_pod="fix", scopes=[scope])
            for scope in ("terminal:read", "terminal:write")
        )
    )
    assert len({each["binding_id"] for each in answers}) == 1
    [left] = (await desk.call(lead, "get_bindings"))["bindings"]
    assert left["pending_scopes"] == ["terminal:read", "terminal:write"]


async def test_what_pods_asked_for_goes_when_both_are_gone_and_not_before(desk: Desk) -> None:
    lead, fix = await desk.pod("lead"), await desk.pod("fix")
    asked = await desk.call(lead, "bind_pod", target_pod="fix", scopes=["terminal:read"])
    name = asked["binding_id"]
    await desk.kube.delete(AGENT_POD, ORG, "lead", uid=lead.metadata.uid)
    async with asyncio.timeout(20):
        while len((await _owners(desk, name)) or ()) != 1:
            await asyncio.sleep(0.05)
    await desk.kube.delete(AGENT_POD, ORG, "fix", uid=fix.metadata.uid)
    async with asyncio.timeout(20):
        while await _owners(desk, name) is not None:
            await asyncio.sleep(0.05)


async def _owners(desk: Desk, name: str) -> list[Any] | None:
    try:
        found = await desk.kube.get(POD_BINDING, ORG, name)
    except NotFound:
        return None
    return list(found["metadata"].get("ownerReferences") or [])


async def test_a_pod_is_made_and_what_the_api_refuses_leaves_nothing(desk: Desk) -> None:
    lead = await desk.pod("lead")
    url = "https://git.example/new.git"
    with pytest.raises(ToolError, match=r"must not have \.\. or @\{") as caught:
        await desk.call(
            lead,
            "create_pod",
            agent_type_id="greeter",
            repository_url=url,
            branch_name="a..b",
        )
    assert caught.value.reason == "InvalidArgument"
    assert [page async for page in desk.kube.pages(REPOSITORY, ORG)] == [[]]
    answer = await desk.call(
        lead, "create_pod", agent_type_id="greeter", repository_url=url, branch_name="b"
    )
    assert answer["binding_status"] == "active"
    child = AgentPod.model_validate(await desk.kube.get(AGENT_POD, ORG, answer["pod_key"]))
    assert desk.authoriser.scopes(lead, child) == set(Scope)
    repository = child.spec.repository_ref
    assert repository is not None
    assert (await desk.kube.get(REPOSITORY, ORG, repository.name))["spec"]["url"] == url
    assert repository.worktree.continue_branch


async def test_the_quota_holds_for_calls_at_the_same_moment(desk: Desk) -> None:
    lead = await desk.pod("lead")
    answers = await asyncio.gather(
        *(desk.call(lead, "create_pod", agent_type_id="greeter") for _ in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, dict) for each in answers) == 3
    refusals = [each for each in answers if isinstance(each, ToolError)]
    assert {each.reason for each in refusals} == {"LimitExceeded"}
    [pods] = [page async for page in desk.kube.pages(AGENT_POD, ORG)]
    assert len(pods) == 4
