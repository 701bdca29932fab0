"""Certificates in use: renewed under load, ended with their right, noticed when copied."""

import asyncio
import itertools
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2, link_pb2_grpc

from controller.kube.errors import Unavailable
from controller.pki.clock import rfc3339
from schemas.names import CA_ROOT_SECRET, RUNNER, SECRET
from tests.unit.controller.rpc.world import (
    ORG,
    Holder,
    World,
    chain,
    csr,
    desired,
    ends,
    hello,
    new_key,
    now_ms,
    read,
    refused,
    until,
    world,
)

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode


@pytest.fixture
async def mesh() -> AsyncIterator[World]:
    async with world() as found:
        yield found


async def _renew(mesh: World, holder: Holder, key: Any = None, **changes: Any) -> Holder:
    key = key or new_key()
    request = {"csr_der": csr(key), "wall_clock_unix_ms": now_ms()} | changes
    stub = await mesh.control(holder)
    answer = await stub.Renew(link_pb2.RenewRequest(**request), timeout=10)
    return replace(holder, key=key, chain_pem=chain(answer.chain_der))


async def _connect(mesh: World, holder: Holder, instance: str = "i-1") -> Any:
    call = (await mesh.control(holder)).Connect()
    await call.write(hello(instance))
    await read(call, "welcome")
    return call


async def read_quietly(call: Any) -> Any:
    """Return the first message, or EOF if the call was refused."""
    try:
        return await read(call)
    except grpc.aio.AioRpcError:
        return grpc.aio.EOF


async def _status(mesh: World, holder: Holder) -> tuple[grpc.StatusCode, str]:
    """Return how a session of the holder ends, which begins with a good-bye."""
    call = (await mesh.control(holder)).Connect()
    await call.write(hello())
    if await read_quietly(call) is not grpc.aio.EOF:
        await call.write(link_pb2.RunnerMessage(goodbye=link_pb2.Goodbye()))
    return await ends(call)


async def test_a_renewal_gives_a_new_key_and_keeps_the_old_certificate_for_an_hour(
    mesh: World,
) -> None:
    old = await mesh.runner()
    new = await _renew(mesh, old)
    assert new.certificate.public_key() == new.key.public_key()
    status = await mesh.status(old)
    assert status["certificate"]["serial"] == f"{new.certificate.serial_number:032x}"
    assert status["previousCertificate"]["serial"] == f"{old.certificate.serial_number:032x}"
    status["certificate"]["issuedAt"] = rfc3339(datetime.fromtimestamp(time.time() - 3599, UTC))
    await mesh.kube.patch(RUNNER, ORG, "laptop", {"status": status}, subresource="status")
    assert [(await _status(mesh, one))[0] for one in (new, old)] == [Code.OK, Code.OK]

    status["certificate"]["issuedAt"] = rfc3339(datetime.fromtimestamp(time.time() - 3601, UTC))
    await mesh.kube.patch(RUNNER, ORG, "laptop", {"status": status}, subresource="status")
    assert (await _status(mesh, old))[0] == Code.PERMISSION_DENIED
    assert (await _status(mesh, new))[0] == Code.OK


async def test_a_laptop_closed_during_its_renewal_gets_in_hours_later(mesh: World) -> None:
    """The new certificate was recorded, and nobody ever had it."""
    old = await mesh.runner()
    await _renew(mesh, old)
    status = await mesh.status(old)
    status["certificate"]["issuedAt"] = rfc3339(datetime.fromtimestamp(time.time() - 9999, UTC))
    await mesh.kube.patch(RUNNER, ORG, "laptop", {"status": status}, subresource="status")
    assert (await _status(mesh, old))[0] == Code.OK
    new = await _renew(mesh, old)  # with another key than the time before
    assert (await _status(mesh, new))[0] == Code.OK
    assert mesh.recorder.events == []


async def test_a_key_is_not_renewed_with_itself_or_with_anothers(mesh: World) -> None:
    one, two = await mesh.runner("one"), await mesh.runner("two")
    assert (await refused(_renew(mesh, one, one.key)))[0] == Code.INVALID_ARGUMENT
    assert (await refused(_renew(mesh, one, two.key)))[0] == Code.PERMISSION_DENIED
    code, text = await refused(_renew(mesh, one, wall_clock_unix_ms=now_ms() - 600_000))
    assert (code, "clocks differ" in text) == (Code.FAILED_PRECONDITION, True)


