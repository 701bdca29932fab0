"""Built-in AgentClasses get onto the API, and what somebody changed is left alone."""

import copy
from typing import Any

import pytest

from controller.builtin.catalog import Builtin, builtins, digest
from controller.builtin.install import Step, install
from controller.kube.errors import AlreadyExists, Conflict
from schemas.names import (
    AGENT_CLASS,
    ANNOTATION_BUILTIN,
    ANNOTATION_RECONCILE,
    BUILTIN_CLASSES,
    CONFIG_MAP,
    CONTROLLER_NAMESPACE,
    Resource,
)
from tests.unit.controller.kube_memory import MemoryKube

pytestmark = pytest.mark.anyio


def release(executable: str = "greeter", **more: Any) -> Builtin:
    spec = {"executable": executable, **more}
    return Builtin("greeter", spec, digest(spec))


def stored(kube: MemoryKube) -> dict[str, Any]:
    return kube.objects[AGENT_CLASS.kind, "", "greeter"]


@pytest.fixture
async def kube() -> MemoryKube:
    """Return an API server on which an earlier release has put its class."""
    made = MemoryKube()
    await install(made, [release(environment=[{"name": "A", "value": "1"}])])
    return made


async def test_all_are_created_where_there_are_none() -> None:
    kube = MemoryKube()
    done = await install(kube)
    assert set(done) == {each.name for each in builtins()}
    assert set(done.values()) == {Step.CREATE}
    assert set((await install(kube)).values()) == {Step.CURRENT}


async def test_a_new_release_replaces_what_nobody_changed(kube: MemoryKube) -> None:
    assert await install(kube, [release("better")]) == {"greeter": Step.UPDATE}
    assert stored(kube)["spec"] == {"executable": "better"}
    assert await install(kube, [release("better")]) == {"greeter": Step.CURRENT}


async def test_defaults_that_the_api_server_fills_in_are_no_change(kube: MemoryKube) -> None:
    stored(kube)["spec"] |= {"prompt": {"position": "argument", "submitKeys": "\r"}, "args": []}
    assert await install(kube, [release("better")]) == {"greeter": Step.UPDATE}


@pytest.mark.parametrize("spec", [{"executable": "mine"}, {"executable": 7}, {}])
async def test_an_edited_class_is_left_alone(kube: MemoryKube, spec: dict[str, Any]) -> None:
    stored(kube)["spec"] = copy.deepcopy(spec)
    assert await install(kube, [release("better")]) == {"greeter": Step.CHANGED}
    assert stored(kube)["spec"] == spec


async def test_somebodys_class_of_the_same_name_is_left_alone(kube: MemoryKube) -> None:
    del stored(kube)["metadata"]["annotations"][ANNOTATION_BUILTIN]
    assert await install(kube, [release("better")]) == {"greeter": Step.CHANGED}


async def test_a_class_that_is_disabled_is_left_alone(kube: MemoryKube) -> None:
    stored(kube)["metadata"]["annotations"][ANNOTATION_RECONCILE] = "disabled"
    assert await install(kube, [release("better")]) == {"greeter": Step.DISABLED}


async def test_a_deleted_class_stays_deleted(kube: MemoryKube) -> None:
    await kube.delete(AGENT_CLASS, "", "greeter")
    assert await install(kube, [release("better")]) == {"greeter": Step.DELETED}
    forget = {"data": {"greeter": None}}
    await kube.patch(CONFIG_MAP, CONTROLLER_NAMESPACE, BUILTIN_CLASSES, forget)
    assert await install(kube, [release("better")]) == {"greeter": Step.CREATE}


async def test_a_class_that_is_edited_at_the_same_moment_keeps_the_edit(kube: MemoryKube) -> None:
    def edit(verb: str, resource: Resource, name: str) -> None:
        if (verb, resource, name) == ("patch", AGENT_CLASS, "greeter"):
            kube.before = lambda *_: None
            stored(kube)["spec"] = {"executable": "mine"}
            stored(kube)["metadata"]["resourceVersion"] = "edited"
            raise Conflict("modified")

    kube.before = edit
    assert await install(kube, [release("better")]) == {"greeter": Step.CHANGED}
    assert stored(kube)["spec"] == {"executable": "mine"}


async def test_two_controllers_may_begin_at_once() -> None:
    kube = MemoryKube()

    def overtake(verb: str, resource: Resource, name: str) -> None:
        if verb == "create":
            kube.before = lambda *_: None
            kube.objects[AGENT_CLASS.kind, "", name] = {
                **release().manifest,
                "metadata": {**release().manifest["metadata"], "resourceVersion": "0"},
            }
            raise AlreadyExists(f"{resource.kind} {name}")

    kube.before = overtake
    assert await install(kube, [release()]) == {"greeter": Step.CURRENT}
