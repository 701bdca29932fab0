"""The pages that are no resources: version, health, and the list of paths."""

from __future__ import annotations

import platform
from typing import Final

from apiserver import errors
from apiserver.kinds.registry import Registry
from apiserver.rest import reply
from apiserver.rest.call import Call
from apiserver.store.records import Object

_MAJOR: Final = "1"
_MINOR: Final = "33"
"""The Kubernetes whose behaviour is served: its clients pick features by this."""

VERSION: Final[Object] = {
    "major": _MAJOR,
    "minor": _MINOR,
    "gitVersion": f"v{_MAJOR}.{_MINOR}.0+agentsmesh",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": f"python{platform.python_version()}",
    "compiler": platform.python_implementation().lower(),
    "platform": f"{platform.system().lower()}/{platform.machine()}",
}

_HEALTH: Final = frozenset({"healthz", "livez", "readyz"})


def answer(call: Call, parts: list[str], registry: Registry) -> reply.Reply:
    """Answer for the page that the path's *parts* name.

    Raises:
        ApiError: 404, there is none.
    """
    match parts:
        case []:
            return reply.document(call, {"paths": _paths(registry)})
        case ["version"]:
            return reply.document(call, VERSION)
        case [page, *_] if page in _HEALTH:
            return _health(call, page)
        case ["api" | "apis" | "openapi", *_]:
            raise errors.no_such_resource()
        case _:
            pass
    return reply.document(call, {"paths": _paths(registry)}, 404)


def _health(call: Call, page: str) -> reply.Reply:
    if "verbose" in call.query:
        return reply.plain(f"[+]ping ok\n[+]store ok\n{page} check passed\n")
    return reply.plain("ok")


def _paths(registry: Registry) -> list[str]:
    found = {"/api", "/api/v1", "/apis", "/healthz", "/livez", "/readyz", "/version"}
    found |= {"/openapi/v2", "/openapi/v3"}
    for resource in registry.all():
        if resource.group:
            found |= {f"/apis/{resource.group}", f"/apis/{resource.api_version}"}
    return sorted(found)
