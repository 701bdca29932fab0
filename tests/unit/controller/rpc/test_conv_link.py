"""CONV-04, 09 and 10 at the runner port. The table of all is in docs/once.md."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2

from controller.rpc.control import PROTOCOL
from tests.unit.controller.rpc.world import Holder, World, ends, hello, read, world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def mesh() -> AsyncIterator[World]:
    async with world() as found:
        yield found


async def opened(mesh: World, holder: Holder, first: link_pb2.RunnerMessage) -> Any:
    """Return a call that has said *first*."""
    call = (await mesh.control(holder)).Connect()
    await call.write(first)
    return call


@pytest.mark.parametrize(
    ("lowest", "highest", "welcome"),
    [
        pytest.param(PROTOCOL, PROTOCOL, True, id="the same"),
        pytest.param(PROTOCOL, PROTOCOL + 1, True, id="a runner that speaks the next as well"),
        pytest.param(PROTOCOL - 1, PROTOCOL, True, id="a runner that speaks the last as well"),
        pytest.param(PROTOCOL + 1, PROTOCOL + 2, False, id="a runner that is too new"),
        pytest.param(0, PROTOCOL - 1, False, id="a runner that is too old"),
    ],
)
async def test_conv_10_both_speak_what_both_know_or_say_that_there_is_nothing(
    mesh: World,
    lowest: int,
    highest: int,
    welcome: bool,  # noqa: FBT001 - a column of the table
) -> None:
    first = hello(protocol_min=lowest, protocol_max=highest)
    call = await opened(mesh, await mesh.runner(), first)
    if welcome:
        assert (await read(call, "welcome")).protocol == PROTOCOL
    else:
        code, details = await ends(call)
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "upgrade the older one" in details


async def test_conv_10_what_a_newer_runner_adds_is_read_over(mesh: World) -> None:
    first = hello()
    first.hello.features.extend(["agents", "of-the-future"])
    unknown = bytes([0xFA, 0x06, 0x02]) + b"hi"  # field 111, of length 2
    first.MergeFromString(unknown)
    call = await opened(mesh, await mesh.runner(), first)
    await read(call, "welcome")
    await call.write(link_pb2.RunnerMessage.FromString(unknown))
    await call.write(link_pb2.RunnerMessage(heartbeat=link_pb2.Heartbeat(beat=5)))
    assert (await read(call, "heartbeat_ack")).beat == 5


async def test_conv_04_a_controller_that_was_overtaken_commands_nobody(mesh: World) -> None:
    first = hello(last_controller_epoch=mesh.placement.epoch() + 1)
    code, details = await ends(await opened(mesh, await mesh.runner(), first))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "must step down" in details
    assert mesh.placement.online == set()


async def test_conv_09_of_two_clones_one_works_and_both_are_told(mesh: World) -> None:
    holder = await mesh.runner()
    first = await opened(mesh, holder, hello("one"))
    await read(first, "welcome")
    second = await opened(mesh, holder, hello("other"))
    await read(second, "welcome")
    assert (await read(first, "close")).reason == "Replaced"
    again = await opened(mesh, holder, hello("one"))
    assert (await read(again, "close")).reason == "DuplicateRunner"
    await second.write(link_pb2.RunnerMessage(heartbeat=link_pb2.Heartbeat(beat=1)))
    assert (await read(second, "heartbeat_ack")).beat == 1, "the other one goes on"
    assert set(mesh.recorder.reasons) == {"DuplicateRunner"}
