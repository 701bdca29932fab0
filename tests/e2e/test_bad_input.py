"""Bad input gets one clear sentence where the user looks, and blocks nothing else."""

import base64
import socket
from typing import Any

import pytest
import yaml

from tests.e2e.harness import Mesh, agent_class, agent_pod, repository, until

pytestmark = pytest.mark.timeout(180)


def _explained(mesh: Mesh, name: str, kind: str, *words: str) -> dict[str, Any]:
    """Wait until condition *kind* of the pod is False and its message has all *words*."""

    def told() -> dict[str, Any] | None:
        condition = mesh.condition(name, kind)
        found = condition.get("status") == "False" and all(
            word in condition.get("message", "") for word in words
        )
        return condition if found else None

    return dict(until(told, what=f"{kind} of {name}: {mesh.get(name).get('status')}"))


def _others_still_start(mesh: Mesh, name: str) -> None:
    mesh.apply(agent_pod(name, "idle"))
    mesh.ready(name)
    mesh.delete(name)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"promt": "x"}, ["spec.promt"], id="an unknown field"),
        pytest.param({"terminal": {"cols": "wide"}}, ["spec.terminal.cols"], id="a wrong type"),
        pytest.param({"restartPolicy": "Always"}, ["spec.restartPolicy"], id="an unknown value"),
        pytest.param({"prompt": "a\0b"}, ["spec.prompt"], id="a NUL in the prompt"),
        pytest.param({"prompt": "x" * 32769}, ["spec.prompt"], id="a prompt beyond 32 KiB"),
        pytest.param(
            {"repositoryRef": {"name": "origin", "worktree": {"branch": "--upload-pack=x"}}},
            ["spec.repositoryRef.worktree.branch", "must not begin with -"],
            id="a branch that looks like an option",
        ),
        pytest.param(
            {"repositoryRef": {"name": "origin", "ref": "-x"}},
            ["spec.repositoryRef.ref", "must not begin with -"],
            id="a ref that looks like an option",
        ),
        pytest.param(
            {"repositoryRef": {"name": "origin", "ref": "HEAD~1"}},
            ["spec.repositoryRef.ref", "any of ~ ^"],
            id="a ref with revision syntax",
        ),
    ],
)
def test_an_invalid_pod_is_refused_with_field_and_reason(
    mesh: Mesh, spec: dict[str, Any], words: list[str]
):
    text = yaml.safe_dump(agent_pod("invalid", "idle", **spec))
    said = mesh.refused("apply", "-f", "-", stdin=text)
    assert all(word in said for word in words), said
    assert not mesh.exists("invalid")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param("ext::sh -c id", "must be an https:// or ssh:// address", id="a transport"),
        pytest.param("https://a:b@git.example/x", "authSecretRef", id="a password"),
    ],
)
def test_an_invalid_address_is_refused_in_words(mesh: Mesh, url: str, words: str):
    said = mesh.refused("apply", "-f", "-", stdin=yaml.safe_dump(repository("invalid", url)))
    assert "spec.url" in said
    assert words in said


def test_text_that_is_not_yaml_is_refused(mesh: Mesh):
    assert "yaml" in mesh.refused("apply", "-f", "-", stdin="a: [b").lower()


def test_a_class_that_does_not_exist_is_named(mesh: Mesh):
    mesh.apply(agent_pod("no-class", "nonesuch"))
    _explained(mesh, "no-class", "Ready", "nonesuch")
    _others_still_start(mesh, "after-no-class")
    mesh.apply(agent_class("nonesuch", "exec sleep 100000"))
    mesh.ready("no-class")
    mesh.delete("no-class")


def test_a_repository_that_does_not_exist_is_named_and_may_come_later(mesh: Mesh):
    mesh.apply(agent_pod("no-repository", "idle", repositoryRef={"name": "later"}))
    _explained(mesh, "no-repository", "Ready", "later")
    mesh.apply(repository("later", f"file://{mesh.folder}/git/origin.git"))
    mesh.ready("no-repository")
    mesh.delete("no-repository")


