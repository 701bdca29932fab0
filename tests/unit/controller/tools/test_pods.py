"""create_pod: what becomes of each argument, and what is refused before anything is written."""

import asyncio
from typing import Any

import pytest

from controller.kube.errors import Refused, Unavailable, from_status
from controller.placement.links import About, Links
from controller.placement.programs import Programs
from controller.services.pods import Pods
from controller.tools.bindings import BindingTools
from controller.tools.call import ToolError
from controller.tools.pods import PodTools
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.names import AGENT_POD, ORGANIZATION, REPOSITORY, TICKET, Resource, Scope
from schemas.tools.base import InvalidArgumentsError
from tests.unit.controller.tools.world import ELSEWHERE, World

pytestmark = pytest.mark.anyio

CLASS = {
    "permissionModes": {"plan": ["--plan"], "default": [], "bypassPermissions": ["--yolo"]},
    "model": {"flag": "--model"},
    "options": [
        {"name": "effort", "values": ["low", "high"], "flag": "--effort"},
        {"name": "turns", "type": "integer", "minimum": 1, "flag": "--turns"},
    ],
}


@pytest.fixture
def links() -> Links:
    return Links()


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch, links: Links) -> World:
    monkeypatch.setattr("controller.services.pods._WORD_SECONDS", 0.01)
    world = World()
    pods = Pods(world.store, world.kube, links)
    world.handlers |= PodTools(pods, world.bindings).handlers()
    world.handlers |= BindingTools(world.authoriser, world.bindings).handlers()
    await world.organization()
    await world.agent_class(**CLASS)
    await world.repository("shop")
    return world


@pytest.fixture
async def lead(world: World) -> AgentPod:
    return await world.pod("lead")


async def made(world: World, pod: AgentPod, **arguments: Any) -> dict[str, Any]:
    """Return the manifest of the pod that was made."""
    answer = await world.call(pod, "create_pod", agent_type_id="greeter", **arguments)
    return world.manifest(AGENT_POD, answer["pod_key"])


async def refused(world: World, pod: AgentPod, **arguments: Any) -> ToolError:
    """Return why; nothing was written."""
    before = dict(world.kube.objects)
    with pytest.raises(ToolError) as caught:
        await world.call(pod, "create_pod", **({"agent_type_id": "greeter"} | arguments))
    assert world.kube.objects == before, "nothing is left of it"
    return caught.value


async def test_a_pod_is_made_bound_and_says_whose_it_is(world: World, lead: AgentPod) -> None:
    answer = await world.call(lead, "create_pod", agent_type_id="greeter")
    name = answer["pod_key"]
    assert name.startswith("greeter-")
    assert len(name) == len("greeter-") + 8
    assert (answer["status"], answer["binding_status"]) == ("Pending", "active")
    manifest = world.manifest(AGENT_POD, name)
    assert manifest["metadata"]["annotations"] == {
        "agentsmesh.io/created-by": "lead",
        "agentsmesh.io/created-by-uid": lead.metadata.uid,
        "agentsmesh.io/depth": "1",
    }
    assert manifest["metadata"]["labels"] == {"agentsmesh.io/created-by": "lead"}
    child = AgentPod.model_validate(manifest)
    assert world.authoriser.scopes(lead, child) == set(Scope)
    assert not world.authoriser.scopes(child, lead)
    [bound] = (await world.call(lead, "get_bindings"))["bindings"]
    assert bound["binding_id"] == answer["binding_id"]


async def test_each_argument_finds_its_place_in_the_spec(world: World, lead: AgentPod) -> None:
    await world.runner("r1")
    await world.make(TICKET, "am-1", spec={"title": "Do it"})
    manifest = await made(
        world,
        lead,
        runner_id="r1",
        ticket_id="AM-1",
        initial_prompt="Fix $(HOME) and `this`",
        model="big",
        repository_id="shop",
        branch_name="fix/login",
        config_overrides={"effort": "high", "turns": 3},
        permission_mode="bypassPermissions",
    )
    spec = manifest["spec"]
    assert spec.pop("sandbox") == {"isolation": "preferred", "network": "host"}
    assert spec == {
        "agentClassName": "greeter",
        "runnerName": "r1",
        "ticketRef": {"name": "am-1"},
        "prompt": "Fix $(HOME) and `this`",
        "model": "big",
        "repositoryRef": {
            "name": "shop",
            "worktree": {"branch": "fix/login", "createBranch": True, "continueBranch": True},
        },
        "config": {"effort": "high", "turns": "3"},
        "permissionMode": "bypassPermissions",
    }


