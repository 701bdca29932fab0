"""One request, taken apart: who asks for what. The words are those of Kubernetes' RequestInfo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

from apiserver.errors import bad_request
from apiserver.kinds.strategy import User

ANONYMOUS: Final = User("system:anonymous", frozenset({"system:unauthenticated"}))

_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_NAMESPACE_PARTS: Final = frozenset({"status", "finalize"})
_TRUE: Final = frozenset({"1", "true", "True", "TRUE", "t", "T"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a path and a method aim at."""

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    plural: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


@dataclass(slots=True)
class Call:
    """A request with its body read and its sender known."""

    method: str
    target: Target
    query: dict[str, str]
    headers: dict[bytes, bytes]
    body: bytes = b""
    user: User = ANONYMOUS
    warnings: list[str] = field(default_factory=list)
    """Sentences for `Warning:` headers of the answer."""

    def header(self, name: bytes) -> str:
        """Return a header's value, empty where it is missing; *name* in lower case."""
        return self.headers.get(name, b"").decode("latin-1")

    def flag(self, name: str) -> bool:
        """Tell whether a query parameter says yes."""
        return self.query.get(name, "") in _TRUE

    def number(self, name: str) -> int | None:
        """Return a query parameter as a number, None where it is missing.

        Raises:
            ApiError: 400, it is none.
        """
        text = self.query.get(name, "")
        if not text:
            return None
        if not text.isascii() or not text.lstrip("-").isdigit():
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        return int(text)


def parse_query(raw: bytes) -> dict[str, str]:
    """Return the query parameters; of those given twice, the first counts."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True):
        found.setdefault(name, value)
    return found


def parse_target(method: str, raw_path: bytes, query: dict[str, str]) -> Target:
    """Return what the request aims at."""
    path = unquote(raw_path.split(b"?", 1)[0].decode("latin-1"))
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return Target(method.lower(), path)
    namespace, plural, name, subresource = _locate(rest)
    selected = _selected_name(query) if method in {"GET", "HEAD", "DELETE"} else ""
    verb = _verb(method, name, query)
    return Target(
        verb, path, True, group, version, plural, subresource, namespace, name or selected
    )


def _locate(rest: list[str]) -> tuple[str, str, str, str]:
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_PARTS:
            rest = rest[2:]
    plural, *more = rest
    name = more[0] if more else ""
    return namespace, plural, name, "/".join(more[1:])


def _verb(method: str, name: str, query: dict[str, str]) -> str:
    if method in {"GET", "HEAD"}:
        if query.get("watch", "") in _TRUE:
            return "watch"
        return "get" if name else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return _VERBS.get(method, method.lower())


def _selected_name(query: dict[str, str]) -> str:
    selector = query.get("fieldSelector", "")
    for term in selector.split(","):
        left, _, right = term.partition("=")
        if left == "metadata.name" and right:
            return right.removeprefix("=")
    return ""