def test_a_branch_that_does_not_exist_is_named(mesh: Mesh):
    mesh.apply(agent_pod("no-branch", "idle", repositoryRef={"name": "origin", "ref": "nowhere"}))
    _explained(mesh, "no-branch", "Ready", "nowhere")
    _others_still_start(mesh, "after-no-branch")
    mesh.delete("no-branch")


def test_a_missing_executable_is_told_with_what_was_searched_and_where(mesh: Mesh):
    missing = agent_class("missing", "x")
    missing["spec"]["executable"] = "no-such-agent"
    mesh.apply(missing)
    mesh.apply(agent_pod("no-executable", "missing"))
    _explained(mesh, "no-executable", "Ready", "no-such-agent", "/usr/bin")
    assert mesh.condition("no-executable", "Scheduled")["reason"] == "AgentNotFound"
    mesh.delete("no-executable")


def test_an_unreachable_remote_is_told_and_tried_again(mesh: Mesh):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    mesh.apply(repository("away", f"https://127.0.0.1:{port}/x.git"))
    mesh.apply(agent_pod("unreachable", "idle", repositoryRef={"name": "away"}))
    _explained(mesh, "unreachable", "Ready", f"127.0.0.1:{port}")
    _others_still_start(mesh, "after-unreachable")
    mesh.delete("unreachable")


def test_a_local_path_that_was_not_allowed_is_refused(mesh: Mesh):
    mesh.apply(repository("outside", "file:///etc"))
    mesh.apply(agent_pod("not-allowed", "idle", repositoryRef={"name": "outside"}))
    _explained(mesh, "not-allowed", "Ready", "allow")
    mesh.delete("not-allowed")


def test_a_hostile_prompt_arrives_byte_for_byte(mesh: Mesh):
    piece = "\"quoted\" 'single' $(touch /tmp/owned) `id` $HOME ${X} \\ \n\t%s é € 🙂 -- --flag\n"
    prompt = (piece * 1000).encode()[:32768].decode(errors="ignore")
    script = 'printf %s "$1" | base64 -w0; echo; echo the-end; exec sleep 100000'
    mesh.apply(agent_class("prompted", script, "argument"))
    mesh.apply(agent_pod("hostile", "prompted", prompt=prompt))
    mesh.ready("hostile")
    until(lambda: "the-end" in mesh.logs("hostile"))
    printed = mesh.logs("hostile").split("the-end")[0]
    assert base64.b64decode("".join(printed.split())).decode() == prompt
    mesh.delete("hostile")


def test_a_full_runner_makes_pods_wait_and_says_so(mesh: Mesh):
    mesh.kubectl(
        *("patch", "runner", "local", "-n", "default", "--type=merge"),
        *("-p", '{"spec":{"capacity":{"maxPods":1}}}'),
    )
    try:
        mesh.apply(agent_pod("has-room", "idle"))
        mesh.ready("has-room")
        mesh.apply(agent_pod("waits", "idle"))
        condition = _explained(mesh, "waits", "Scheduled", "full")
        assert condition["reason"] == "RunnerFull"
        assert mesh.get("waits")["status"]["phase"] == "Pending"
        mesh.delete("has-room")
        mesh.ready("waits")
        mesh.delete("waits")
    finally:
        mesh.kubectl(
            *("patch", "runner", "local", "-n", "default", "--type=json"),
            *("-p", '[{"op":"remove","path":"/spec/capacity"}]'),
        )


def test_a_cordoned_runner_takes_nothing_new(mesh: Mesh):
    mesh.kubectl(
        *("patch", "runner", "local", "-n", "default", "--type=merge"),
        *("-p", '{"spec":{"cordoned":true}}'),
    )
    mesh.apply(agent_pod("cordon", "idle"))
    _explained(mesh, "cordon", "Scheduled", "cordoned")
    mesh.kubectl(
        *("patch", "runner", "local", "-n", "default", "--type=merge"),
        *("-p", '{"spec":{"cordoned":false}}'),
    )
    mesh.ready("cordon")
    mesh.delete("cordon")
