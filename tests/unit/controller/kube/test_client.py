"""The client says what is wanted, waits when it is asked to, and names what went wrong."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from controller.kube.access import Access
from controller.kube.client import Kube, User
from controller.kube.errors import (
    AlreadyExists,
    Conflict,
    Denied,
    KubeError,
    Misconfigured,
    NotFound,
    OverQuota,
    Refused,
    Unavailable,
)
from controller.kube.throttle import Bucket
from schemas.names import AGENT_POD, NAMESPACE, SECRET

pytestmark = pytest.mark.anyio

Answer = tuple[int, dict[str, Any], dict[str, str]]


class Server:
    """Answers from a list, the last answer for ever, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [(200, {}, {})]
        self.asked: list[dict[str, Any]] = []
        self.port = 0

    def answer(self, status: int, body: dict[str, Any] | None = None, **headers: str) -> "Server":
        if self.asked or len(self.answers) != 1 or self.answers[0] != (200, {}, {}):
            self.answers.append((status, body or {}, headers))
        else:
            self.answers = [(status, body or {}, headers)]
        return self

    async def handle(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.asked.append(
            {
                "method": request.method,
                "path": request.raw_path.split("?")[0],
                "query": dict(request.query),
                "headers": dict(request.headers),
                "body": json.loads(raw) if raw and raw != b"null" else None,
            }
        )
        status, body, headers = self.answers[0]
        if len(self.answers) > 1:
            del self.answers[0]
        return web.json_response(body, status=status, headers=headers)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


def kubeconfig(path: Path, port: int, token: str) -> Path:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
async def client(server: Server, tmp_path: Path) -> AsyncIterator[Kube]:
    async with Kube.open(kubeconfig(tmp_path / "config", server.port, "one")) as kube:
        yield kube


async def test_a_namespaced_object_is_asked_for_by_its_address(server: Any, client: Any) -> None:
    server.answer(200, {"kind": "AgentPod"})
    assert await client.get(AGENT_POD, "acme", "fix") == {"kind": "AgentPod"}
    [asked] = server.asked
    assert asked["path"] == "/apis/agentsmesh.io/v1alpha1/namespaces/acme/agentpods/fix"
    assert asked["headers"]["Authorization"] == "Bearer one"


async def test_the_core_group_and_cluster_scope_have_shorter_addresses(
    server: Any, client: Any
) -> None:
    await client.get(NAMESPACE, "", "acme")
    await client.get(SECRET, "acme", "s")
    assert [asked["path"] for asked in server.asked] == [
        "/api/v1/namespaces/acme",
        "/api/v1/namespaces/acme/secrets/s",
    ]


async def test_a_name_cannot_leave_its_place_in_the_address(server: Any, client: Any) -> None:
    await client.get(SECRET, "acme", "../../nodes?x")
    assert server.asked[0]["path"] == "/api/v1/namespaces/acme/secrets/..%2F..%2Fnodes%3Fx"


async def test_writes_name_us_as_their_manager_and_patches_are_merged(
    server: Any, client: Any
) -> None:
    await client.create(SECRET, "acme", {"metadata": {"name": "s"}})
    await client.patch(AGENT_POD, "acme", "fix", {"status": {"phase": None}}, subresource="status")
    create, patch = server.asked
    assert create["query"] == patch["query"] == {"fieldManager": "agentsmesh-controller"}
    assert patch["path"].endswith("/agentpods/fix/status")
    assert patch["headers"]["Content-Type"] == "application/merge-patch+json"
    assert patch["body"] == {"status": {"phase": None}}


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (401, "Unauthorized", Denied),
        (403, "Forbidden", Denied),
        (422, "Invalid", Refused),
        (400, "BadRequest", Refused),
        (410, "Expired", Unavailable),
        (500, "InternalError", Unavailable),
        (504, "Timeout", Unavailable),
    ],
)
async def test_an_answer_becomes_the_error_that_one_reacts_to(
    server: Any, client: Any, status: int, reason: str, error: type[KubeError]
) -> None:
    server.answer(status, {"reason": reason, "message": "the server's own words"})
    with pytest.raises(error, match="the server's own words") as caught:
        await client.get(AGENT_POD, "acme", "fix")
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.reason) == (status, reason)


async def test_a_full_quota_is_told_from_what_we_may_not_do(server: Any, client: Any) -> None:
    said = 'agentpods.agentsmesh.io "a" is forbidden: exceeded quota: q, requested: count/agentpod…'
    server.answer(403, {"reason": "Forbidden", "message": said})
    with pytest.raises(OverQuota):
        await client.create(AGENT_POD, "acme", {"metadata": {"name": "a"}})


async def test_too_many_requests_are_repeated_when_the_server_says(
    server: Any, client: Any
) -> None:
    server.answer(429, **{"Retry-After": "0"}).answer(200, {"ok": True})
    assert await client.get(AGENT_POD, "acme", "fix") == {"ok": True}
    assert len(server.asked) == 2


async def test_a_server_that_never_has_time_is_unavailable(server: Any, client: Any) -> None:
    server.answer(429, **{"Retry-After": "0"})
    with pytest.raises(Unavailable):
        await client.get(AGENT_POD, "acme", "fix")
    assert len(server.asked) == 4


