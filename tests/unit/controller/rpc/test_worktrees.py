"""Kept work goes from the runner that has it to whoever may have it."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2, link_pb2_grpc

from tests.unit.controller.kube_memory import MemoryUser
from tests.unit.controller.rpc.world import ORG, Holder, World, ends, world

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode
Up = link_pb2.TerminalUp
ADA = "ada-token"


@pytest.fixture
async def mesh() -> AsyncIterator[World]:
    async with world() as found:
        found.kube.tokens[ADA] = MemoryUser("ada")
        found.kube.allowed |= {("ada", "get", "saved", ORG, "gone")}
        yield found


async def connected(mesh: World, name: str, namespace: str = ORG) -> Any:
    """Return the terminal stream of a new runner."""
    holder: Holder = await mesh.runner(name, namespace)
    call = link_pb2_grpc.RunnerTerminalStub(await mesh.runner_port(holder)).Serve()
    await call.write(Up(hello=link_pb2.TerminalHello(instance_id=name)))
    mesh.pod(holder.runner, f"on-{name}", namespace=namespace)
    mesh.kube.allowed |= {("ada", "create", "attach", namespace, f"on-{name}")}
    stub = link_pb2_grpc.AttachStub(await mesh.public())
    attached = stub.Attach(metadata=(("authorization", f"Bearer {ADA}"),))
    opening = link_pb2.AttachOpen(namespace=namespace, pod=f"on-{name}")
    await attached.write(link_pb2.AttachIn(open=opening))
    await asked(call, "open")  # the controller knows the stream by now
    return call


async def ask(mesh: World, pod: str = "gone", token: str = ADA) -> Any:
    stub = link_pb2_grpc.WorktreesStub(await mesh.public())
    request = link_pb2.RestoreRequest(namespace=ORG, pod=pod, have=["a" * 40])
    return stub.Restore(request, metadata=(("authorization", f"Bearer {token}"),))


async def asked(call: Any, kind: str = "restore") -> tuple[int, Any]:
    while (down := await call.read()).WhichOneof("msg") != kind:
        pass
    return down.view, getattr(down, kind)


async def test_the_latest_of_all_runners_is_given(mesh: World) -> None:
    older, newer = await connected(mesh, "one"), await connected(mesh, "two")
    call = await ask(mesh)
    views = {}
    for runner, at in ((older, 1), (newer, 2)):
        view, order = await asked(runner)
        assert (order.namespace, order.pod, list(order.have)) == (ORG, "gone", ["a" * 40])
        views[at] = view
        work = link_pb2.WorkFound(commit=str(at), saved_unix_ms=at, bundled=True)
        await runner.write(Up(view=view, work=work))
    first = await call.read()
    assert (first.found.commit, first.runner) == ("2", "two")
    _, credit = await asked(newer, "credit")
    assert credit.bytes > 0
    for offset, data in ((0, b"pa"), (2, b"ck")):
        await newer.write(Up(view=views[2], output=link_pb2.Output(offset=offset, data=data)))
    await newer.write(Up(view=views[2], ended=link_pb2.ViewEnded(reason="EndOfWork")))
    assert [(await call.read()).data for _ in range(2)] == [b"pa", b"ck"]
    assert await call.read() is grpc.aio.EOF
    await asked(older, "close")


async def test_who_has_nothing_says_so_and_is_passed_over(mesh: World) -> None:
    runner = await connected(mesh, "one")
    call = await ask(mesh)
    view, _ = await asked(runner)
    await runner.write(Up(view=view, ended=link_pb2.ViewEnded(reason="NotKept", message="none")))
    code, text = await ends(call)
    assert (code, "nothing is kept of a pod gone" in text) == (Code.NOT_FOUND, True)


async def test_files_that_only_the_machine_has_are_named(mesh: World) -> None:
    runner = await connected(mesh, "one")
    call = await ask(mesh)
    view, _ = await asked(runner)
    ended = link_pb2.ViewEnded(reason="KeptAsFiles", message="its files are in /kept/gone")
    await runner.write(Up(view=view, ended=ended))
    assert await ends(call) == (Code.NOT_FOUND, "its files are in /kept/gone")


async def test_a_runner_that_breaks_off_is_not_taken_for_the_end(mesh: World) -> None:
    runner = await connected(mesh, "one")
    call = await ask(mesh)
    view, _ = await asked(runner)
    await runner.write(Up(view=view, work=link_pb2.WorkFound(commit="1", bundled=True)))
    await call.read()
    runner.cancel()
    assert (await ends(call))[0] == Code.UNAVAILABLE


async def test_runners_of_other_namespaces_are_not_asked(mesh: World) -> None:
    await connected(mesh, "one", "other")
    code, text = await ends(await ask(mesh))
    assert (code, "no runner" in text) == (Code.NOT_FOUND, True)


async def test_who_may_not_have_it_is_refused_before_any_runner_is_asked(mesh: World) -> None:
    mesh.kube.tokens["eve-token"] = MemoryUser("eve")
    code, text = await ends(await ask(mesh, token="eve-token"))  # noqa: S106 - a word
    assert (code, "get agentpods/saved" in text) == (Code.PERMISSION_DENIED, True)
    assert (await ends(await ask(mesh, token="unknown")))[0] == Code.UNAUTHENTICATED  # noqa: S106
    assert (await ends(await ask(mesh, pod="../x")))[0] == Code.INVALID_ARGUMENT