async def test_a_renewal_whose_answer_was_lost_is_answered_again(mesh: World) -> None:
    old, key = await mesh.runner(), new_key()
    lost = iter([True, True])

    def lose(verb: str, resource: Any, _: str) -> None:
        if (verb, resource) == ("patch", RUNNER) and next(lost, False):
            raise Unavailable("the answer was lost")

    mesh.kube.after = lose
    for _ in range(2):
        assert (await refused(_renew(mesh, old, key)))[0] == Code.UNAVAILABLE
    new = await _renew(mesh, old, key)
    assert [(await _status(mesh, one))[0] for one in (new, old)] == [Code.OK, Code.OK]


async def test_a_copied_key_is_noticed_at_its_renewal(mesh: World) -> None:
    copied = await mesh.runner()
    owner = await _renew(mesh, copied)
    assert (await _status(mesh, owner))[0] == Code.OK
    code, _ = await refused(_renew(mesh, copied))
    assert (code, mesh.recorder.reasons) == (Code.PERMISSION_DENIED, ["SupersededCertificate"])


async def test_a_copy_that_renews_first_is_noticed_when_the_owner_comes(mesh: World) -> None:
    owner = await mesh.runner()
    await _renew(mesh, await _renew(mesh, owner))  # by the holder of the copy
    assert (await _status(mesh, owner))[0] == Code.PERMISSION_DENIED
    assert mesh.recorder.reasons == ["SupersededCertificate"]


async def test_a_key_copied_long_ago_is_noticed_at_any_call(mesh: World) -> None:
    copied = await mesh.runner()
    await _renew(mesh, await _renew(mesh, copied))
    code, _ = await refused(_renew(mesh, copied))
    assert (code, mesh.recorder.reasons) == (Code.PERMISSION_DENIED, ["SupersededCertificate"])


async def test_a_renewal_survives_an_unrelated_change_of_the_runner(mesh: World) -> None:
    old = await mesh.runner()
    races = itertools.count()

    def race(verb: str, resource: Any, name: str) -> None:
        if (verb, resource) == ("patch", RUNNER) and next(races) < 2:
            mesh.kube.objects[("Runner", ORG, name)]["metadata"]["resourceVersion"] += "0"

    mesh.kube.before = race
    new = await _renew(mesh, old)
    assert (await _status(mesh, new))[0] == Code.OK


async def test_a_runner_that_the_store_has_not_seen_yet_is_looked_up(mesh: World) -> None:
    mesh.registry.lagging = True
    holder = await mesh.runner()
    assert mesh.registry.runner(ORG, "laptop") is None
    assert (await _status(mesh, holder))[0] == Code.OK


async def test_without_an_api_server_a_known_runner_gets_in_and_an_unknown_one_waits(
    mesh: World,
) -> None:
    known = await mesh.runner("known")
    mesh.registry.lagging = True
    unknown = await mesh.runner("unknown")

    def down(*_: object) -> None:
        raise Unavailable("down")

    mesh.kube.before = down
    assert (await _status(mesh, known))[0] == Code.OK
    assert (await _status(mesh, unknown))[0] == Code.UNAVAILABLE


BANS = [
    pytest.param({"spec": {"suspend": True}}, "Banned", id="suspended"),
    pytest.param({"spec": {"minIssuedAt": "2099-01-01T00:00:00Z"}}, "Banned", id="all revoked"),
    pytest.param(None, "Unknown", id="deleted"),
]


@pytest.mark.parametrize(("ban", "reason"), BANS)
async def test_a_ban_ends_the_streams_at_once_and_blocks_renewal(
    mesh: World, ban: dict[str, Any] | None, reason: str
) -> None:
    holder = await mesh.runner()
    call = await _connect(mesh, holder)
    stub = link_pb2_grpc.RunnerTerminalStub(await mesh.runner_port(holder))
    terminal = stub.Serve()
    await terminal.write(link_pb2.TerminalUp(hello=link_pb2.TerminalHello(instance_id="i-1")))
    started = time.monotonic()
    if ban:
        await mesh.kube.patch(RUNNER, ORG, "laptop", ban)
    else:
        await mesh.kube.delete(RUNNER, ORG, "laptop")
    notice = await read(call, "close")
    assert notice.reason == reason
    for stream in (call, terminal):
        assert (await ends(stream))[0] == Code.PERMISSION_DENIED
    assert time.monotonic() - started < 10  # and not when the next heartbeat, or renewal, is due
    assert (await refused(_renew(mesh, holder)))[0] == Code.PERMISSION_DENIED
    assert mesh.placement.online == set()


