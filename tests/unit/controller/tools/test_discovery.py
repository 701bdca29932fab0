"""What a pod finds: its own organization, whole, and nothing of others."""

import pytest

from controller.placement.links import About
from controller.placement.programs import Programs
from controller.tools.discovery import Discovery, clone_url, provider
from schemas.names import RUNNER, TICKET, Scope
from tests.unit.controller.tools.world import ELSEWHERE, World

pytestmark = pytest.mark.anyio


@pytest.fixture
def world() -> World:
    made = World()
    about = {"r1": About("1", "linux", "x", "host-of-r1", (), 3, 1)}

    def said(uid: str) -> About | None:
        runner = next((one for one in made.kube.objects.values() if _uid(one) == uid), None)
        return about.get(runner["metadata"]["name"]) if runner else None

    made.handlers = Discovery(made.store, made.authoriser, said).handlers()
    return made


def _uid(manifest: dict[str, object]) -> object:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    return metadata["uid"]


async def test_a_pod_sees_the_living_pods_of_its_organization_with_all_there_is_to_know(
    world: World,
) -> None:
    await world.make(TICKET, "am-1", spec={"title": "Mend the gate"})
    lead = await world.pod("lead")
    world.now += 60
    child = await world.pod("child", creator=lead, ticketRef={"name": "am-1"})
    await world.status(child, {"activity": "executing"})
    await world.pod("waiting", runner=None)
    await world.end(await world.pod("done"))
    await world.end(await world.pod("broken"), "Failed")
    await world.pod("stranger", org=ELSEWHERE)
    await world.bindings.request(lead, child, (Scope.TERMINAL_READ,))
    found = (await world.call(lead, "list_available_pods"))["pods"]
    assert found == [
        {
            "pod_key": "lead",
            "status": "Running",
            "agent": "greeter",
            "runner": "r1",
            "created_at": "2027-01-15T08:00:00Z",
            "is_self": True,
            "granted_scopes": ["terminal:read", "terminal:write"],
        },
        {
            "pod_key": "child",
            "status": "Running",
            "agent": "greeter",
            "agent_status": "executing",
            "runner": "r1",
            "ticket_id": "am-1",
            "ticket_title": "Mend the gate",
            "created_by": "lead",
            "created_at": "2027-01-15T08:01:00Z",
            "is_self": False,
            "granted_scopes": ["terminal:read"],
        },
        {
            "pod_key": "waiting",
            "status": "Pending",
            "agent": "greeter",
            "created_at": "2027-01-15T08:01:00Z",
            "is_self": False,
            "granted_scopes": [],
        },
    ]


async def test_granted_scopes_are_the_callers_and_not_the_targets(world: World) -> None:
    lead = await world.pod("lead")
    child = await world.pod("child", creator=lead)
    await world.bindings.request(lead, child, tuple(Scope))
    found = (await world.call(child, "list_available_pods"))["pods"]
    assert {one["pod_key"]: one["granted_scopes"] for one in found} == {
        "lead": [],
        "child": ["terminal:read", "terminal:write"],
    }
    await world.bindings.unbind(lead, child)
    found = (await world.call(lead, "list_available_pods"))["pods"]
    assert [one["granted_scopes"] for one in found if one["pod_key"] == "child"] == [[]]


async def test_runners_show_places_and_agents_and_no_detail_of_their_machines(
    world: World,
) -> None:
    await world.agent_class("greeter")
    await world.agent_class("broken", ready=False)
    labels = {"gpu": "yes", "agentsmesh.io/organization": "acme"}
    spec = {"description": "the big one", "capacity": {"maxPods": 9}}
    r1 = await world.make(RUNNER, "r1", metadata={"labels": labels}, spec=spec)
    platform = {"os": "linux", "arch": "amd64", "hostname": "secret-host"}
    await world.status(r1, {"phase": "Online", "platform": platform})
    await world.runner("r0")
    await world.runner("theirs", org=ELSEWHERE)
    lead = await world.pod("lead")
    await world.pod("second")
    await world.end(await world.pod("done"))
    found = await world.call(lead, "list_runners")
    assert found == {
        "runners": [
            {
                "runner_id": "r0",
                "status": "Pending",
                "labels": {},
                "current_pods": 0,
                "available_agents": [{"name": "greeter"}],
            },
            {
                "runner_id": "r1",
                "description": "the big one",
                "status": "Online",
                "labels": {"gpu": "yes"},
                "current_pods": 2,
                "max_concurrent_pods": 3,
                "available_agents": [{"name": "greeter"}],
            },
        ]
    }
    assert "secret-host" not in str(found)


async def test_a_runner_shows_what_it_has_found_and_what_it_has_not_said(world: World) -> None:
    for name in ("found", "gone", "unsaid"):
        await world.agent_class(name, executable=name, versionCommand=["-V"])
    await world.runner("r1")
    said = Programs({"found": "", "gone": "not there"}, {("found", ("-V",)): "found 1.2"})
    about = About("1", "linux", "x", "host", (), None, 1, looks=True, programs=said)
    world.handlers = Discovery(world.store, world.authoriser, lambda _: about).handlers()
    [runner] = (await world.call(await world.pod("lead"), "list_runners"))["runners"]
    assert runner["available_agents"] == [
        {"name": "found", "version": "found 1.2"},
        {"name": "unsaid"},
    ]


async def test_repositories_show_where_they_are_and_no_credential(world: World) -> None:
    await world.repository("shop", "https://git.example:8443/shop.git")
    await world.repository("tools", "/srv/git/tools")
    await world.repository("theirs", "https://git.example/theirs.git", org=ELSEWHERE)
    lead = await world.pod("lead")
    assert await world.call(lead, "list_repositories") == {
        "repositories": [
            {
                "repository_id": "shop",
                "clone_url": "https://git.example:8443/shop.git",
                "default_branch": "main",
                "provider": "git.example",
            },
            {
                "repository_id": "tools",
                "clone_url": "/srv/git/tools",
                "default_branch": "main",
                "provider": "local",
            },
        ]
    }


@pytest.mark.parametrize(
    ("url", "shown", "where"),
    [
        ("https://git.example/a.git", "https://git.example/a.git", "git.example"),
        ("https://ada:pw@git.example/a.git", "https://git.example/a.git", "git.example"),
        ("https://token@git.example/a.git", "https://git.example/a.git", "git.example"),
        ("ssh://git@git.example:2222/a.git", "ssh://git@git.example:2222/a.git", "git.example"),
        ("ssh://git:pw@git.example/a.git", "ssh://git.example/a.git", "git.example"),
        ("/srv/a", "/srv/a", "local"),
        ("//srv@home/a", "//srv@home/a", "local"),
        ("file:///srv/a", "file:///srv/a", "local"),
    ],
)
def test_an_address_is_shown_without_credentials(url: str, shown: str, where: str) -> None:
    assert (clone_url(url), provider(url)) == (shown, where)
