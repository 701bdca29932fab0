"""Calls of git hosts: who may poke a source, how often, and what strangers and slow ones get."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import io
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from controller.gitops import webhook as module
from controller.gitops.webhook import MAX_BODY_BYTES, ListenError, Webhooks
from controller.gitops.webhook_deliveries import PACE_SECONDS, WINDOW_SECONDS, Deliveries, Pace
from controller.gitops.webhook_secrets import KEEP_SECONDS
from controller.kube.errors import Unavailable
from controller.placement.indexes import new_store
from schemas.names import GIT_SOURCE, SECRET, Resource
from tests.unit.controller.kube_memory import MemoryKube

pytestmark = pytest.mark.anyio

KEY = "s3cr3t-of-the-hook"
BODY = b'{"ref": "refs/heads/main"}'


@dataclass
class Poked:
    """Sources that note who was poked."""

    seen: list[tuple[str, str]] = field(default_factory=list)
    retold: list[tuple[str, str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def poke(self, namespace: str, name: str) -> bool:
        self.seen.append((namespace, name))
        self.changed.set()
        return True

    def retell(self, namespace: str, name: str) -> None:
        self.retold.append((namespace, name))

    async def until(self, number: int) -> None:
        async with asyncio.timeout(20):
            while len(self.seen) < number:
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Host:
    """A git host that calls, and the controller's side of it."""

    webhooks: Webhooks
    kube: MemoryKube
    poked: Poked
    session: aiohttp.ClientSession
    port: int
    now: list[float]

    async def call(
        self, headers: dict[str, str], body: Any = BODY, path: str = "acme/plan"
    ) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}/webhooks/git/{path}"
        async with self.session.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.text()


def github(body: bytes = BODY, key: str = KEY, delivery: str = "d-1") -> dict[str, str]:
    digest = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Delivery": delivery}


def gitea(body: bytes = BODY, key: str = KEY) -> dict[str, str]:
    digest = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Gitea-Signature": digest, "X-Gitea-Delivery": "d-2"}


def gitlab(key: str = KEY) -> dict[str, str]:
    return {"X-Gitlab-Token": key, "X-Gitlab-Event-UUID": "d-3"}


def source(name: str, *, webhook: bool = True) -> dict[str, Any]:
    spec: dict[str, Any] = {"repositoryRef": {"name": "shop"}}
    if webhook:
        spec["webhook"] = {"secretRef": {"name": "hook"}}
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "GitSource",
        "metadata": {"name": name, "namespace": "acme", "uid": f"uid-{name}",
                     "resourceVersion": "1", "generation": 1,
                     "creationTimestamp": "2026-11-22T12:00:00Z"},
        "spec": spec,
    }  # fmt: skip


def secret(value: str) -> dict[str, Any]:
    data = {"token": base64.b64encode(value.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"}, "data": data}


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    kube, store, poked, now = MemoryKube(), new_store(), Poked(), [1000.0]
    for name, webhook in (("plan", True), ("silent", False)):
        store.apply(GIT_SOURCE.kind, source(name, webhook=webhook))
    await kube.create(SECRET, "acme", secret(KEY + "\n"))
    webhooks = Webhooks(
        store, kube, poked, clock=lambda: now[0], body_seconds=0.3, refusal_seconds=0.01
    )
    port = await webhooks.start("127.0.0.1:0")
    async with aiohttp.ClientSession() as session:
        yield Host(webhooks, kube, poked, session, port, now)
    await webhooks.stop()


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(github(), id="GitHub signs the body"),
        pytest.param(gitea(), id="Gitea signs the body"),
        pytest.param(gitlab(), id="GitLab shows the token"),
    ],
)
async def test_a_call_with_the_secret_pokes_the_source(host: Host, headers: dict[str, str]) -> None:
    assert (await host.call(headers))[0] == 202
    assert host.poked.seen == [("acme", "plan")]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param("acme/plan", github(key="wrong"), id="signed with another secret"),
        pytest.param("acme/plan", github(body=b"other"), id="the signature of another body"),
        pytest.param("acme/plan", gitlab("wrong"), id="another token"),
        pytest.param("acme/plan", gitlab(""), id="an empty token"),
        pytest.param("acme/plan", {"X-Hub-Signature-256": "sha256="}, id="an empty signature"),
        pytest.param("acme/plan", {"X-Hub-Signature-256": "\u00fc"}, id="no ASCII"),
        pytest.param("acme/plan", {}, id="no signature"),
        pytest.param("acme/nobody", github(), id="no such source"),
        pytest.param("acme/nobody", github(key="\0" * 32), id="signed with what stands in"),
        pytest.param("elsewhere/plan", github(), id="no such namespace"),
        pytest.param("acme/silent", github(), id="a source without a webhook"),
        pytest.param("acme/silent", gitlab(""), id="an empty token where there is no webhook"),
    ],
)
async def test_strangers_get_the_same_answer_whatever_is_wrong(
    host: Host, path: str, headers: dict[str, str]
) -> None:
    refused = await host.call({"X-Gitlab-Token": "certainly wrong"})
    assert refused[0] == 401
    assert await host.call(headers, path=path) == refused
    assert host.poked.seen == []


