"""Who may use whose terminal, and in which words it is refused."""

import pytest

from controller.services.authoriser import Authoriser
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod
from schemas.names import POD_BINDING, Scope
from tests.unit.controller.tools.world import ELSEWHERE, World

pytestmark = pytest.mark.anyio

READ, WRITE = Scope.TERMINAL_READ, Scope.TERMINAL_WRITE


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def lead(world: World) -> AgentPod:
    return await world.pod("lead")


@pytest.fixture
async def fix(world: World) -> AgentPod:
    return await world.pod("fix")


async def bind(world: World, *scopes: Scope) -> None:
    spec = {"initiator": "lead", "target": "fix", "scopes": list(scopes)}
    await world.make(POD_BINDING, "b", spec=spec)


def refusal(world: World, pod: AgentPod, pod_key: str, scope: Scope) -> tuple[str, str]:
    with pytest.raises(ToolError) as caught:
        world.authoriser.target(world.caller(pod), pod_key, scope)
    return caught.value.reason, caught.value.message


@pytest.mark.usefixtures("fix")
async def test_an_unbound_pod_is_told_which_scope_it_lacks_and_how_to_ask(
    world: World, lead: AgentPod
) -> None:
    for scope in Scope:
        reason, message = refusal(world, lead, "fix", scope)
        assert reason == "Forbidden"
        assert str(scope) in message
        assert "bind_pod" in message


async def test_a_read_only_binding_cannot_write(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    await bind(world, READ)
    found = world.authoriser.target(world.caller(lead), "fix", READ)
    assert found.metadata.uid == fix.metadata.uid
    reason, message = refusal(world, lead, "fix", WRITE)
    assert reason == "Forbidden"
    assert message.startswith("you lack terminal:write on pod fix (you have terminal:read alone)")


@pytest.mark.usefixtures("lead")
async def test_a_binding_gives_the_target_nothing(world: World, fix: AgentPod) -> None:
    await bind(world, READ, WRITE)
    assert refusal(world, fix, "lead", READ)[0] == "Forbidden"


async def test_a_pod_of_another_organization_is_not_there(world: World, lead: AgentPod) -> None:
    await world.pod("hidden", org=ELSEWHERE)
    spec = {"initiator": "lead", "target": "hidden", "scopes": [READ]}
    for org in ("acme", ELSEWHERE):
        await world.make(POD_BINDING, "b", org, spec=spec)
    there = refusal(world, lead, "hidden", READ)
    nowhere = refusal(world, lead, "nobody", READ)
    assert there[0] == nowhere[0] == "NotFound"
    assert there[1].replace("hidden", "X") == nowhere[1].replace("nobody", "X")


async def test_the_union_of_all_active_bindings_counts(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    await bind(world, READ)
    spec = {"initiator": "lead", "target": "fix", "scopes": [WRITE]}
    await world.make(POD_BINDING, "c", spec=spec)
    assert world.authoriser.scopes(lead, fix) == {READ, WRITE}


async def test_a_deleted_binding_counts_no_more(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    await bind(world, READ)
    binding = await world.make(
        POD_BINDING, "c", spec={"initiator": "lead", "target": "fix", "scopes": [WRITE]}
    )
    await world.delete(binding)
    assert world.authoriser.scopes(lead, fix) == {READ}


async def test_a_binding_expires_without_any_event(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    spec = {
        "initiator": "lead",
        "target": "fix",
        "scopes": [READ],
        "expiresAt": "2027-01-15T08:01:00Z",
    }
    await world.make(POD_BINDING, "b", spec=spec)
    assert world.authoriser.scopes(lead, fix) == {READ}
    world.now += 60
    assert not world.authoriser.scopes(lead, fix)


async def test_an_ended_target_has_no_terminal(world: World, lead: AgentPod, fix: AgentPod) -> None:
    await bind(world, READ)
    await world.end(fix)
    assert refusal(world, lead, "fix", READ) == (
        "NotRunning",
        "pod fix has ended: list_available_pods names those that are there",
    )


async def test_a_target_that_waits_for_a_runner_has_no_terminal_yet(
    world: World, lead: AgentPod
) -> None:
    await world.pod("fix", runner=None)
    assert refusal(world, lead, "fix", READ)[0] == "Forbidden", "unbound ones learn nothing more"
    await bind(world, READ)
    assert refusal(world, lead, "fix", READ)[0] == "NotRunning"


async def test_an_ended_caller_holds_nothing(world: World, lead: AgentPod, fix: AgentPod) -> None:
    await bind(world, READ)
    caller = world.caller(lead)
    await world.end(lead, "Failed")
    assert not world.authoriser.scopes(lead, fix)
    with pytest.raises(ToolError):
        world.authoriser.target(caller, "fix", READ)


async def test_a_pod_needs_no_binding_to_itself(world: World, lead: AgentPod) -> None:
    for scope in Scope:
        found = world.authoriser.target(world.caller(lead), "lead", scope)
        assert found.metadata.uid == lead.metadata.uid


async def test_a_later_pod_of_the_callers_name_is_somebody_else(
    world: World, lead: AgentPod
) -> None:
    await world.delete(lead)
    later = await world.pod("lead")
    assert not world.authoriser.scopes(lead, later)
    assert not Authoriser(world.store).scopes(lead, lead)