async def test_a_wait_that_is_too_long_is_left_to_the_caller(server: Any, client: Any) -> None:
    server.answer(429, **{"Retry-After": "3600"})
    with pytest.raises(Unavailable):
        await client.get(AGENT_POD, "acme", "fix")


async def test_a_write_is_not_repeated_when_nobody_knows_whether_it_was_done(
    server: Any, client: Any
) -> None:
    server.answer(500)
    with pytest.raises(Unavailable):
        await client.create(SECRET, "acme", {})
    assert len(server.asked) == 1


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Any) -> None:
    async with Kube.open(kubeconfig(tmp_path / "config", 1, "one")) as kube:
        with pytest.raises(Unavailable, match="does not answer"):
            await kube.get(AGENT_POD, "acme", "fix")


async def test_a_credential_that_was_replaced_on_disk_is_read_again(
    server: Any, client: Any, tmp_path: Any
) -> None:
    server.answer(401).answer(200, {"ok": True})
    kubeconfig(tmp_path / "config", server.port, "two")
    assert await client.get(AGENT_POD, "acme", "fix") == {"ok": True}
    assert server.asked[1]["headers"]["Authorization"] == "Bearer two"


async def test_deleting_what_is_not_there_is_fine(server: Any, client: Any) -> None:
    server.answer(404)
    await client.delete(AGENT_POD, "acme", "fix")


async def test_deleting_by_uid_leaves_a_successor_alone(server: Any, client: Any) -> None:
    server.answer(409, {"reason": "Conflict"})
    await client.delete(AGENT_POD, "acme", "fix", uid="u1")
    assert server.asked[0]["body"]["preconditions"] == {"uid": "u1"}


async def test_pages_are_followed_to_the_end(server: Any, client: Any) -> None:
    first = {"metadata": {"continue": "more"}, "items": [{"metadata": {"name": "a"}}]}
    server.answer(200, first).answer(200, {"items": [{"metadata": {"name": "b"}}]})
    pages = [page async for page in client.pages(AGENT_POD, limit=1)]
    assert [item["metadata"]["name"] for page in pages for item in page] == ["a", "b"]
    assert pages[0][0]["kind"] == "AgentPod"
    assert server.asked[1]["query"] == {"limit": "1", "continue": "more"}


async def test_a_token_that_is_not_accepted_is_nobodys(server: Any, client: Any) -> None:
    server.answer(201, {"status": {"authenticated": False}})
    assert await client.review_token("x") is None


async def test_a_token_for_somebody_else_is_nobodys(server: Any, client: Any) -> None:
    said = {"authenticated": True, "audiences": ["others"], "user": {"username": "ada"}}
    server.answer(201, {"status": said})
    assert await client.review_token("x", ("us",)) is None


async def test_a_token_is_whose_the_server_says(server: Any, client: Any) -> None:
    user = {"username": "ada", "uid": "7", "groups": ["g"], "extra": {"k": ["v"]}}
    server.answer(201, {"status": {"authenticated": True, "user": user}})
    assert await client.review_token("x") == User("ada", "7", ("g",), {"k": ["v"]})


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ({"allowed": True}, True),
        ({"allowed": False, "reason": "no rule"}, False),
        ({"allowed": True, "denied": True}, False),
        ({}, False),
    ],
)
async def test_access_is_what_the_server_says(
    server: Any, client: Any, status: dict[str, Any], allowed: Any
) -> None:
    server.answer(201, {"status": status})
    answer, _ = await client.may(
        User("ada", "", (), {}),
        verb="create",
        group="agentsmesh.io",
        resource="agentpods",
        subresource="attach",
        namespace="acme",
        name="fix",
    )
    assert answer is allowed


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="not there"),
        pytest.param("", id="empty"),
        pytest.param("users: [token: geheim\n", id="no YAML"),
        pytest.param("clusters: []\n", id="nothing in it"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_named_and_not_quoted(
    tmp_path: Any, content: str | None
) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Misconfigured, match=str(path)) as caught:
        await Access(path).load()
    assert "geheim" not in str(caught.value)


async def test_the_proxy_of_the_environment_is_used_and_a_netrc_is_not(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine mesh.invalid login somebody password geheim\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", f"http://user:word@127.0.0.1:{server.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    path = kubeconfig(tmp_path / "config", 80, "token")
    path.write_text(path.read_text().replace("127.0.0.1", "mesh.invalid"))
    server.answer(200, {"gitVersion": "v1"})
    async with Kube.open(path) as kube:
        assert await kube.version() == "v1"
    (asked,) = server.asked
    assert asked["headers"]["Host"].startswith("mesh.invalid")
    assert asked["headers"]["Authorization"] == "Bearer token"


async def test_servers_that_the_environment_excepts_are_reached_without_its_proxy(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.answer(200, {"gitVersion": "v1"})
    async with Kube.open(kubeconfig(tmp_path / "config", server.port, "token")) as kube:
        assert await kube.version() == "v1"


async def test_a_burst_passes_at_once_and_a_flood_waits() -> None:
    slept: list[float] = []
    now = [0.0]

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))

    clock: Callable[[], float] = lambda: now[0]  # noqa: E731 - a clock that stands still
    bucket = Bucket(10, 3, clock=clock, sleep=sleep)
    for _ in range(5):
        await bucket.take()
    assert slept == [0.1, 0.2]
    now[0] = 10.0
    await bucket.take()
    assert len(slept) == 2