async def test_git_18_a_delivery_counts_once(host: Host) -> None:
    assert (await host.call(github()))[0] == 202
    host.now[0] += 60
    assert await host.call(github()) == (200, f"{module._SAYS[200]}\n")  # noqa: SLF001
    assert len(host.poked.seen) == 1
    host.now[0] += 60
    other = b'{"ref": "refs/heads/other"}'
    assert (await host.call(github(other), other))[0] == 202
    assert len(host.poked.seen) == 2


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(github(delivery="d-9"), id="another delivery that says the same"),
        pytest.param(gitlab() | {"X-Gitlab-Event-UUID": "d-9"}, id="GitLab's Test button"),
        pytest.param({"X-Gitlab-Token": KEY}, id="without an id, as from a pipeline"),
    ],
)
async def test_who_says_the_same_again_is_heard_again(host: Host, again: dict[str, str]) -> None:
    assert (await host.call(github()))[0] == 202
    for number in (2, 3):
        host.now[0] += 60
        headers = {k: v.replace("d-9", f"d-9{number}") for k, v in again.items()}
        assert (await host.call(headers))[0] == 202
        assert len(host.poked.seen) == number


async def test_what_is_sent_again_and_again_costs_a_look_in_a_second(host: Host) -> None:
    for _ in range(30):
        assert (await host.call({"X-Gitlab-Token": KEY}))[0] == 202
    await host.poked.until(2)
    assert len(host.poked.seen) == 2


async def test_a_call_that_finds_no_secret_has_the_status_say_so_at_once(host: Host) -> None:
    assert (await host.call(gitlab()))[0] == 202
    assert host.poked.retold == []
    await host.kube.delete(SECRET, "acme", "hook")
    for _ in range(3):
        host.now[0] += KEEP_SECONDS
        assert (await host.call(gitlab(), b"2"))[0] == 401
    assert host.poked.retold == [("acme", "plan")]
    await host.kube.create(SECRET, "acme", secret(KEY))
    host.now[0] += KEEP_SECONDS
    assert (await host.call(gitlab(), b"3"))[0] == 202
    assert host.poked.retold == [("acme", "plan")] * 2


async def test_many_pushes_are_one_poke_at_once_and_one_at_the_end_of_the_second(
    host: Host,
) -> None:
    for number in range(20):
        body = b"%d" % number
        assert (await host.call(github(body, delivery=f"n-{number}"), body))[0] == 202
    assert len(host.poked.seen) == 1
    await host.poked.until(2)
    assert len(host.poked.seen) == 2


async def test_a_flood_of_strangers_reads_the_secret_once(host: Host) -> None:
    reads: list[str] = []
    host.kube.before = lambda verb, resource, _: reads.append(f"{verb} {resource.kind}")
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(host.call(gitlab("wrong"))) for _ in range(40)]
    assert {call.result()[0] for call in calls} == {401}
    assert reads == ["get Secret"]
    assert (await host.call(github()))[0] == 202


async def test_a_changed_secret_counts_after_a_moment(host: Host) -> None:
    assert (await host.call(gitlab()))[0] == 202
    await host.kube.delete(SECRET, "acme", "hook")
    await host.kube.create(SECRET, "acme", secret("another one"))
    host.now[0] += KEEP_SECONDS
    assert (await host.call(gitlab(), b"2"))[0] == 401
    headers = gitlab("another one") | {"X-Gitlab-Event-UUID": "d-4"}
    assert (await host.call(headers, b"3"))[0] == 202


