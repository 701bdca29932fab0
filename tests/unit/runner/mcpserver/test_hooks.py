"""What an agent's hooks may tell, and who may."""

import json

import pytest

from runner.mcpserver.hooks import kept
from tests.unit.runner.mcpserver.rig import Rig, ask

pytestmark = pytest.mark.anyio

STOP = {"hook_event_name": "Stop", "cwd": "/work", "transcript_path": "/secret"}


async def test_a_hook_of_the_agent_is_heard_and_decides_nothing(mesh: Rig) -> None:
    answered = await ask(mesh.pod("a-pod"), json.dumps(STOP).encode(), path="/hooks")
    assert (answered.status, answered.body) == (200, b"{}")
    assert mesh.readiness.hooks == [("a-pod", {"hook_event_name": "Stop"})]
    assert not mesh.controller.calls


async def test_nobody_else_is_heard(mesh: Rig) -> None:
    pod, other = mesh.pod("a-pod"), mesh.pod("other")
    body = json.dumps(STOP).encode()
    for token in (None, "Bearer wrong", f"Bearer {other.token}"):
        assert (await ask(pod, body, path="/hooks", authorization=token)).status == 403
    assert (await ask(pod, body, path="/hooks", method="GET")).status == 405
    assert not mesh.readiness.hooks


async def test_nothing_is_heard_where_the_class_has_no_hooks(mesh: Rig) -> None:
    pod = mesh.pod("a-pod", hooks="")
    assert (await ask(pod, json.dumps(STOP).encode(), path="/hooks")).status == 404
    assert not mesh.readiness.hooks


async def test_what_is_no_hook_is_taken_and_says_nothing(mesh: Rig) -> None:
    pod = mesh.pod("a-pod")
    for body in (b"", b"{", b"[1]", b"[" * 100_000, b'{"hook_event_name": 5}'):
        assert (await ask(pod, body, path="/hooks")).status == 200
    assert {tuple(body.items()) for _, body in mesh.readiness.hooks} == {()}


def test_only_a_few_words_are_kept() -> None:
    said = {**STOP, "tool_name": "x" * 1000, "prompt": "secret", "tool_input": {"a": "secret"}}
    assert kept(json.dumps(said).encode()) == {"hook_event_name": "Stop", "tool_name": "x" * 64}
