"""Who is let in, decided by the head of a request alone: its body is not looked at."""

import functools
import http
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import unquote

PATH: Final = "/mcp"
HOOKS: Final = "/hooks"
"""Where hooks of the agent report what it does."""

_LOOPBACK: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_ORIGIN: Final = re.compile(r"https?://" + _LOOPBACK.pattern, re.IGNORECASE)

_FIRST: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.[01]")
"""A request line. Source: RFC 9112, section 3."""

Head = Mapping[str, Any]
"""Of an ASGI scope: ``method``, ``path`` and ``headers``."""


class Keeper(Protocol):
    """Who knows whose token it is: ``runner.mcpserver.door.Door``."""

    @property
    def alive(self) -> bool:
        """Whether the token still opens anything."""
        ...

    @property
    def hears(self) -> bool:
        """Whether hooks of the agent are wanted."""
        ...

    def knows(self, token: str) -> bool:
        """Whether it is this run's."""
        ...


class Refusal(NamedTuple):
    """Why a request is not let in."""

    status: int
    message: str
    allow: str = ""

    @property
    def is_strangers(self) -> bool:
        """Whether whoever sent it has not shown the token in the way it is wanted."""
        return not self.allow


MALFORMED: Final = Refusal(400, "This is no HTTP request.")


def refused(head: Head, keeper: Keeper) -> Refusal | None:
    """Return why the request is not let in; None: it is."""
    if head["path"] != PATH and not (head["path"] == HOOKS and keeper.hears):
        return Refusal(404, f"There is nothing here: the MCP server is at {PATH}.")
    if _LOOPBACK.fullmatch(one(head, b"host") or "") is None:
        return Refusal(421, "Host must be the loopback address that this server is reached at.")
    origin = one(head, b"origin")
    if origin is not None and _ORIGIN.fullmatch(origin) is None:
        return Refusal(403, "Origin must be on loopback: no page from elsewhere may call tools.")
    kind, _, token = (one(head, b"authorization") or "").partition(" ")
    if kind.lower() != "bearer" or not keeper.knows(token.strip()):
        return Refusal(403, "This pod's token is wanted: send it as Authorization: Bearer <token>.")
    if not keeper.alive:
        return Refusal(403, "The pod has ended: its token opens nothing any more.")
    if head["method"] != "POST":
        return Refusal(405, "Only POST: there are no sessions, and no stream to listen to.", "POST")
    return None


def parsed(head: bytes) -> Head | None:
    """Return what a head says; None: it is malformed.

    It is enough to tell strangers cheaply: what they do not send is read again by h11.
    """
    first, *lines = head.rstrip(b"\r\n").replace(b"\r\n", b"\n").split(b"\n")
    said = _FIRST.fullmatch(first)
    if said is None:
        return None
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            return None  # also a value on two lines: nobody may send it any more (RFC 9112, 5.2)
        headers.append((name.lower(), value.strip(b" \t")))
    path = unquote(said[2].partition(b"?")[0].decode("ascii"))
    return {"method": said[1].decode("ascii"), "path": path, "headers": headers}


@functools.lru_cache(maxsize=16)  # there are fewer
def rendered(refusal: Refusal) -> bytes:
    """Return the whole answer to a stranger, whose connection ends with it."""
    body = json.dumps({"error": refusal.message}).encode()
    lines = (
        f"HTTP/1.1 {refusal.status} {http.HTTPStatus(refusal.status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def one(head: Head, name: bytes) -> str | None:
    """Return the header if it is there once; twice is as good as a wrong one."""
    found = list(_values(head, name))
    return found[0] if len(found) == 1 else None if not found else ""


def _values(head: Head, name: bytes) -> Iterator[str]:
    return (value.decode("latin-1") for key, value in head["headers"] if key == name)
