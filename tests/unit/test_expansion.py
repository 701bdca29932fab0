"""``$(NAME)`` from the AgentClass to the process: controller and runner expand as if they were one.

What the controller resolves goes over the wire and through the runner's own workshop; what is
looked at is the command line, the environment and the files in the home.
"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from controller.placement.resolve import literal, resolve
from runner.converge.places import Places
from runner.converge.workshop import Ground, Workshop
from runner.drivers import agents
from runner.drivers.sandbox.values import Capabilities
from runner.drivers.worktree_values import SavedRef, Worktree, WorktreeRequest, WorktreeState
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.repository import Repository

pytestmark = pytest.mark.anyio

UID = "11111111-2222-3333-4444-555555555555"


class OneWorktree:
    """A worktree driver with a worktree at one place, that is there only once it was asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def ensure(self, request: WorktreeRequest) -> Worktree:
        self.path.mkdir(parents=True)
        return Worktree(self.path, self.path, request.branch, "0" * 40, ())

    async def inspect(self, uid: str) -> WorktreeState | None: ...

    async def save(self, uid: str) -> SavedRef | None: ...

    async def remove(self, uid: str) -> Path | None: ...


class NoTrash:
    def discard(self, path: Path) -> bool: ...


def _desired(pod_spec: dict[str, Any], class_spec: dict[str, Any]) -> link_pb2.PodDesired:
    metadata = {"name": "fix", "namespace": "acme", "uid": UID}
    url = {"url": "https://git.example/shop.git"}
    repository = Repository.model_validate({"metadata": metadata, "spec": url})
    pod = AgentPod.model_validate(
        {"metadata": metadata, "spec": {"agentClassName": "c", "model": "m$(POD)$$"} | pod_spec}
    )
    agent = AgentClass.model_validate(
        {"metadata": metadata, "spec": {"executable": "/bin/true"} | class_spec}
    )
    found = resolve(pod, agent, repository if pod.spec.repository_ref else None)
    wire = link_pb2.RunSpec.FromString(found.spec.SerializeToString())
    return link_pb2.PodDesired(
        ref=link_pb2.PodRef(pod_uid=UID, epoch=1), namespace="acme", name="fix", spec=wire
    )


async def _arrives(folder: Path, text: str, pod: dict[str, Any]) -> dict[str, str]:
    """Return what becomes of *text* in each of the places where a class may have it."""
    before = {"name": "OWN", "value": "<$(HOME)$$>"}
    desired = _desired(
        pod,
        {
            "args": [text],
            "environment": [before, {"name": "CLASS", "value": text}],
            "homeFiles": [{"path": "conf/agent", "content": text}],
        },
    )
    places = Places(folder / "data")
    places.settings.mkdir(parents=True)
    # without a sandbox, so that nothing stands around what is looked at
    ground = Ground((Path("/usr/bin"),), Capabilities(), none_allowed=True)
    workshop = Workshop(places, OneWorktree(folder / "tree"), NoTrash(), ground)
    ready = await workshop.prepare(desired, None)
    launch = (await workshop.plan(desired, 0, ready)).launch
    return {
        "args": launch.argv[-1],
        "environment": launch.environment["CLASS"],
        "homeFiles": (ready.home / "conf" / "agent").read_text(),
    }


@pytest.mark.parametrize("place", ["args", "environment", "homeFiles"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("$(HOME)/x", "{home}/x", id="what only the runner knows"),
        pytest.param("$(WORKTREE)/x", "{tree}/x", id="the worktree"),
        pytest.param("$(POD)@$(ORGANIZATION)", "fix@acme", id="what the controller knows"),
        pytest.param("$(MODEL)", "m$(POD)$$", id="values are not looked at again"),
        pytest.param("$(OWN)", "<{home}$>", id="a variable that holds a name of the runner's"),
        pytest.param("$(UNKNOWN)", "$(UNKNOWN)", id="unknown names stay"),
        pytest.param("$$", "$", id="two dollars are one"),
        pytest.param("$$(HOME)", "$(HOME)", id="a dollar before a name keeps it"),
        pytest.param("$$$(HOME)", "${home}", id="a dollar, then a name"),
        pytest.param("$$$$", "$$", id="four dollars are two"),
        pytest.param("$1", "$1", id="a dollar and a digit"),
        pytest.param("${X}", "${X}", id="braces are nobody's"),
        pytest.param("$(HOME", "$(HOME", id="an open bracket"),
        pytest.param("a $ b `c` \\$(x) $", "a $ b `c` \\$(x) $", id="lone dollars"),
    ],
)
async def test_a_text_arrives_the_same_in_each_place(
    tmp_path: Path, text: str, expected: str, place: str
) -> None:
    arrived = await _arrives(tmp_path, text, {"repositoryRef": {"name": "shop"}})
    home = str(tmp_path / "data" / "pods" / UID / "home")
    wanted = expected.replace("{home}", home).replace("{tree}", str(tmp_path / "tree"))
    assert arrived[place] == wanted


async def test_without_a_repository_the_worktrees_name_stays(tmp_path: Path) -> None:
    arrived = await _arrives(tmp_path, "$(WORKTREE)", {})
    assert set(arrived.values()) == {"$(WORKTREE)"}


def test_variables_of_the_pod_and_of_the_model_are_no_exception() -> None:
    variables = [{"name": "A", "value": "$(HOME)-$$"}, {"name": "B", "value": "$(A)$1"}]
    desired = _desired({"environment": variables}, {"model": {"env": "MODEL_NAME"}})
    names = {"HOME": "/h"}
    found = {each.name: agents.expand(each.value, names) for each in desired.spec.environment}
    assert found == {"A": "/h-$", "B": "/h-$$1", "MODEL_NAME": "m$(POD)$$"}


@given(text=st.text(st.sampled_from("$()HOMEWRKT{}1a"), max_size=40))
def test_any_text_that_is_made_literal_arrives_as_it_is(text: str) -> None:
    [arg] = _desired({}, {"args": [literal(text)]}).spec.args
    assert agents.expand(arg, {"HOME": "/h", "WORKTREE": "/w"}) == text