async def test_a_certificate_issued_after_min_issued_at_is_good_at_once(mesh: World) -> None:
    first = await mesh.runner()
    ban = {"spec": {"minIssuedAt": rfc3339(datetime.now(UTC))}}
    stored = mesh.kube.objects[("Runner", ORG, "laptop")]
    await mesh.kube.patch(RUNNER, ORG, "laptop", {"spec": {"minIssuedAt": "2099-01-01T00:00:00Z"}})
    assert (await _status(mesh, first))[0] == Code.PERMISSION_DENIED
    await mesh.kube.patch(RUNNER, ORG, "laptop", ban)
    key = new_key()
    token = await mesh.token("again", runnerName="laptop", replace=True)
    answer = await mesh.enroll(token, csr_der=csr(key))
    second = replace(first, key=key, chain_pem=chain(answer.chain_der))
    assert (await _status(mesh, second))[0] == Code.OK
    assert stored["metadata"]["uid"] == answer.runner_uid


async def test_a_stream_ends_with_its_certificate() -> None:
    async with world(leaf_seconds=2) as mesh:
        holder = await mesh.runner()
        call = await _connect(mesh, holder)
        notice = await read(call, "close")
        assert notice.reason == "Expired"
        assert (await ends(call))[0] == Code.UNAUTHENTICATED
        late = datetime.now(UTC) - holder.certificate.not_valid_after_utc
        assert 0 <= late.total_seconds() < 2
        code, _ = await refused(_renew(mesh, holder))
        assert code in {Code.UNAUTHENTICATED, Code.UNAVAILABLE}


async def test_with_very_short_lives_the_states_keep_flowing_over_many_renewals() -> None:
    """Leaves of four seconds; the issuing certificate has room for them for one second."""
    async with world(leaf_seconds=4, issuing_seconds=65) as mesh, asyncio.TaskGroup() as tasks:
        refreshing = tasks.create_task(mesh.authority.run())
        holder = await mesh.runner()
        call = await _connect(mesh, holder)
        serials, issuers = set(), set()
        for number in range(6):
            renewed = await _renew(mesh, holder)
            fresh = await _connect(mesh, renewed)  # the new stream before the old one ends
            assert (await read(call, "close")).reason == "Replaced"
            holder, call = renewed, fresh
            serials.add(holder.certificate.serial_number)
            issuers.add(holder.certificate.issuer)
            place = mesh.pod(holder.runner, f"p{number}")
            mesh.placement.want(holder.runner, desired(place))
            async with asyncio.timeout(2):
                while (told := await read(call)).WhichOneof("msg") not in {"snapshot", "delta"} or (
                    place.uid not in str(told)
                ):
                    pass
            assert mesh.placement.online == {holder.runner}
            await asyncio.sleep(0.7)  # six renewals last longer than one certificate
        assert len(serials) == 6
        assert len(issuers) > 1
        refreshing.cancel()


async def test_a_port_shows_a_renewed_certificate_without_a_restart() -> None:
    async with world(server_seconds=1) as mesh:
        call = await _connect(mesh, await mesh.runner())
        first = await _shown(mesh)
        async with asyncio.timeout(5):
            while await _shown(mesh) == first:
                await asyncio.sleep(0.1)
        await call.write(link_pb2.RunnerMessage(heartbeat=link_pb2.Heartbeat(beat=1)))
        assert (await read(call, "heartbeat_ack")).beat == 1


async def _shown(mesh: World) -> bytes:
    """Return the certificate that the public port shows to a client that trusts the root."""
    context = ssl.create_default_context(cadata=mesh.authority.roots_pem.decode())
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(
        "127.0.0.1", mesh.ports.public, ssl=context, server_hostname="127.0.0.1"
    )
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return shown


async def test_a_lost_ca_stalls_renewal_with_its_sentence_and_streams_continue(
    mesh: World,
) -> None:
    holder = await mesh.runner()
    call = await _connect(mesh, holder)
    await mesh.kube.delete(SECRET, "agentsmesh-system", CA_ROOT_SECRET)
    with pytest.raises(Exception, match="is lost"):
        await mesh.authority.refresh()
    code, text = await refused(_renew(mesh, holder))
    assert (code, CA_ROOT_SECRET in text) == (Code.UNAVAILABLE, True)
    await call.write(link_pb2.RunnerMessage(heartbeat=link_pb2.Heartbeat(beat=5)))
    assert (await read(call, "heartbeat_ack")).beat == 5
    assert (await _status(mesh, holder))[0] == Code.OK
    await until(lambda: mesh.placement.online == set())
