"""An API server within the test's process: no socket, but everything behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from apiserver.controlplane import ControlPlane

Object = dict[str, Any]


@dataclass
class Answer:
    """What the API answered."""

    code: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    def values(self, header: str) -> list[str]:
        return [value for name, value in self.headers if name == header]

    @property
    def reason(self) -> str:
        return str(self.json.get("reason", ""))


@dataclass
class Watching:
    """A watch under way."""

    events: asyncio.Queue[Object] = field(default_factory=asyncio.Queue)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self) -> Object:
        async with asyncio.timeout(10):
            return await self.events.get()


class Api:
    """Sends requests to the application, as an ASGI server does."""

    def __init__(self, plane: ControlPlane, tasks: asyncio.TaskGroup) -> None:
        self.plane = plane
        self.token: str | None = plane.admin_token
        self._tasks = tasks

    def _scope(self, method: str, path: str, headers: dict[str, str]) -> Object:
        raw_path, _, query = path.partition("?")
        sent = {"authorization": f"Bearer {self.token}"} if self.token else {}
        sent |= headers
        return {
            "type": "http",
            "method": method,
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        }

    async def send(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", **more: str
    ) -> Answer:
        headers = {"content-type": kind} | {
            name.replace("_", "-"): value for name, value in more.items()
        }
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        sent: list[Object] = []

        async def receive() -> Object:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Any, /) -> None:
            sent.append(message)

        await self.plane.app(self._scope(method, path, headers), receive, send)
        found = [(n.decode(), v.decode("latin-1")) for n, v in sent[0]["headers"]]
        return Answer(sent[0]["status"], found, b"".join(m.get("body", b"") for m in sent[1:]))

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.send("GET", path, **headers)

    async def post(self, path: str, body: Any, **headers: str) -> Answer:
        return await self.send("POST", path, body, **headers)

    async def put(self, path: str, body: Any, **headers: str) -> Answer:
        return await self.send("PUT", path, body, **headers)

    async def merge(self, path: str, body: Any, **headers: str) -> Answer:
        return await self.send("PATCH", path, body, "application/merge-patch+json", **headers)

    async def delete(self, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.send("DELETE", path, body, **headers)

    def watch(self, path: str, **headers: str) -> Watching:
        watching = Watching()
        rest = b""

        async def receive() -> Object:
            await watching.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any, /) -> None:
            nonlocal rest
            *lines, rest = (rest + message.get("body", b"")).split(b"\n")
            for line in lines:
                watching.events.put_nowait(orjson.loads(line))

        async def run() -> None:
            await self.plane.app(self._scope("GET", path, headers), receive, send)
            watching.ended.set()

        self._tasks.create_task(run())
        return watching

    async def until(self, path: str, wanted: Any) -> Answer:
        """Get *path* until *wanted* says yes to the answer."""
        async with asyncio.timeout(10):
            while True:
                answer = await self.get(path)
                if wanted(answer):
                    return answer
                await asyncio.sleep(0.005)

    @staticmethod
    def widgets(**version: Any) -> Object:
        """Return a CRD of namespaced widgets with a status; *version* overrides its version."""
        return _widgets(version)

    @staticmethod
    def widget(name: str, *, meta: Object | None = None, **more: Any) -> Object:
        """Return a widget; *meta* goes into its metadata."""
        return {
            "apiVersion": "example.com/v1",
            "kind": "Widget",
            "metadata": {"name": name} | (meta or {}),
            "spec": {"color": "red"},
        } | more

    async def define(self, crd: Object) -> None:
        """Create a CRD; its resource is served afterwards."""
        answer = await self.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        assert answer.code == 201, answer.body


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """Return an API with its controllers at work."""
    plane = ControlPlane(tmp_path)
    await plane.start()
    async with asyncio.TaskGroup() as tasks:
        controllers = tasks.create_task(plane.run())
        yield Api(plane, tasks)
        controllers.cancel()
        plane.store.end_watches()
    await plane.stop()


def _widgets(overrides: Object) -> Object:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "color": {"type": "string"},
                    "size": {"type": "integer", "default": 3, "minimum": 1},
                    "replicas": {"type": "integer"},
                },
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    version: Object = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
        "selectableFields": [{"jsonPath": ".spec.color"}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version | overrides],
        },
    }


@pytest.fixture
async def shop(api: Api) -> Api:
    """Return an API that serves widgets."""
    await api.define(api.widgets())
    return api
