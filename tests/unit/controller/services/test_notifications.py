"""Webhooks, with a real server on loopback and a real message store."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controller.kernel.clock import stamp, wall
from controller.kernel.store import Store
from controller.kube.errors import NotFound
from controller.placement.indexes import new_store
from controller.services.notification_addresses import is_allowed, networks
from controller.services.notification_sender import NOT_ALLOWED, Request, Sender
from controller.services.notifications import Notifications
from controller.store.messages import MessageStore
from controller.store.notification_rows import Notification
from controller.store.open import StoreSettings, opened
from schemas.names import Resource

pytestmark = pytest.mark.anyio

NOW = stamp(wall())


@dataclass
class Hook:
    """A receiver of notifications."""

    port: int = 0
    status: int = 200
    location: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def answer(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        headers = {"Location": self.location} if self.location else {}
        return web.Response(status=self.status, text="secret of the receiver", headers=headers)

    def told(self) -> list[tuple[str, str]]:
        bodies = [json.loads(body) for _, body in self.got]
        return [(body["event"], body["pod"]) for body in bodies]


@asynccontextmanager
async def listening() -> AsyncIterator[Hook]:
    hook = Hook()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", hook.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook.port = runner.addresses[0][1]
    yield hook
    await runner.cleanup()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with listening() as found:
        yield found


@dataclass
class World:
    """An organization, its pods, and the services over them."""

    messages: MessageStore
    store: Store = field(default_factory=new_store)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    touched: list[str] = field(default_factory=list)
    version: int = 0

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        assert (resource.kind, namespace) == ("Secret", "acme")
        if name not in self.secrets:
            raise NotFound(name)
        return self.secrets[name]

    def organization(self, *webhooks: dict[str, Any]) -> None:
        self._apply(
            "Organization",
            "",
            "acme",
            {
                "members": [{"subject": {"kind": "User", "name": "ada"}, "role": "owner"}],
                "notifications": {"webhooks": list(webhooks)},
            },
            {},
        )

    def pod(self, name: str, **status: Any) -> None:
        self._apply("AgentPod", "acme", name, {"agentClassName": "greeter"}, status)

    def waits(self, name: str, since: str = NOW) -> None:
        self.pod(
            name,
            phase="Running",
            activity="waiting",
            activitySince=since,
            activityEvidence="its hook PermissionRequest",
        )

    def fails(self, name: str) -> None:
        observed = {"epoch": 1, "finishedAt": NOW, "exitCode": 3, "reason": "Exited"}
        self.pod(name, phase="Failed", observed=observed)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Notifications]:
        async with Sender() as sender:
            service = Notifications(
                self.store,
                self.messages,
                self,
                sender,
                self.touched.append,
                pauses_seconds=(0.01, 0.02),
            )
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(service.run())
                yield service
                task.cancel()

    def _apply(
        self, kind: str, namespace: str, name: str, spec: dict[str, Any], status: dict[str, Any]
    ) -> None:
        self.version += 1
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "resourceVersion": str(self.version),
            "generation": 1,
            "creationTimestamp": NOW,
        }
        self.store.apply(kind, {"metadata": metadata, "spec": spec, "status": status})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    messages = await opened(StoreSettings(path=tmp_path / "messages.db"))
    yield World(messages)
    await messages.close()


def webhook(hook: Hook, *events: str, **more: Any) -> dict[str, Any]:
    return {"name": "chat", "url": hook.url, "events": list(events or ("Waiting",)), **more}


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


async def settled(world: World) -> None:
    """Wait until nothing is to be told any more."""
    async with asyncio.timeout(20):
        while await world.messages.awaited_notifications():
            await asyncio.sleep(0.01)


async def test_a_pod_that_waits_is_told_once_per_episode(world: World, hook: Hook) -> None:
    world.organization(webhook(hook))
    async with world.running():
        world.waits("fix")
        await until(lambda: hook.got)
        world.waits("fix")
        world.pod("fix", phase="Running", activity="executing", activitySince=NOW)
        world.waits("fix")
        world.waits("fix", stamp(wall() + 60))
        await until(lambda: len(hook.got) == 2)
        await settled(world)
    assert hook.told() == [("Waiting", "fix")] * 2


async def test_what_is_told_names_the_pod_and_the_evidence(world: World, hook: Hook) -> None:
    world.organization(webhook(hook, "Failed", "Waiting"))
    async with world.running():
        world.waits("fix")
        world.fails("broken")
        await until(lambda: len(hook.got) == 2)
    bodies = {(body := json.loads(raw))["event"]: body for _, raw in hook.got}
    assert bodies["Waiting"]["evidence"] == "its hook PermissionRequest"
    assert bodies["Waiting"]["organization"] == "acme"
    assert bodies["Failed"]["exitCode"] == 3
    headers = hook.got[0][0]
    assert headers["X-AgentsMesh-Event"] in bodies
    assert headers["X-AgentsMesh-Delivery"] in {body["id"] for body in bodies.values()}
    assert headers["Content-Type"] == "application/json"


async def test_only_events_that_are_asked_for_are_told(world: World, hook: Hook) -> None:
    world.organization(webhook(hook, "Failed"))
    async with world.running():
        world.waits("fix")
        world.pod("good", phase="Succeeded", observed={"epoch": 1, "finishedAt": NOW})
        world.fails("broken")
        await until(lambda: hook.got)
        await settled(world)
    assert hook.told() == [("Failed", "broken")]


async def test_it_is_signed_with_the_organizations_secret(world: World, hook: Hook) -> None:
    data = {"key": base64.b64encode(b"k1").decode(), "authorization": "QmVhcmVyIHgK"}
    world.secrets["hook"] = {"data": data}
    world.organization(webhook(hook, secretRef={"name": "hook"}))
    async with world.running():
        world.waits("fix")
        await until(lambda: hook.got)
    headers, body = hook.got[0]
    signature = hmac.new(b"k1", body, hashlib.sha256).hexdigest()
    assert headers["X-AgentsMesh-Signature-256"] == f"sha256={signature}"
    assert headers["Authorization"] == "Bearer x"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(None, id="no Secret"),
        pytest.param({"other": "eA=="}, id="a Secret without what is needed"),
        pytest.param({"authorization": "YQpiOiBj"}, id="a second header in the first"),
        pytest.param({"key": "%"}, id="what is no Secret"),
    ],
)
async def test_without_its_secret_nothing_is_sent(
    world: World, hook: Hook, data: dict[str, str] | None
) -> None:
    if data is not None:
        world.secrets["hook"] = {"data": data}
    world.organization(webhook(hook, secretRef={"name": "hook"}))
    async with world.running() as service:
        world.waits("fix")
        await until(lambda: service.failing("acme"))
        (failing,) = service.failing("acme")
    assert "Secret hook" in failing.why
    assert not hook.got


async def test_it_is_tried_until_it_arrives_with_the_same_id(world: World, hook: Hook) -> None:
    hook.status = 500
    world.organization(webhook(hook))
    async with world.running() as service:
        world.waits("fix")
        await until(lambda: service.failing("acme"))
        assert service.failing("acme")[0].why == "it answers with status 500"
        assert world.touched == ["acme"]
        hook.status = 204
        await settled(world)
        await until(lambda: not service.failing("acme"))
    assert world.touched == ["acme", "acme"]
    assert len({headers["X-AgentsMesh-Delivery"] for headers, _ in hook.got}) == 1


async def test_a_redirect_is_a_failure_and_not_followed(world: World, hook: Hook) -> None:
    async with listening() as elsewhere:
        hook.status, hook.location = 302, elsewhere.url
        world.organization(webhook(hook))
        async with world.running() as service:
            world.waits("fix")
            await until(lambda: service.failing("acme"))
        assert not elsewhere.got


async def test_what_was_not_told_before_a_restart_is_told_after_it_and_nothing_twice(
    world: World, hook: Hook
) -> None:
    world.organization(webhook(hook, "Waiting", "Failed"))
    async with world.running():
        world.waits("first")
        await until(lambda: hook.got)
        await settled(world)
        hook.status = 503
        world.waits("second")
        await until(lambda: len(hook.got) > 1)
    hook.status = 200
    world.fails("third")  # while no controller ran
    async with world.running():
        await until(lambda: ("Failed", "third") in hook.told())
        await settled(world)
    told = hook.told()
    assert told.count(("Waiting", "first")) == 1
    assert ("Waiting", "second") in told


async def test_a_webhook_that_is_new_hears_who_waits_but_not_who_has_ended(
    world: World, hook: Hook
) -> None:
    world.organization()
    world.waits("fix")
    world.fails("broken")
    async with world.running():
        world.organization(webhook(hook, "Waiting", "Failed"))
        await until(lambda: hook.got)
        await settled(world)
    assert hook.told() == [("Waiting", "fix")]
    async with world.running():
        world.fails("late")
        await until(lambda: len(hook.got) == 2)
    assert hook.told()[1] == ("Failed", "late")


async def test_what_happened_long_ago_is_not_told(world: World, hook: Hook) -> None:
    world.organization(webhook(hook))
    world.waits("old", "2020-01-01T00:00:00Z")
    async with world.running():
        world.waits("fix")
        await until(lambda: hook.got)
        await settled(world)
    assert hook.told() == [("Waiting", "fix")]


async def test_one_webhook_that_hangs_keeps_none_of_the_others(world: World, hook: Hook) -> None:
    release = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    slow = {"name": "slow", "url": f"http://127.0.0.1:{port}/", "events": ["Waiting"]}
    world.organization(slow, webhook(hook))
    async with world.running():
        world.waits("fix")
        await until(lambda: hook.got)
        release.set()
    server.close()


async def test_a_long_queue_of_one_organization_keeps_no_other_waiting(
    world: World, hook: Hook
) -> None:
    """These rows are older than what is told now, and not due before tomorrow."""
    rows = [Notification(f"old-{n}", "bad", "down", "Waiting", "{}") for n in range(1100)]
    later = [replace(row, due_at=wall() + 86_400) for row in rows]
    await world.messages.add_notifications(later)
    world.organization(webhook(hook))
    async with world.running():
        world.waits("fix")
        await until(lambda: hook.got)
    assert hook.told() == [("Waiting", "fix")]


async def test_all_of_a_long_queue_is_told(world: World, hook: Hook) -> None:
    rows = [Notification(f"n-{n}", "acme", "chat", "Waiting", '{"event": 1}') for n in range(50)]
    world.organization(webhook(hook))
    await world.messages.add_notifications(rows)
    async with world.running():
        await settled(world)
    assert len(hook.got) == 50


async def test_a_webhook_that_is_taken_away_is_told_nothing_more(world: World, hook: Hook) -> None:
    hook.status = 500
    world.organization(webhook(hook))
    async with world.running() as service:
        world.waits("fix")
        await until(lambda: service.failing("acme"))
        world.organization()
        await settled(world)
        assert service.failing("acme") == ()


@pytest.mark.parametrize(
    ("address", "plain", "allowed"),
    [
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("10.0.0.1", True, False),
        ("93.184.216.34", True, False),
        ("93.184.216.34", False, True),
        ("10.0.0.1", False, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("2002:a9fe:a9fe::", False, False),
        ("fe80::1%eth0", False, False),
        ("fd00:ec2::254", False, False),
        ("100.100.100.200", False, False),
        ("0.0.0.0", False, False),  # noqa: S104  not listened on
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("255.255.255.255", False, False),
        ("nonsense", False, False),
    ],
)
def test_addresses_of_the_machines_own_link_are_refused(
    address: str,
    plain: bool,  # noqa: FBT001  a parameter of the test
    allowed: bool,  # noqa: FBT001  likewise
) -> None:
    assert is_allowed(address, (), plain=plain) is allowed


def test_the_operator_may_allow_more() -> None:
    more = networks(["169.254.0.0/16", "10.1.0.0/16"])
    assert is_allowed("169.254.169.254", more, plain=False)
    assert is_allowed("10.1.2.3", more, plain=True)
    assert not is_allowed("10.2.2.3", more, plain=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/",
        "http://2852039166/",  # the same as one number
        "http://0xa9fea9fe/",
        "https://[fd00:ec2::254]/",
        "http://[::ffff:10.0.0.1]/",
        "http://10.0.0.1/",
    ],
)
async def test_literal_addresses_are_looked_at_however_they_are_written(url: str) -> None:
    async with Sender() as sender:
        assert await sender.post(Request(url, {}, b"{}")) == NOT_ALLOWED


async def test_names_are_looked_at_where_they_lead(hook: Hook) -> None:
    async with Sender() as sender:
        assert await sender.post(Request(f"http://localhost:{hook.port}/", {}, b"{}")) == ""
    assert len(hook.got) == 1


async def test_trouble_is_told_without_the_url(hook: Hook) -> None:
    async with Sender() as sender:
        told = [
            await sender.post(Request(f"https://127.0.0.1:{hook.port}/TOKEN", {}, b"{}")),
            await sender.post(Request("http://127.0.0.1:1/TOKEN", {}, b"{}")),
            await sender.post(Request("https://does-not-exist.invalid/TOKEN", {}, b"{}")),
            await sender.post(Request("ftp://127.0.0.1/TOKEN", {}, b"{}")),
        ]
    assert all(told)
    assert "TOKEN" not in " ".join(told)
