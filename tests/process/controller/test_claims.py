"""Claims of tickets on a real API server: whoever races whom, each ticket is one pod's."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.bootstrap import prepare
from controller.kernel.events import Recorder
from controller.kernel.queue import WorkQueue
from controller.kube.client import Kube
from controller.kube.errors import Conflict
from controller.placement.indexes import new_store
from controller.services.claims import Claims
from controller.services.ticket_work import TicketWork
from controller.services.tickets import Tickets
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod
from schemas.names import AGENT_CLASS, AGENT_POD, NAMESPACE, TICKET, Resource
from schemas.ticket import Ticket
from tests.process.conftest import ApiserverProcess

pytestmark = pytest.mark.anyio

ORG = "acme"
PODS, TICKETS, DESKS = 50, 20, 3


class Desk:
    """A controller's view of the API: as it was when it looked, and what it wrote since."""

    def __init__(self, kube: Kube, manifests: list[dict[str, Any]]) -> None:
        self.kube = kube
        self.store = new_store()
        for manifest in manifests:
            self.store.apply(manifest["kind"], manifest)
        self.claims = Claims(self.store, kube)

    def ticket(self, name: str) -> Ticket:
        found = self.store.of(Ticket).get(ORG, name)
        assert found is not None
        return found

    async def take(self, pod: AgentPod, name: str) -> bool:
        """Claim a ticket as a pod does; return whether it is the pod's. Trying again is allowed."""
        while True:
            try:
                await self.claims.take(pod, self.ticket(name))
            except ToolError as refused:
                if refused.reason != "Conflict":
                    raise
                return False
            except Conflict:
                continue
            return True


@pytest.fixture
async def kube(apiserver_process: ApiserverProcess) -> AsyncIterator[Kube]:
    async with Kube.open(Path(apiserver_process.kubeconfig)) as kube:
        await prepare(kube)
        named = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ORG}}
        await kube.create(NAMESPACE, "", named)
        await make(kube, AGENT_CLASS, "c", {"executable": "x"})
        yield kube


async def make(kube: Kube, resource: Resource, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    manifest = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name},
        "spec": spec,
    }
    return await kube.create(resource, ORG if resource.namespaced else "", manifest)


async def fleet(kube: Kube, *, claiming: bool) -> list[dict[str, Any]]:
    """Make the tickets and the pods; *claiming*: each names a ticket."""
    names = [f"tk-{number}" for number in range(TICKETS)]
    made = [make(kube, TICKET, name, {"title": name, "state": "todo"}) for name in names]
    for number, name in zip(range(PODS), itertools.cycle(names), strict=False):
        use = {"ticketRef": {"name": name, "claim": "Required"}} if claiming else {}
        made.append(make(kube, AGENT_POD, f"p{number}", {"agentClassName": "c", **use}))
    return list(await asyncio.gather(*made))


async def owners(kube: Kube) -> dict[str, str]:
    """Return the uid of each ticket's owner, as the API has it."""
    found: dict[str, str] = {}
    async for page in kube.pages(TICKET, ORG):
        for item in page:
            if claim := (item.get("status") or {}).get("claim"):
                found[item["metadata"]["name"]] = claim["podUID"]
    return found


async def test_fifty_pods_race_for_twenty_tickets_and_each_has_one_owner(kube: Kube) -> None:
    manifests = await fleet(kube, claiming=False)
    desks = [Desk(kube, manifests) for _ in range(DESKS)]  # none hears of what others write
    pods = [AgentPod.model_validate(m) for m in manifests if m["kind"] == AGENT_POD.kind]
    chance = random.Random(5)  # noqa: S311 - the same order every time
    tries = [(pod, f"tk-{number}") for pod in pods for number in chance.sample(range(TICKETS), 6)]
    tries += [(pods[number], f"tk-{number}") for number in range(TICKETS)]
    chance.shuffle(tries)

    won = await asyncio.gather(
        *(desks[n % DESKS].take(pod, name) for n, (pod, name) in enumerate(tries))
    )

    theirs = Counter(
        (name, pod.metadata.uid) for (pod, name), mine in zip(tries, won, strict=True) if mine
    )
    told = await owners(kube)
    assert len(told) == TICKETS
    assert set(theirs) == set(told.items())  # whoever was told so has it, and nobody else


async def test_of_pods_that_name_a_ticket_each_ticket_gets_one_and_then_the_next(
    kube: Kube,
) -> None:
    manifests = await fleet(kube, claiming=True)
    desks = [Desk(kube, manifests) for _ in range(DESKS)]

    async def work(desk: Desk) -> None:
        """Pass over all tickets, as a controller does that thinks it is the only one."""
        queue = WorkQueue()
        tickets = Tickets(desk.store, kube)
        passes = TicketWork(desk.store, queue, desk.claims, tickets, Recorder(kube))
        handle = passes.reconciler().observe
        while not queue.idle:
            key = await queue.take()
            await handle(key)
            queue.done(key)

    await asyncio.gather(*(work(desk) for desk in desks))
    first = await owners(kube)
    assert len(first) == TICKETS
    assert len(set(first.values())) == TICKETS
    pods = {m["metadata"]["uid"]: m for m in manifests if m["kind"] == AGENT_POD.kind}
    for name, uid in first.items():
        assert pods[uid]["spec"]["ticketRef"]["name"] == name

    for uid in first.values():  # they are deleted, and nobody is told but by the API
        meta = pods[uid]["metadata"]
        await kube.delete(AGENT_POD, ORG, meta["name"], uid=uid)
    for desk in desks:
        for uid in first.values():
            desk.store.remove(AGENT_POD.kind, uid)
    await asyncio.gather(*(work(desk) for desk in desks))
    second = await owners(kube)
    assert len(set(second.values())) == len(second) == TICKETS
    assert not set(second.values()) & set(first.values())
