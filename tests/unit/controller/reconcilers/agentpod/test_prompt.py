"""A pod says what stands in the way of its prompt, where a person looks."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

WAITS = ("PromptWaits", "The prompt is not typed yet: the screen never showed the sign.")


@pytest.fixture
async def mesh(mesh: Any) -> Any:
    await mesh.organization()
    await mesh.agent_class()
    (await mesh.runner()).connect()
    await mesh.settle()
    return mesh


async def test_a_prompt_that_waits_is_a_condition_until_it_does_not(mesh: Any) -> None:
    await mesh.pod()
    await mesh.settle()
    assert mesh.condition("PromptSubmitted") is None, "nothing is wrong"
    mesh.runners["r1"].trouble = WAITS
    await mesh.settle()
    said = mesh.condition("PromptSubmitted")
    assert (said["status"], said["reason"], said["message"]) == ("False", *WAITS)
    assert mesh.condition("Ready")["status"] == "True", "the agent runs all the same"
    mesh.runners["r1"].trouble = ("", "")
    await mesh.settle()
    assert mesh.condition("PromptSubmitted") is None


async def test_other_words_about_a_running_pod_are_not_about_its_prompt(mesh: Any) -> None:
    await mesh.pod()
    mesh.runners["r1"].trouble = ("CloneFailed", "an old story")
    await mesh.settle()
    assert mesh.condition("PromptSubmitted") is None


async def test_an_event_tells_of_it_once(mesh: Any) -> None:
    await mesh.pod()
    mesh.runners["r1"].trouble = WAITS
    await mesh.settle()
    await mesh.settle()
    events = [item for (kind, *_), item in mesh.kube.objects.items() if kind == "Event"]
    told = [each for each in events if each["reason"] == "PromptWaits"]
    assert [each["type"] for each in told] == ["Warning"]