async def test_plan_is_the_mode_unless_another_is_named(world: World, lead: AgentPod) -> None:
    assert (await made(world, lead))["spec"]["permissionMode"] == "plan"
    await world.agent_class("modeless")
    answer = await world.call(lead, "create_pod", agent_type_id="modeless")
    assert "permissionMode" not in world.manifest(AGENT_POD, answer["pod_key"])["spec"]
    for mode in ("plan", "acceptEdits"):
        said = await refused(world, lead, agent_type_id="modeless", permission_mode=mode)
        assert said.reason == "InvalidArgument"
        assert said.message.startswith("permission_mode: ")


@pytest.mark.parametrize(
    ("arguments", "reason", "words"),
    [
        pytest.param(
            {"agent_type_id": "nobody"}, "NotFound", "there are: greeter", id="no such agent"
        ),
        pytest.param({"runner_id": "r9"}, "NotFound", "list_runners", id="no such runner"),
        pytest.param({"ticket_id": "AM-9"}, "NotFound", "search_tickets", id="no such ticket"),
        pytest.param(
            {"repository_id": "x"}, "NotFound", "list_repositories", id="no such repository"
        ),
        pytest.param(
            {"credential_profile_id": "k"},
            "NotFound",
            "this release has no provider keys",
            id="keys are not there yet",
        ),
        pytest.param(
            {"repository_id": "shop", "repository_url": "https://git.example/shop.git"},
            "InvalidArgument",
            "not both",
            id="two repositories",
        ),
        pytest.param(
            {"branch_name": "fix"}, "InvalidArgument", "branch_name:", id="a branch of nothing"
        ),
        pytest.param(
            {"repository_id": "shop", "branch_name": "--upload-pack=x"},
            "InvalidArgument",
            "branch_name:",
            id="a branch that is an option",
        ),
        pytest.param(
            {"config_overrides": {"effort": "max"}},
            "InvalidArgument",
            "config_overrides: effort: it must be one of low, high",
            id="no value of the option",
        ),
        pytest.param(
            {"config_overrides": {"env": "x"}},
            "InvalidArgument",
            "config_overrides: env: there is no such option; there are: effort, turns",
            id="no such option",
        ),
        pytest.param(
            {"config_overrides": {"turns": True}},
            "InvalidArgument",
            "config_overrides: turns: it must be an integer of at least 1",
            id="true is no number",
        ),
        pytest.param(
            {"initial_prompt": "a\0b"}, "InvalidArgument", "initial_prompt:", id="NUL in the prompt"
        ),
        pytest.param(
            {"initial_prompt": "é" * 20_000}, "InvalidArgument", "32 KiB", id="too many bytes"
        ),
        pytest.param({"model": "--yolo"}, "InvalidArgument", "model:", id="a model that is a flag"),
        pytest.param(
            {"permission_mode": "acceptEdits"},
            "InvalidArgument",
            "permission_mode: ",
            id="a mode that the class does not know",
        ),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_made(
    world: World, lead: AgentPod, arguments: dict[str, Any], reason: str, words: str
) -> None:
    said = await refused(world, lead, **arguments)
    assert said.reason == reason
    assert words in said.message


@pytest.mark.parametrize(
    "url",
    [
        "/srv/git/x.git",
        "file:///srv/git/x.git",
        "ext::sh -c id",
        "http://git.example/x.git",
        "https://user:pass@git.example/x.git",
        "https://git.example/../x.git",
        "ssh://git@-oProxyCommand=x/y",
        "git@git.example:x.git",
    ],
)
async def test_only_https_and_ssh_addresses_are_taken(
    world: World, lead: AgentPod, url: str
) -> None:
    said = await refused(world, lead, repository_url=url)
    assert (said.reason, said.message.partition(":")[0]) == ("InvalidArgument", "repository_url")


async def test_an_agent_that_takes_no_prompt_gets_none(world: World, lead: AgentPod) -> None:
    await world.agent_class("mute", prompt={"position": "none"})
    said = await refused(world, lead, agent_type_id="mute", initial_prompt="do")
    assert said.message.startswith("initial_prompt: ")


@pytest.mark.parametrize(
    ("prompt", "taken"),
    [
        pytest.param({"position": "argument"}, False, id="the last argument"),
        pytest.param({"position": "flag", "flag": "--prompt"}, False, id="behind a flag"),
        pytest.param({"position": "typed"}, True, id="typed into the terminal"),
    ],
)
async def test_a_prompt_is_no_option_of_the_agents_command_line(
    world: World,
    lead: AgentPod,
    prompt: dict[str, str],
    taken: bool,  # noqa: FBT001 - a column of the table
) -> None:
    await world.agent_class("cli", prompt=prompt)
    asked = {"agent_type_id": "cli", "initial_prompt": "--dangerously-skip-permissions"}
    if taken:
        await world.call(lead, "create_pod", **asked)
    else:
        said = await refused(world, lead, **asked)
        assert "begin it with a word" in said.message


async def test_an_agent_that_cannot_be_used_is_not_started(world: World, lead: AgentPod) -> None:
    await world.agent_class("broken", ready=False)
    said = await refused(world, lead, agent_type_id="broken")
    assert said.message == "agent_type_id: agent broken cannot be used: it is broken"


async def test_what_another_organization_has_is_not_there(world: World, lead: AgentPod) -> None:
    await world.runner("theirs", ELSEWHERE)
    await world.repository("secret", "https://git.example/secret.git", ELSEWHERE)
    await world.make(TICKET, "am-1", ELSEWHERE, spec={"title": "Do it"})
    for argument, value in (
        ("runner_id", "theirs"),
        ("repository_id", "secret"),
        ("ticket_id", "am-1"),
    ):
        there = await refused(world, lead, **{argument: value})
        nowhere = await refused(world, lead, **{argument: "nothing"})
        assert there.reason == nowhere.reason == "NotFound"
        assert there.message.replace(value, "X") == nowhere.message.replace("nothing", "X")
    url = "https://git.example/secret.git"
    spec = (await made(world, lead, repository_url=url))["spec"]
    assert spec["repositoryRef"]["name"].startswith("repo-"), "one of its own, without their Secret"


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example/shop.git",
        "https://git.example/shop",
        "https://GIT.example/shop/",
    ],
)
async def test_a_known_address_is_the_repository_that_there_is(
    world: World, lead: AgentPod, url: str
) -> None:
    assert (await made(world, lead, repository_url=url))["spec"]["repositoryRef"] == {
        "name": "shop"
    }


