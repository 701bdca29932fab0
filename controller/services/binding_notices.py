"""Tells pods of requests to bind them, and of the answers to their own.

Level-triggered: whatever is pending in the store is told, after a restart again; the key of each
notice keeps it from being told twice. So nothing is lost between the API's answer and the notice.
Two pods that ask and refuse all the time are told every half minute, of what holds by then.
"""

import asyncio
import contextlib
import hashlib
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from controller.bindings.rules import Standing, standing
from controller.kernel.clock import seconds, wall
from controller.kernel.store import Change, Store
from controller.services.prompts import quoted
from controller.store.errors import StoreError
from schemas.agentpod import AgentPod
from schemas.podbinding import BindingDecision, DecisionState, PodBinding

logger = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 2.0
_SPACING_SECONDS: Final = 30.0
"""Between two prompts to one pod about bindings with one other, in one direction."""
_NEWS_SECONDS: Final = 3600.0
"""Answers older than this were told, or are of no interest any more."""


class Notices(Protocol):
    """Types prompts into pods' terminals. The delivery service is one."""

    async def tell(self, namespace: str, pod_uid: str, text: str, *, key: str) -> None:
        """Have *text* typed and submitted at the pod, once; return when that is durable.

        A second call with the same *key* changes nothing, for 48 hours at least. A pod that has
        ended or is gone is not told, which is no error.

        Raises:
            StoreError: It could not be stored; call again.
        """
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """One prompt for one pod."""

    pod_uid: str
    other_uid: str
    """The other pod of the binding."""
    asked: bool
    """It asks the target; else it answers the initiator."""
    text: str
    key: str

    @property
    def way(self) -> tuple[str, str, bool]:
        """What has a rate of its own."""
        return self.pod_uid, self.other_uid, self.asked


class BindingNotices:
    """Watches the store for what is to be told."""

    def __init__(self, store: Store, notices: Notices, clock: Callable[[], float] = wall) -> None:
        self._pods = store.of(AgentPod)
        self._bindings = store.of(PodBinding)
        self._notices = notices
        self._clock = clock
        self._waiting: dict[str, None] = {}
        self._news = asyncio.Event()
        self._told: dict[str, set[str]] = {}
        """Keys told since our start, by the binding's uid: spares the message store."""
        self._last: dict[tuple[str, str, bool], float] = {}
        """When a pod was told of another last; what is older than the spacing is forgotten."""
        self._later: dict[str, float] = {}
        """Bindings, by their uid, that are to be looked at again, and when."""
        store.listen(PodBinding, self._changed)
        for binding in self._bindings:
            self._waiting[binding.metadata.uid] = None

    async def run(self) -> None:
        """Tell what there is to tell, until cancelled. The store holds everything by then."""
        while True:
            while self._waiting:
                uid = next(iter(self._waiting))
                del self._waiting[uid]  # before it is looked at: what changes meanwhile counts
                try:
                    await self._tell(uid)
                except StoreError as exc:
                    self._waiting[uid] = None
                    logger.warning("notice not stored", extra={"reason": str(exc)})
                    await asyncio.sleep(_AGAIN_SECONDS)
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._news.wait()
            self._resume()

    def _changed(self, change: Change[PodBinding]) -> None:
        uid = change.subject.metadata.uid
        if change.new is None:
            self._waiting.pop(uid, None)
            self._told.pop(uid, None)
            self._later.pop(uid, None)
            return
        self._waiting[uid] = None
        self._news.set()

    async def _tell(self, uid: str) -> None:
        binding = self._bindings.by_uid(uid)
        if binding is None:
            return
        spec, where = binding.spec, binding.metadata.namespace
        one, other = self._pods.get(where, spec.initiator), self._pods.get(where, spec.target)
        now = self._clock()
        told = self._told.get(uid, set())
        for notice in notices(binding, standing(binding, one, other, now), now):
            if notice.key in told:
                continue
            due = self._last.get(notice.way, -math.inf) + _SPACING_SECONDS
            if now < due <= now + _SPACING_SECONDS:  # else the clock was set back
                self._later[uid] = min(due, self._later.get(uid, due))
                continue
            await self._notices.tell(where, notice.pod_uid, notice.text, key=notice.key)
            self._told[uid] = told = told | {notice.key}
            self._last[notice.way] = now

    def _pause(self) -> float | None:
        """Return for how long there is nothing to do without news; None: for ever."""
        if not self._later:
            return None
        return max(min(self._later.values()) - self._clock(), 0.0)

    def _resume(self) -> None:
        """Look again at what has waited long enough, forget what is of no use any more."""
        now = self._clock()
        for uid, due in tuple(self._later.items()):
            if due <= now or due > now + _SPACING_SECONDS:
                del self._later[uid]
                self._waiting[uid] = None
        recent = now - _SPACING_SECONDS
        self._last = {way: at for way, at in self._last.items() if recent < at <= now}


def notices(binding: PodBinding, now_stands: Standing, now: float) -> Iterator[Notice]:
    """Give what the pods of *binding* are to be told, whether or not they have been. Pure."""
    requested, decision = binding.status.requested_at, binding.status.decision
    if now_stands.pending and requested is not None and now_stands.target_uid is not None:
        yield _request(binding, now_stands, now_stands.target_uid, requested)
    if decision is not None and _is_news(binding, decision, now_stands, now):
        yield _answer(binding, decision)


def _request(binding: PodBinding, standing: Standing, target_uid: str, asked_at: str) -> Notice:
    name, scopes = quoted(binding.metadata.name), ", ".join(standing.pending)
    text = (
        f"[agentsmesh] Pod {quoted(binding.spec.initiator)} asks for {scopes} on your terminal "
        f"(binding {name}). Answer with accept_binding or reject_binding and binding_id "
        f"{name}; without an answer the request expires after 24 hours."
    )
    key = _key(binding, "asked", asked_at, scopes)
    return Notice(target_uid, standing.initiator_uid or "", asked=True, text=text, key=key)


def _is_news(
    binding: PodBinding, decision: BindingDecision, standing: Standing, now: float
) -> bool:
    """Whether the target has just answered the initiator that still is there."""
    at = seconds(decision.at)
    return (
        decision.state in {DecisionState.ACCEPTED, DecisionState.REJECTED}
        and decision.by == binding.spec.target
        and decision.initiator_uid == standing.initiator_uid
        and at is not None
        and now - at < _NEWS_SECONDS
    )


def _answer(binding: PodBinding, decision: BindingDecision) -> Notice:
    name, target = quoted(binding.metadata.name), quoted(binding.spec.target)
    if decision.state is DecisionState.ACCEPTED:
        scopes = ", ".join(decision.scopes)
        text = f"[agentsmesh] Pod {target} has accepted binding {name}: you have {scopes} on it."
    else:
        why = f" Its reason: {quoted(decision.reason)}" if decision.reason else ""
        text = f"[agentsmesh] Pod {target} has rejected binding {name}.{why}"
    key = _key(binding, decision.state, decision.at, ",".join(decision.scopes))
    return Notice(decision.initiator_uid, decision.target_uid, asked=False, text=text, key=key)


def _key(binding: PodBinding, *parts: str) -> str:
    text = "/".join((binding.metadata.uid, *parts))
    return f"binding-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