async def test_without_the_api_server_calls_are_refused_like_strangers(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    def down(_: str, resource: Resource, __: str) -> None:
        raise Unavailable(f"no {resource.kind} for token={KEY}")

    host.kube.before = down
    assert (await host.call(github()))[0] == 401
    assert "its secret cannot be used" in caplog.text
    assert KEY not in f"{caplog.text} {[vars(record) for record in caplog.records]}"


@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "in chunks"])
async def test_a_body_that_is_too_long_is_not_taken(host: Host, *, declared: bool) -> None:
    body = b"x" * (MAX_BODY_BYTES + 1)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    status, _ = await host.call(github(body), io.BytesIO(body) if declared else pieces())
    assert status == 413
    assert host.poked.seen == []


async def test_a_body_of_the_greatest_length_is_taken(host: Host) -> None:
    body = b"x" * MAX_BODY_BYTES
    assert (await host.call(github(body), body))[0] == 202


async def test_a_slow_body_is_not_waited_for_and_others_are_served_meanwhile(host: Host) -> None:
    head = b"POST /webhooks/git/acme/plan HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"
    reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.write(head)
    await writer.drain()
    assert (await host.call(github()))[0] == 202
    async with asyncio.timeout(20):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_connection_that_says_nothing_ends_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CALL_SECONDS", 0.2)
    webhooks = Webhooks(new_store(), MemoryKube(), Poked())
    port = await webhooks.start("127.0.0.1:0")
    for begun in (b"", b"POST /webhooks/git/acme/plan HTTP/1.1\r\nX-Drip: "):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(20):
                assert await reader.read() == b""
        writer.close()
    await webhooks.stop()


async def test_more_connections_than_there_may_be_are_closed_and_others_work(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)
    idle = [await asyncio.open_connection("127.0.0.1", host.port) for _ in range(2)]
    with pytest.raises(aiohttp.ClientError):
        await host.call(github())
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
    async with asyncio.timeout(20):
        while True:
            try:
                status, _ = await host.call(github())
            except aiohttp.ClientError:
                continue  # the server has not seen yet that they are closed
            break
    assert status == 202


async def test_other_paths_and_methods_are_named(host: Host) -> None:
    root = f"http://127.0.0.1:{host.port}"
    for path in ("/", "/webhooks/git/acme", "/webhooks/git/acme/plan/x", "/webhooks/git/A/b"):
        async with host.session.post(root + path) as answer:
            assert answer.status == 404
    async with host.session.get(f"{root}/webhooks/git/acme/plan") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_git_18_nothing_that_a_caller_sends_or_knows_is_logged(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await host.call(gitlab())
    await host.call(gitlab("c4n4ry-wrong"))
    await host.call({"X-Hub-Signature-256": "c4n4ry"}, b"c4n4ry-body")
    reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.write(b"c4n4ry\0 / nonsense\r\n\r\n")
    await reader.read()
    writer.close()
    own = [record for record in caplog.records if not record.name.startswith("asyncio")]
    said = f"{caplog.text} {[vars(record) for record in own]}"
    assert KEY not in said
    assert "c4n4ry-" not in said


async def test_a_port_that_is_taken_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        webhooks = Webhooks(new_store(), MemoryKube(), Poked())
        with pytest.raises(ListenError, match="--webhook-listen"):
            await webhooks.start(f"127.0.0.1:{taken.getsockname()[1]}")


def test_a_delivery_is_known_for_its_window_and_not_for_other_sources() -> None:
    deliveries = Deliveries()
    assert deliveries.take(("acme", "plan"), ["a"], 0.0)
    assert not deliveries.take(("acme", "plan"), ["a", "b"], WINDOW_SECONDS - 1)
    assert deliveries.take(("acme", "other"), ["a"], 1.0)
    assert deliveries.take(("acme", "plan"), ["a"], WINDOW_SECONDS)


def test_a_source_is_poked_at_once_then_once_per_second() -> None:
    pace, plan = Pace(), ("acme", "plan")
    assert pace.ask(plan, 10.0) == 0
    assert pace.ask(plan, 10.25) == pytest.approx(0.75)
    assert pace.ask(plan, 10.5) is None
    assert pace.ask(plan, 11.0) == pytest.approx(PACE_SECONDS)
    assert pace.ask(("acme", "other"), 10.5) == 0
    assert pace.ask(plan, 100.0) == 0
