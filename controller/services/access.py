"""What people may do: asked of the API server, remembered for a few seconds."""

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from controller.rpc.ports import Reviews, User
from schemas.names import AGENT_POD, CHANNEL, GROUP, TICKET, Resource

CACHE_SECONDS: Final = 10.0
"""A withdrawn permission works at most this much longer for new streams."""

_MAX_ENTRIES: Final = 4096

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something is allowed."""

    allowed: bool
    message: str
    """If not: one sentence that names the missing permission."""


class _Recent(Generic[K, V]):
    """Answers not older than CACHE_SECONDS."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        self._ticks = ticks
        self._answers: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        found = self._answers.get(key)
        if found is None or self._ticks() - found[0] >= CACHE_SECONDS:
            return None
        return found[1]

    def put(self, key: K, value: V) -> None:
        now = self._ticks()
        if len(self._answers) >= _MAX_ENTRIES:
            self._answers = {
                key: answer
                for key, answer in self._answers.items()
                if now - answer[0] < CACHE_SECONDS
            }
        if len(self._answers) < _MAX_ENTRIES:  # else everybody asks anew: slower, never wrong
            self._answers[key] = (now, value)


@dataclass(frozen=True, slots=True)
class Right:
    """Something that one may do with objects of a kind."""

    verb: str
    resource: Resource
    subresource: str = ""

    @property
    def text(self) -> str:
        """As people know it from rules of RBAC."""
        part = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {self.resource.plural}{part}"


TYPE: Final = Right("create", AGENT_POD, "attach")
"""Type into a pod's terminal."""
LOOK_ON: Final = Right("get", AGENT_POD, "log")
"""See a pod's terminal, and what it has shown."""
PROMPT: Final = Right("create", AGENT_POD, "prompt")
"""Give a pod's agent a prompt."""
FORWARD: Final = Right("create", AGENT_POD, "portforward")
"""Connect to ports of a pod's own network."""
RESTORE: Final = Right("get", AGENT_POD, "saved")
"""Have the work that is kept of a pod."""
READ_CHANNEL: Final = Right("get", CHANNEL, "messages")
SEND_TO_CHANNEL: Final = Right("create", CHANNEL, "messages")
CREATE_TICKETS: Final = Right("create", TICKET)
UPDATE_TICKET: Final = Right("update", TICKET)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What somebody wants to do with one object."""

    right: Right
    namespace: str
    name: str


class Access:
    """Recognises people by their token and asks what they may do."""

    def __init__(self, reviews: Reviews, *, ticks: Callable[[], float] = monotonic) -> None:
        self._reviews = reviews
        self._users: _Recent[bytes, Any] = _Recent(ticks)
        self._verdicts: _Recent[tuple[bytes, _Wish], Verdict] = _Recent(ticks)

    async def authenticate(self, token: str, *, fresh: bool = False) -> User | None:
        """Return who the token belongs to, or None. With *fresh* the API server is asked anew.

        Raises:
            KubeError: The API server cannot be asked.
        """
        key = _digest(token)
        known = None if fresh else self._users.get(key)
        if known is not None:
            return known  # type: ignore[no-any-return]  # what the client answered, as it came
        user = await self._reviews.review_token(token)
        if user is not None:
            self._users.put(key, user)
        return user

    async def may(
        self,
        token: str,
        user: Any,
        right: Right,
        namespace: str,
        name: str,
        *,
        fresh: bool = False,
    ) -> Verdict:
        """Return whether the user may do that with the object. With *fresh* it is asked anew.

        Raises:
            KubeError: The API server cannot be asked.
        """
        wish = _Wish(right, namespace, name)
        key = (_digest(token), wish)
        known = None if fresh else self._verdicts.get(key)
        if known is not None:
            return known
        allowed, _ = await self._reviews.may(
            user,
            verb=right.verb,
            group=GROUP,
            resource=right.resource.plural,
            subresource=right.subresource,
            namespace=wish.namespace,
            name=wish.name,
        )
        verdict = Verdict(
            allowed,
            ""
            if allowed
            else f"user {user.name} may not {right.text} in namespace {wish.namespace}: "
            "ask an administrator of the organization",
        )
        self._verdicts.put(key, verdict)
        return verdict


def _digest(token: str) -> bytes:
    """Return a key for the cache, so that no token is kept in memory longer than its stream."""
    return hashlib.sha256(token.encode()).digest()
