"""The stream of states: complete at first, then what changed; reports only on own pods."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from meshwire.v1 import link_pb2

from controller.rpc.session import LinkSettings
from schemas.names import REPOSITORY, SECRET
from tests.unit.controller.rpc.world import (
    ORG,
    Holder,
    World,
    desired,
    ends,
    hello,
    observed,
    read,
    refused,
    secret,
    until,
    world,
)

pytestmark = pytest.mark.anyio

Code = grpc.StatusCode


@pytest.fixture
async def mesh() -> AsyncIterator[World]:
    async with world() as found:
        yield found


async def _connect(mesh: World, holder: Holder, instance: str = "i-1", **fields: Any) -> Any:
    call = (await mesh.control(holder)).Connect()
    await call.write(hello(instance, **fields))
    return call


def _say(**content: Any) -> link_pb2.RunnerMessage:
    return link_pb2.RunnerMessage(**content)


async def _nothing_comes(call: Any) -> None:
    """Prove by a round trip that nothing was sent before it."""
    await call.write(_say(heartbeat=link_pb2.Heartbeat(beat=99)))
    assert (await read(call)).heartbeat_ack.beat == 99


async def test_welcome_then_everything_then_what_changed(mesh: World) -> None:
    holder = await mesh.runner()
    one, two = mesh.pod(holder.runner, "one"), mesh.pod(holder.runner, "two")
    mesh.placement.want(holder.runner, desired(one))
    call = await _connect(mesh, holder)
    welcome = await read(call)
    assert (welcome.welcome.protocol, welcome.controller_epoch, welcome.seq) == (1, 7, 1)
    snapshot = await read(call, "snapshot")
    assert [pod.name for pod in snapshot.pods] == ["one"]
    assert snapshot.last
    assert not snapshot.allow_empty

    mesh.placement.want(holder.runner, desired(one, generation=2), desired(two))
    delta = await read(call, "delta")
    assert {(pod.name, pod.generation) for pod in delta.upserts} == {("one", 2), ("two", 0)}
    assert (delta.base_revision, delta.revision) == (snapshot.revision, snapshot.revision + 1)

    mesh.placement.want(holder.runner, desired(two))
    later = await read(call, "delta")
    assert [ref.pod_uid for ref in later.removals] == [one.uid]
    assert later.base_revision == delta.revision

    mesh.placement.want(holder.runner, desired(two))  # equal, though another message
    await _nothing_comes(call)


async def test_nothing_is_told_before_the_store_has_synced(mesh: World) -> None:
    holder = await mesh.runner()
    mesh.placement.synced.clear()
    call = await _connect(mesh, holder)
    await read(call, "welcome")
    await _nothing_comes(call)
    mesh.placement.want(holder.runner, desired(mesh.pod(holder.runner)))
    await _nothing_comes(call)
    mesh.placement.synced.set()
    assert len((await read(call, "snapshot")).pods) == 1


async def test_an_empty_set_is_told_only_when_the_api_confirms_it() -> None:
    async with world(link=LinkSettings(confirm_seconds=0.2)) as mesh:
        holder = await mesh.runner()
        mesh.placement.truly_empty = False
        call = await _connect(mesh, holder)
        await read(call, "welcome")
        await _nothing_comes(call)
        mesh.placement.truly_empty = True
        snapshot = await read(call, "snapshot")
        assert (list(snapshot.pods), snapshot.last, snapshot.allow_empty) == ([], True, True)


async def test_a_store_that_suddenly_is_empty_takes_nothing_away() -> None:
    async with world(link=LinkSettings(confirm_seconds=0.2)) as mesh:
        holder = await mesh.runner()
        place = mesh.pod(holder.runner)
        mesh.placement.want(holder.runner, desired(place))
        call = await _connect(mesh, holder)
        await read(call, "snapshot")
        mesh.placement.truly_empty = False
        mesh.placement.want(holder.runner)
        await _nothing_comes(call)
        mesh.placement.want(holder.runner, desired(place), desired(mesh.pod(holder.runner, "n")))
        assert {pod.name for pod in (await read(call, "delta")).upserts} == {"n"}
        mesh.placement.truly_empty = True
        mesh.placement.want(holder.runner)
        assert (await read(call, "snapshot")).allow_empty


async def test_a_first_pod_does_not_wait_for_a_confirmation(mesh: World) -> None:
    holder = await mesh.runner()
    mesh.placement.truly_empty = False
    call = await _connect(mesh, holder)
    await read(call, "welcome")
    await _nothing_comes(call)
    mesh.placement.want(holder.runner, desired(mesh.pod(holder.runner)))
    assert len((await read(call, "snapshot", seconds=1)).pods) == 1


async def test_a_large_set_comes_in_parts_of_one_revision(mesh: World) -> None:
    holder = await mesh.runner()
    spec = link_pb2.RunSpec(prompt="x" * 32_000)
    pods = [desired(mesh.pod(holder.runner, f"p{i}"), spec=spec) for i in range(100)]
    mesh.placement.want(holder.runner, *pods)
    call = await _connect(mesh, holder)
    names: list[str] = []
    revisions = set()
    while True:
        part = await read(call, "snapshot")
        assert part.ByteSize() < 400_000
        names += [pod.name for pod in part.pods]
        revisions.add(part.revision)
        if part.last:
            break
    assert names == [f"p{i}" for i in range(100)]
    assert len(revisions) == 1


async def test_everything_is_told_anew_on_request_and_now_and_then() -> None:
    async with world(link=LinkSettings(snapshot_seconds=0.3)) as mesh:
        holder = await mesh.runner()
        mesh.placement.want(holder.runner, desired(mesh.pod(holder.runner)))
        call = await _connect(mesh, holder)
        first = await read(call, "snapshot")
        await call.write(_say(resync=link_pb2.ResyncRequest(reason="gap")))
        second = await read(call, "snapshot")
        third = await read(call, "snapshot")
        assert first.revision < second.revision < third.revision


async def test_many_changes_while_the_runner_is_slow_become_one(mesh: World) -> None:
    holder = await mesh.runner()
    place = mesh.pod(holder.runner)
    mesh.placement.want(holder.runner, desired(place))
    call = await _connect(mesh, holder)
    await read(call, "snapshot")
    for generation in range(2, 200):
        mesh.placement.want(holder.runner, desired(place, generation=generation))
    count = 0
    while True:
        delta = await read(call, "delta")
        count += 1
        if delta.upserts[0].generation == 199:
            break
    assert count < 10


async def test_reports_are_handed_on_only_for_pods_that_are_placed_on_the_runner(
    mesh: World, caplog: pytest.LogCaptureFixture
) -> None:
    holder, other = await mesh.runner("laptop"), await mesh.runner("other")
    own, foreign = mesh.pod(holder.runner, "own"), mesh.pod(other.runner, "foreign")
    elsewhere = mesh.pod(other.runner, "far", namespace="globex")
    unplaced = mesh.pod(None, "unplaced")
    call = await _connect(mesh, holder)
    lies = [
        observed(foreign),
        observed(elsewhere),
        observed(own, namespace="globex"),
        observed(unplaced),
        observed(own, ref=link_pb2.PodRef(pod_uid="unknown", epoch=1)),
    ]
    with caplog.at_level(logging.WARNING):
        await call.write(_say(observed=link_pb2.Observed(pods=[observed(own), *lies])))
        runner, pods, complete = await asyncio.wait_for(mesh.placement.reports.get(), 5)
        await call.write(_say(observed=link_pb2.Observed(pods=lies)))
        await call.write(_say(observed_snapshot=link_pb2.ObservedSnapshot(pods=lies, last=True)))
        assert await asyncio.wait_for(mesh.placement.reports.get(), 5) == (holder.runner, [], True)
    assert runner == holder.runner
    assert [pod.name for pod in pods] == ["own"]
    assert not complete
    # each stranger is named once, however often it is reported
    assert sum("not placed on the runner" in one.message for one in caplog.records) == 5


async def test_a_complete_report_comes_in_parts_and_is_handed_on_whole(mesh: World) -> None:
    holder = await mesh.runner()
    places = [mesh.pod(holder.runner, f"p{i}") for i in range(4)]
    call = await _connect(mesh, holder)
    for part in (places[:2], places[2:]):
        pods = [observed(place) for place in part]
        snapshot = link_pb2.ObservedSnapshot(
            pods=pods, last=part is not places and part[0] is places[2]
        )
        await call.write(_say(observed_snapshot=snapshot))
    _, pods, complete = await asyncio.wait_for(mesh.placement.reports.get(), 5)
    assert ([pod.name for pod in pods], complete) == (["p0", "p1", "p2", "p3"], True)


async def test_an_old_epoch_is_handed_on_for_placement_to_judge(mesh: World) -> None:
    holder = await mesh.runner()
    place = mesh.pod(holder.runner, epoch=3)
    call = await _connect(mesh, holder)
    old = observed(place, ref=link_pb2.PodRef(pod_uid=place.uid, epoch=2))
    await call.write(_say(observed=link_pb2.Observed(pods=[old])))
    _, pods, _ = await asyncio.wait_for(mesh.placement.reports.get(), 5)
    assert pods[0].ref.epoch == 2


async def test_texts_of_a_runner_are_made_safe(mesh: World) -> None:
    holder = await mesh.runner()
    place = mesh.pod(holder.runner)
    call = await _connect(mesh, holder)
    evil = observed(place, reason="not a word!", message="a\x1b[31mb\n" + "x" * 5000)
    await call.write(_say(observed=link_pb2.Observed(pods=[evil])))
    _, (pod,), _ = await asyncio.wait_for(mesh.placement.reports.get(), 5)
    assert pod.reason == "Unknown"
    assert pod.message.startswith("a [31mb x")
    assert len(pod.message) == 1024


async def test_a_runner_that_looks_for_agents_is_told_which_and_each_change(mesh: World) -> None:
    holder = await mesh.runner()
    one = link_pb2.AgentProgram(name="one", executable="one", version_args=["-V"])
    two = link_pb2.AgentProgram(name="two", executable="two")
    mesh.placement.synced.clear()
    mesh.placement.look_for(holder.runner, one)
    call = await _connect(mesh, holder, features=["agents"])
    await read(call, "welcome")
    await _nothing_comes(call)
    mesh.placement.synced.set()
    assert list((await read(call, "agents")).agents) == [one]
    await read(call, "snapshot")
    mesh.placement.look_for(holder.runner, one, two)
    assert list((await read(call, "agents")).agents) == [one, two]
    mesh.placement.look_for(holder.runner, one, two)
    await _nothing_comes(call)

    found = link_pb2.AgentsFound(agents=[link_pb2.AgentFound(looked_for=one, path="/bin/one")])
    await call.write(_say(agents=found))
    said = await asyncio.wait_for(mesh.placement.agents_found.get(), 5)
    assert said == (holder.runner, found)


async def test_an_older_runner_is_not_told_of_agents(mesh: World) -> None:
    holder = await mesh.runner()
    mesh.placement.look_for(holder.runner, link_pb2.AgentProgram(name="one", executable="one"))
    call = await _connect(mesh, holder)
    await read(call, "welcome")
    assert (await read(call)).WhichOneof("msg") == "snapshot"
    await _nothing_comes(call)


async def test_a_runner_is_told_of_which_repositories_to_keep_worktrees_ready(mesh: World) -> None:
    holder = await mesh.runner()
    one = link_pb2.WarmRepository(url_sha256=b"1" * 32, worktrees=2)
    mesh.placement.keep_ready(holder.runner, one)
    call = await _connect(mesh, holder, features=["warm"])
    await read(call, "welcome")
    assert list((await read(call, "warm")).repositories) == [one]
    await read(call, "snapshot")
    mesh.placement.keep_ready(holder.runner, one)
    await _nothing_comes(call)
    mesh.placement.keep_ready(holder.runner)
    assert list((await read(call, "warm")).repositories) == []


async def test_a_heartbeat_is_noted_and_answered(mesh: World) -> None:
    call = await _connect(mesh, await mesh.runner())
    await call.write(_say(heartbeat=link_pb2.Heartbeat(beat=41, running=3)))
    assert (await read(call, "heartbeat_ack")).beat == 41
    assert mesh.placement.beats == 41


async def test_a_silent_runner_loses_its_session() -> None:
    async with world(link=LinkSettings(silence_seconds=0.3)) as mesh:
        call = await _connect(mesh, await mesh.runner())
        code, text = await ends(call)
        assert (code, "nothing was heard" in text) == (Code.DEADLINE_EXCEEDED, True)
        assert mesh.placement.online == set()


async def test_a_runner_that_says_good_bye_is_gone(mesh: World) -> None:
    call = await _connect(mesh, await mesh.runner())
    await read(call, "welcome")
    await call.write(_say(goodbye=link_pb2.Goodbye(reason="Shutdown")))
    assert (await ends(call))[0] == Code.OK
    assert mesh.placement.online == set()


async def test_a_runner_that_vanishes_is_gone(mesh: World) -> None:
    holder = await mesh.runner()
    call = await _connect(mesh, holder)
    await read(call, "welcome")
    call.cancel()
    await until(lambda: mesh.placement.online == set())


async def test_a_new_session_of_a_runner_replaces_the_old_one(mesh: World) -> None:
    holder = await mesh.runner()
    old = await _connect(mesh, holder, "i-1")
    await read(old, "welcome")
    new = await _connect(mesh, holder, "i-1")
    assert (await read(old, "close")).reason == "Replaced"
    assert (await ends(old))[0] == Code.OK
    assert mesh.placement.online == {holder.runner}
    await new.write(_say(heartbeat=link_pb2.Heartbeat(beat=1)))
    assert (await read(new, "heartbeat_ack")).beat == 1
    assert mesh.recorder.events == []


async def test_a_restarted_runner_takes_over(mesh: World) -> None:
    holder = await mesh.runner()
    for instance in ("i-1", "i-2", "i-3"):
        call = await _connect(mesh, holder, instance)
        assert (await read(call)).WhichOneof("msg") == "welcome"
    assert mesh.recorder.events == []


async def test_two_machines_with_one_key_are_told_apart_from_a_restart(mesh: World) -> None:
    holder = await mesh.runner()
    first = await _connect(mesh, holder, "machine-a")
    await read(first, "welcome")
    second = await _connect(mesh, holder, "machine-b")
    await read(second, "welcome")
    for _ in range(2):
        again = await _connect(mesh, holder, "machine-a")
        notice = await read(again, "close")
        assert (notice.reason, notice.retry_after_ms) == ("DuplicateRunner", 30_000)
        assert (await ends(again))[0] == Code.FAILED_PRECONDITION
    assert set(mesh.recorder.reasons) == {"DuplicateRunner"}
    await second.write(_say(goodbye=link_pb2.Goodbye()))  # one of the two stops
    await ends(second)
    free = await _connect(mesh, holder, "machine-a")
    assert (await read(free)).WhichOneof("msg") == "welcome"


@pytest.mark.parametrize(
    ("first", "code"),
    [
        pytest.param(_say(heartbeat=link_pb2.Heartbeat()), Code.INVALID_ARGUMENT, id="no Hello"),
        pytest.param(hello(instance=""), Code.INVALID_ARGUMENT, id="no instance"),
        pytest.param(hello(protocol_min=2, protocol_max=3), Code.FAILED_PRECONDITION, id="newer"),
        pytest.param(hello(protocol_min=0, protocol_max=0), Code.FAILED_PRECONDITION, id="older"),
        pytest.param(
            hello(last_controller_epoch=8), Code.FAILED_PRECONDITION, id="we are the old leader"
        ),
    ],
)
async def test_a_session_that_cannot_work_is_refused_with_a_sentence(
    mesh: World, first: link_pb2.RunnerMessage, code: grpc.StatusCode
) -> None:
    call = (await mesh.control(await mesh.runner())).Connect()
    await call.write(first)
    assert (await ends(call))[0] == code
    assert mesh.placement.online == set()


async def test_a_second_hello_ends_the_session(mesh: World) -> None:
    call = await _connect(mesh, await mesh.runner())
    await call.write(hello())
    assert (await ends(call))[0] == Code.INVALID_ARGUMENT


async def test_a_caller_that_says_nothing_is_sent_away() -> None:
    async with world(link=LinkSettings(hello_seconds=0.2)) as mesh:
        call = (await mesh.control(await mesh.runner())).Connect()
        assert (await ends(call))[0] == Code.DEADLINE_EXCEEDED


async def test_a_stopping_controller_takes_leave(mesh: World) -> None:
    call = await _connect(mesh, await mesh.runner())
    await read(call, "welcome")
    stopping = asyncio.ensure_future(mesh.gateway.stop(2))
    notice = await read(call, "close")
    assert notice.reason == "Draining"
    assert (await ends(call))[0] == Code.OK
    await stopping


GIT = {"username": "ada", "password": "canary-1", "known_hosts": "git ssh-ed25519 AAAA"}


async def _repository(mesh: World, data: dict[str, str] | None) -> None:
    spec: dict[str, Any] = {"url": "https://git.acme.example/shop.git"}
    if data is not None:
        spec["authSecretRef"] = {"name": "shop-git"}
        if data:
            manifest = {"metadata": {"name": "shop-git"}, "data": secret(**data)}
            await mesh.kube.create(SECRET, ORG, manifest)
    await mesh.kube.create(REPOSITORY, ORG, {"metadata": {"name": "shop"}, "spec": spec})


async def _fetch(mesh: World, holder: Holder, uid: str, epoch: int = 1) -> Any:
    request = link_pb2.FetchSecretsRequest(ref=link_pb2.PodRef(pod_uid=uid, epoch=epoch))
    return (await (await mesh.control(holder)).FetchSecrets(request, timeout=5)).git


async def test_git_credentials_go_to_the_runner_of_the_pod_at_its_epoch_alone(
    mesh: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        holder, other = await mesh.runner("laptop"), await mesh.runner("other")
        await _repository(mesh, GIT | {"ssh-privatekey": "canary-2", "ca.crt": "PEM"})
        place = mesh.pod(holder.runner, repository="shop", epoch=2)
        git = await _fetch(mesh, holder, place.uid, 2)
        assert (git.username, git.password, git.ssh_private_key) == ("ada", "canary-1", "canary-2")
        assert (git.known_hosts, git.ca_bundle) == ("git ssh-ed25519 AAAA", "PEM")
        for who, uid, epoch in [
            (holder, place.uid, 1),
            (holder, place.uid, 3),
            (other, place.uid, 2),
            (holder, "unknown", 2),
        ]:
            assert (await refused(_fetch(mesh, who, uid, epoch)))[0] == Code.PERMISSION_DENIED
    assert "canary" not in " ".join(str(record.__dict__) for record in caplog.records)


async def test_a_pod_without_credentials_gets_none(mesh: World) -> None:
    holder = await mesh.runner()
    await _repository(mesh, None)
    for name, repository in (("a", ""), ("b", "shop")):
        place = mesh.pod(holder.runner, name, repository=repository)
        assert await _fetch(mesh, holder, place.uid) == link_pb2.GitCredentials()


async def test_a_missing_repository_or_secret_is_named(mesh: World) -> None:
    holder = await mesh.runner()
    place = mesh.pod(holder.runner, repository="shop")
    code, text = await refused(_fetch(mesh, holder, place.uid))
    assert (code, "Repository shop" in text) == (Code.FAILED_PRECONDITION, True)
    await _repository(mesh, {})
    code, text = await refused(_fetch(mesh, holder, place.uid))
    assert (code, "Secret shop-git" in text) == (Code.FAILED_PRECONDITION, True)
    manifest = {"metadata": {"name": "shop-git"}, "data": {"password": "/v8="}}
    await mesh.kube.create(SECRET, ORG, manifest)
    code, text = await refused(_fetch(mesh, holder, place.uid))
    assert (code, "password in Secret shop-git" in text) == (Code.FAILED_PRECONDITION, True)
