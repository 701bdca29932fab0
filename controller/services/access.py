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
class _Wish:
    """What somebody wants to do with one object."""

    verb: str
    resource: Resource
    subresource: str
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

    async def may_attach(
        self, token: str, user: Any, namespace: str, pod: str, *, read_only: bool, fresh: bool
    ) -> Verdict:
        """Return whether the user may type into the pod's terminal, or only see it.

        Raises:
            KubeError: The API server cannot be asked.
        """
        verb, subresource = ("get", "log") if read_only else ("create", "attach")
        wish = _Wish(verb, AGENT_POD, subresource, namespace, pod)
        return await self._may(token, user, wish, fresh=fresh)

    async def may_prompt(
        self, token: str, user: Any, namespace: str, pod: str, *, fresh: bool
    ) -> Verdict:
        """Return whether the user may give the pod's agent a prompt.

        Raises:
            KubeError: The API server cannot be asked.
        """
        wish = _Wish("create", AGENT_POD, "prompt", namespace, pod)
        return await self._may(token, user, wish, fresh=fresh)

    async def may_forward(
        self, token: str, user: Any, namespace: str, pod: str, *, fresh: bool
    ) -> Verdict:
        """Return whether the user may connect to ports of the pod's own network.

        Raises:
            KubeError: The API server cannot be asked.
        """
        wish = _Wish("create", AGENT_POD, "portforward", namespace, pod)
        return await self._may(token, user, wish, fresh=fresh)

    async def may_restore(
        self, token: str, user: Any, namespace: str, pod: str, *, fresh: bool
    ) -> Verdict:
        """Return whether the user may have the work that is kept of a pod.

        Raises:
            KubeError: The API server cannot be asked.
        """
        wish = _Wish("get", AGENT_POD, "saved", namespace, pod)
        return await self._may(token, user, wish, fresh=fresh)

    async def may_talk(
        self, token: str, user: Any, namespace: str, channel: str, *, read_only: bool, fresh: bool
    ) -> Verdict:
        """Return whether the user may send to the channel, or only read it.

        Raises:
            KubeError: The API server cannot be asked.
        """
        verb = "get" if read_only else "create"
        wish = _Wish(verb, CHANNEL, "messages", namespace, channel)
        return await self._may(token, user, wish, fresh=fresh)

    async def may_write_ticket(
        self, token: str, user: Any, verb: str, namespace: str, ticket: str
    ) -> Verdict:
        """Return whether the user may create tickets, or update this one.

        Raises:
            KubeError: The API server cannot be asked.
        """
        wish = _Wish(verb, TICKET, "", namespace, ticket)
        return await self._may(token, user, wish, fresh=False)

    async def _may(self, token: str, user: Any, wish: _Wish, *, fresh: bool) -> Verdict:
        key = (_digest(token), wish)
        known = None if fresh else self._verdicts.get(key)
        if known is not None:
            return known
        allowed, _ = await self._reviews.may(
            user,
            verb=wish.verb,
            group=GROUP,
            resource=wish.resource.plural,
            subresource=wish.subresource,
            namespace=wish.namespace,
            name=wish.name,
        )
        part = f"/{wish.subresource}" if wish.subresource else ""
        what = f"{wish.verb} {wish.resource.plural}{part}"
        verdict = Verdict(
            allowed,
            ""
            if allowed
            else f"user {user.name} may not {what} in namespace {wish.namespace}: "
            "ask an administrator of the organization",
        )
        self._verdicts.put(key, verdict)
        return verdict


def _digest(token: str) -> bytes:
    """Return a key for the cache, so that no token is kept in memory longer than its stream."""
    return hashlib.sha256(token.encode()).digest()