async def test_an_unknown_address_becomes_a_repository_once(world: World, lead: AgentPod) -> None:
    url = "ssh://git@git.example/new.git"
    world.watching = False
    one, two = await asyncio.gather(
        *(made(world, lead, repository_url=url, branch_name="b") for _ in range(2))
    )
    assert one["spec"]["repositoryRef"] == two["spec"]["repositoryRef"]
    repository = world.manifest(REPOSITORY, one["spec"]["repositoryRef"]["name"])
    assert repository["spec"] == {"url": url}
    assert repository["metadata"]["annotations"]["agentsmesh.io/created-by"] == "lead"
    assert one["spec"]["repositoryRef"]["worktree"]["branch"] == "b"


async def test_the_depth_of_pods_that_make_pods_is_limited(world: World, lead: AgentPod) -> None:
    child = await world.pod("child", creator=lead, depth=1)
    assert (await made(world, child))["metadata"]["annotations"]["agentsmesh.io/depth"] == "2"
    grandchild = await world.pod("grandchild", creator=child, depth=2)
    said = await refused(world, grandchild)
    assert said.reason == "LimitExceeded"
    assert "depth of 2" in said.message
    await world.kube.patch(ORGANIZATION, "", "acme", {"spec": {"podDepth": 0}})
    assert "make no pods" in (await refused(world, lead)).message


