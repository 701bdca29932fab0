"""An AgentPod and its class become what a runner starts; values are data."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from controller.placement.quantity import byte_count, millis
from controller.placement.resolve import resolve
from runner.drivers.agents import expand


def resolved(build: Any, pod: dict[str, Any], agent: dict[str, Any]) -> link_pb2.RunSpec:
    made = build("AgentPod", "fix", spec={"agentClassName": "c", **pod})
    return resolve(made, build("AgentClass", "c", spec={"executable": "x", **agent}), None).spec


def test_names_are_expanded_and_the_runners_own_are_left_to_it(build: Any) -> None:
    args = ["$(MODEL)", "$(POD)@$(ORGANIZATION)", "$(WORKTREE)/x", "$(NOBODY)", "$$(POD)", "$5"]
    spec = resolved(build, {"model": "big"}, {"args": args})
    names = {"WORKTREE": "/w", "HOME": "/h"}
    assert [expand(arg, names) for arg in spec.args] == [
        "big",
        "fix@acme",
        "/w/x",
        "$(NOBODY)",
        "$(POD)",
        "$5",
    ]


@given(model=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_no_model_name_is_ever_interpreted(model: str) -> None:
    from schemas.agentclass import AgentClass
    from schemas.agentpod import AgentPod

    metadata = {"name": "a", "namespace": "acme"}
    pod = AgentPod.model_validate(
        {"metadata": metadata, "spec": {"agentClassName": "c", "model": model or None}}
    )
    agent = AgentClass.model_validate(
        {"metadata": metadata, "spec": {"executable": "x", "args": ["<$(MODEL)>"]}}
    )
    [arg] = resolve(pod, agent, None).spec.args
    assert expand(arg, {"WORKTREE": "/w", "HOME": "/h"}) == f"<{model}>"


def test_the_pods_variables_win_over_the_classs_and_may_use_them(build: Any) -> None:
    spec = resolved(
        build,
        {"environment": [{"name": "A", "value": "pod"}, {"name": "B", "value": "$(A)-$(C)"}]},
        {"environment": [{"name": "A", "value": "class"}, {"name": "C", "value": "c"}]},
    )
    assert {item.name: item.value for item in spec.environment} == {
        "A": "pod",
        "B": "pod-c",
        "C": "c",
    }


def test_permission_mode_and_model_become_arguments_after_the_classs_own(build: Any) -> None:
    spec = resolved(
        build,
        {"permissionMode": "plan", "model": "big"},
        {
            "args": ["run"],
            "permissionModes": {"plan": ["--permission", "plan"]},
            "model": {"flag": "--model"},
        },
    )
    assert list(spec.args) == ["run", "--permission", "plan", "--model", "big"]


def test_the_prompt_is_passed_byte_for_byte(build: Any) -> None:
    prompt = "line\n$(POD) `x` \"y\" 'z' $HOME; rm -rf /"
    spec = resolved(build, {"prompt": prompt}, {"prompt": {"position": "typed"}})
    assert spec.prompt == prompt
    assert spec.prompt_position == link_pb2.PROMPT_TYPED


def test_equal_pods_have_equal_digests_and_different_ones_have_not(build: Any) -> None:
    agent = build("AgentClass", "c", spec={"executable": "x"})
    pods = [
        build("AgentPod", "fix", spec={"agentClassName": "c", "prompt": prompt})
        for prompt in ("a", "a", "b")
    ]
    first, same, other = (resolve(pod, agent, None).digest for pod in pods)
    assert first == same != other


def test_a_repository_is_passed_with_its_own_default_branch(build: Any) -> None:
    repository = build(
        "Repository",
        "shop",
        spec={
            "url": "https://git.example/shop.git",
            "defaultBranch": "trunk",
            "authSecretRef": {"name": "s"},
        },
    )
    use = {"name": "shop", "ref": "v1", "worktree": {"branch": "fix", "createBranch": False}}
    pod = build("AgentPod", "fix", spec={"agentClassName": "c", "repositoryRef": use})
    agent = build("AgentClass", "c", spec={"executable": "x"})
    wire = resolve(pod, agent, repository).spec.repository
    assert (wire.url, wire.ref, wire.branch, wire.create_branch) == (
        "https://git.example/shop.git",
        "v1",
        "fix",
        False,
    )
    assert (wire.default_branch, wire.has_credentials) == ("trunk", True)
    assert not wire.continue_branch
    either = use | {"worktree": {"branch": "fix", "continueBranch": True}}
    pod = build("AgentPod", "fix", spec={"agentClassName": "c", "repositoryRef": either})
    wire = resolve(pod, agent, repository).spec.repository
    assert (wire.create_branch, wire.continue_branch) == (True, True)


def test_options_follow_class_mode_and_model_and_their_values_are_data(build: Any) -> None:
    agent = {
        "args": ["run"],
        "permissionModes": {"plan": ["--plan"]},
        "model": {"flag": "--model", "env": "M"},
        "environment": [{"name": "STYLE", "value": "plain"}],
        "options": [
            {"name": "title", "flag": "--title"},
            {"name": "style", "env": "STYLE"},
            {"name": "fast", "type": "boolean", "flag": "--fast"},
        ],
    }
    config = {"fast": "true", "style": "$(HOME)", "title": "$(HOME) $$ $(POD)"}
    pod = {"model": "big", "permissionMode": "plan", "config": config}
    spec = resolved(build, pod, agent)
    names = {"HOME": "/h", "WORKTREE": "/w"}
    assert [expand(arg, names) for arg in spec.args] == [
        "run",
        "--plan",
        *("--model", "big"),
        *("--title", "$(HOME) $$ $(POD)"),
        "--fast",
    ]
    variables = {each.name: expand(each.value, names) for each in spec.environment}
    assert variables == {"STYLE": "$(HOME)", "M": "big"}


@pytest.mark.parametrize("form", ["claude", "codex", "gemini", "opencode"])
def test_the_runner_learns_how_the_agent_is_told_of_its_server(build: Any, form: str) -> None:
    assert resolved(build, {}, {"mcp": {"format": form}}).mcp.format == form


def test_nobody_is_told_of_a_server_where_the_class_says_so(build: Any) -> None:
    assert not resolved(build, {}, {"mcp": {"format": "none"}}).HasField("mcp")
    assert not resolved(build, {}, {}).HasField("mcp")


@pytest.mark.parametrize(
    ("text", "size"),
    [("4Gi", 4 * 2**30), ("1.5Mi", 1572864), ("2G", 2 * 10**9), ("17", 17), ("3k", 3000)],
)
def test_quantities_of_memory_become_bytes(text: str, size: int) -> None:
    assert byte_count(text) == size


@pytest.mark.parametrize(("text", "count"), [("2", 2000), ("500m", 500), ("0.25", 250)])
def test_quantities_of_processors_become_thousandths(text: str, count: int) -> None:
    assert millis(text) == count