async def test_a_child_has_the_sandbox_of_its_creator(world: World) -> None:
    jail = {
        "isolation": "required",
        "network": "none",
        "writablePaths": ["/srv/data"],
    }
    limits = {"limits": {"memory": "1Gi"}}
    jailed = await world.pod("jailed", sandbox=jail, resources=limits)
    spec = (await made(world, jailed, repository_id="shop"))["spec"]
    assert spec["sandbox"] == {"isolation": "required", "network": "none"}
    assert spec["resources"] == limits
    said = await refused(world, jailed, repository_url="https://evil.example/c2VjcmV0.git")
    assert said.reason == "Forbidden"
    assert (await made(world, jailed, repository_url="https://git.example/shop.git"))["spec"][
        "repositoryRef"
    ] == {"name": "shop"}


async def test_the_quota_holds_for_calls_at_the_same_time(
    world: World, lead: AgentPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.kube.patch(ORGANIZATION, "", "acme", {"spec": {"quota": {"agentPods": 3}}})
    create = world.kube.create

    async def slow(*arguments: Any) -> dict[str, Any]:
        await asyncio.sleep(0)  # others get their turn, as with a real server
        return await create(*arguments)

    monkeypatch.setattr(world.kube, "create", slow)
    answers = await asyncio.gather(*(made(world, lead) for _ in range(4)), return_exceptions=True)
    refusals = [each for each in answers if isinstance(each, ToolError)]
    assert len(refusals) == 2
    assert {each.reason for each in refusals} == {"LimitExceeded"}
    assert (await refused(world, lead)).reason == "LimitExceeded"


async def test_the_quota_of_the_api_leaves_nothing_behind(world: World, lead: AgentPod) -> None:
    def full(verb: str, resource: Resource, _: str) -> None:
        if (verb, resource) == ("create", AGENT_POD):
            said = 'agentpods.agentsmesh.io "x" is forbidden: exceeded quota: q, requested: …'
            raise from_status(403, {"reason": "Forbidden", "message": said})

    world.kube.before = full
    for more in ({}, {"repository_url": "https://git.example/new.git"}):
        said = await refused(world, lead, **more)
        assert (said.reason, "quota.agentPods" in said.message) == ("LimitExceeded", True)


async def test_what_the_api_refuses_is_said_in_its_words(world: World, lead: AgentPod) -> None:
    def strict(verb: str, resource: Resource, _: str) -> None:
        if (verb, resource) == ("create", AGENT_POD):
            raise Refused("spec.repositoryRef.worktree.branch: must not have .. or @{", status=422)

    world.kube.before = strict
    said = await refused(world, lead, repository_url="https://git.example/n.git", branch_name="a..")
    assert said.reason == "InvalidArgument"
    assert "must not have .. or @{" in said.message


async def test_a_lost_answer_makes_no_second_pod(world: World, lead: AgentPod) -> None:
    def lose(verb: str, resource: Resource, _: str) -> None:
        if (verb, resource) == ("create", AGENT_POD):
            raise Unavailable("no answer")

    world.kube.after = lose
    await made(world, lead)
    made_pods = [key for key in world.kube.objects if key[0] == "AgentPod"]
    assert len(made_pods) == 2, "lead and its child"


async def test_an_api_that_does_not_answer_is_no_refusal(world: World, lead: AgentPod) -> None:
    def away(_verb: str, resource: Resource, _: str) -> None:
        if resource == AGENT_POD:
            raise Unavailable("no answer")

    world.kube.before = away
    with pytest.raises(Unavailable):
        await made(world, lead)


async def test_a_pod_that_could_not_be_bound_is_named(world: World, lead: AgentPod) -> None:
    def unbound(verb: str, resource: Resource, _: str) -> None:
        if (verb, resource.kind) == ("create", "PodBinding"):
            raise Unavailable("no answer")

    world.kube.before = unbound
    with pytest.raises(ToolError) as caught:
        await made(world, lead)
    assert caught.value.structured is not None
    name = caught.value.structured["pod_key"]
    assert name in caught.value.message
    assert world.manifest(AGENT_POD, name)
    world.kube.before = lambda *_: None
    bound = await world.call(lead, "bind_pod", target_pod=name, scopes=["terminal:read"])
    assert bound["status"] == "active"


async def test_a_pod_that_waits_says_why(
    world: World, lead: AgentPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.services.pods._WORD_SECONDS", 10)

    async def scheduler(name: str, status: dict[str, Any]) -> None:
        await world.kube.patch(AGENT_POD, "acme", name, {"status": status}, subresource="status")

    full = {
        "type": "Scheduled",
        "status": "False",
        "reason": "RunnerFull",
        "message": "all 2 places of r1 are taken",
        "lastTransitionTime": "2027-01-15T08:00:00Z",
    }
    placement = {
        "runnerName": "r1",
        "runnerUID": "u",
        "epoch": 1,
        "placedAt": "2027-01-15T08:00:00Z",
    }
    for status, expected in (
        (
            {"phase": "Pending", "conditions": [full]},
            ("Pending", "RunnerFull: all 2 places of r1 are taken"),
        ),
        ({"phase": "Scheduled", "placement": placement}, ("Scheduled", None)),
    ):
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            calling = tasks.create_task(world.call(lead, "create_pod", agent_type_id="greeter"))
            seen = {key for key in world.kube.objects if key[0] == "PodBinding"}
            while seen == {key for key in world.kube.objects if key[0] == "PodBinding"}:
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
            [name] = [
                key[2]
                for key, item in world.kube.objects.items()
                if key[0] == "AgentPod" and key[2] != "lead" and "status" not in item
            ]
            assert not calling.done()
            await scheduler(name, status)
        answer = calling.result()
        assert (answer["status"], answer.get("reason")) == expected


async def test_long_names_of_classes_are_cut(world: World, lead: AgentPod) -> None:
    name = "a" * 53 + "-" + "b" * 9
    await world.agent_class(name)
    answer = await world.call(lead, "create_pod", agent_type_id=name)
    assert answer["pod_key"].startswith("a" * 53 + "-")
    assert len(answer["pod_key"]) == 53 + 1 + 8


async def test_unknown_and_missing_arguments_are_refused(world: World, lead: AgentPod) -> None:
    for arguments in (
        {},
        {"agent_type_id": "greeter", "sandbox": {"network": "host"}},
        {"agent_type_id": "greeter", "permission_mode": "root"},
        {"agent_type_id": "greeter", "initial_prompt": "a" * 32_769},
        {"agent_type_id": "greeter", "config_overrides": {"effort": {"a": 1}}},
    ):
        with pytest.raises(InvalidArgumentsError):
            await world.call(lead, "create_pod", **arguments)


async def _joins(world: World, links: Links, name: str, problem: str | None) -> None:
    """Have a runner connect that says so of the agent's program; None: it never says."""
    uid = (await world.runner(name)).metadata.uid
    executable = next(iter(world.store.of(AgentClass))).spec.executable
    about = About("1", "linux", "x", "host", (), None, 1, looks=problem is not None)
    links.connected(uid, about)
    if problem is not None:
        links.found(uid, Programs({executable: problem}))


async def test_an_agent_that_its_runner_does_not_have_is_refused(
    world: World, lead: AgentPod, links: Links
) -> None:
    await _joins(world, links, "r2", "it was not found (searched /bin)")
    await _joins(world, links, "r3", "")
    error = await refused(world, lead, runner_id="r2")
    assert (error.reason, error.message) == (
        "InvalidArgument",
        "runner_id: runner r2 does not have agent greeter: it was not found (searched /bin)",
    )
    await made(world, lead, runner_id="r3")
    await made(world, lead)


async def test_an_agent_that_no_connected_runner_has_is_refused(
    world: World, lead: AgentPod, links: Links
) -> None:
    await _joins(world, links, "r2", "it was not found (searched /bin)")
    await _joins(world, links, "r3", "nor here")
    assert str(await refused(world, lead)) == (
        "agent_type_id: no connected runner has agent greeter; r2 says: it was not found "
        "(searched /bin)"
    )
    await _joins(world, links, "r4", None)
    await made(world, lead)
