"""Tells the webhooks of organizations what happens to pods: each episode once, at least.

What is to be told is in the message store before anybody is told it, and stays there until it was:
neither a restart nor an outage loses a notification. Who was told twice, because the answer got
lost, knows it by the id.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from controller.kernel.clock import wall
from controller.kernel.store import Change, Store
from controller.kube.errors import KubeError
from controller.placement.indexes import BY_NAMESPACE
from controller.services.notification_episodes import (
    ENDINGS,
    STALE_SECONDS,
    episodes,
    is_stale,
    notification,
)
from controller.services.notification_health import Failing, Health
from controller.services.notification_requests import Objects, Requests, SecretError
from controller.services.notification_sender import Request
from controller.services.notification_turns import Turns, WebhookKey
from controller.store.errors import StoreError
from controller.store.notification_rows import Attempt, Awaiting, Notification, NotificationState
from schemas.agentpod import AgentPod
from schemas.organization import Organization, Webhook

logger = logging.getLogger(__name__)

PAUSES_SECONDS: Final = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0)
"""Before each next try of the same; the last one repeats."""

_A_TURN: Final = 20
"""So many are told to one webhook before others have their turn."""
_TURN_SECONDS: Final = 15.0
"""So long a turn lasts, and what was begun is ended."""
_RETRY_SECONDS: Final = 5.0
_PURGE_SECONDS: Final = 3600.0
_KEPT_SECONDS: Final = 7 * 24 * 3600.0
_REMEMBERED: Final = 20_000


class Queue(Protocol):
    """What is needed of ``controller.store.messages.MessageStore``."""

    async def add_notifications(self, new: list[Notification]) -> int:
        """Store those that are not there yet."""
        ...

    async def awaited_notifications(self) -> tuple[Awaiting, ...]:
        """Return every webhook that is to be told something still, and when the first is due."""
        ...

    async def due_notifications(self, to: Awaiting, limit: int) -> tuple[Notification, ...]:
        """Return what the webhook is to be told by the time ``due_at``, oldest first."""
        ...

    async def tried_notification(self, attempt: Attempt) -> None:
        """Record how a try ended."""
        ...

    async def purge_notifications(self, settled_before: datetime) -> int:
        """Delete what was settled before that time."""
        ...


class Sender(Protocol):
    """What is needed of ``controller.services.notification_sender.Sender``."""

    async def post(self, request: Request) -> str:
        """Post it; return why it did not arrive, empty if it did."""
        ...


class Notifications:
    """The service. Made when the store holds everything; ``run`` must be running."""

    def __init__(
        self,
        store: Store,
        messages: Queue,
        objects: Objects,
        sender: Sender,
        touch: Callable[[str], None],
        clock: Callable[[], float] = wall,
        pauses_seconds: Sequence[float] = PAUSES_SECONDS,
    ) -> None:
        """*touch* is called with an Organization's name when ``failing`` of it has changed."""
        self._organizations = store.of(Organization)
        self._pods = store.of(AgentPod)
        self._messages = messages
        self._requests = Requests(objects)
        self._sender = sender
        self._clock = clock
        self._pauses = pauses_seconds
        self._health = Health(touch)
        self._changed: set[str] = {pod.metadata.uid for pod in self._pods}
        self._new: list[tuple[Organization, Webhook]] = []
        """Webhooks that were not there before."""
        self._known: OrderedDict[str, None] = OrderedDict()
        """Ids that are in the store for certain."""
        self._turns = Turns()
        self._news = asyncio.Event()
        self._work = asyncio.Event()
        store.listen(AgentPod, self._pod)
        store.listen(Organization, self._organization)

    def failing(self, organization: str) -> tuple[Failing, ...]:
        """Return which webhooks of an Organization cannot be told anything."""
        return self._health.failing(organization)

    async def run(self) -> None:
        """Note episodes and tell of them until cancelled."""
        self._news.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_noting())
            tasks.create_task(self._keep_sending())
            tasks.create_task(self._keep_purging())

    # --- what happens ----------------------------------------------------------------------------

    def _pod(self, change: Change[AgentPod]) -> None:
        old, new = change.old, change.new
        if new is not None and (old is None or old.status != new.status):
            self._changed.add(new.metadata.uid)
            self._news.set()

    def _organization(self, change: Change[Organization]) -> None:
        if change.new is None:
            self._health.forget(change.subject.metadata.name)
            return
        before = change.old.spec.notifications.webhooks if change.old else ()
        names = {webhook.name for webhook in before}
        now = change.new.spec.notifications.webhooks
        if before != now:
            self._health.keep(change.new.metadata.name, {webhook.name for webhook in now})
            for each in now:
                self._turns.rest((change.new.metadata.name, each.name), 0)  # it may be mended
            self._work.set()
        self._new += [(change.new, webhook) for webhook in now if webhook.name not in names]
        if self._new:
            self._news.set()

    async def _keep_noting(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._note()
            except StoreError as exc:
                logger.warning("notifications cannot be noted", extra={"reason": str(exc)})
                await asyncio.sleep(_RETRY_SECONDS)
                self._news.set()

    async def _note(self) -> None:
        """Store what is to be told of the pods that changed, and to webhooks that are new."""
        while self._new:
            organization, webhook = self._new[0]
            await self._add(self._of_new(organization, webhook))
            self._new.pop(0)
        for uid in tuple(self._changed):
            pod = self._pods.by_uid(uid)
            if pod is not None:
                await self._add(self._of_pod(pod))
            self._changed.discard(uid)

    def _of_pod(self, pod: AgentPod) -> list[Notification]:
        organization = self._home(pod.metadata.namespace)
        if organization is None:
            return []
        now = self._clock()
        return [
            notification(organization, webhook, pod, episode)
            for episode in episodes(pod)
            if not is_stale(episode, now)
            for webhook in organization.spec.notifications.webhooks
            if episode.event in webhook.events
        ]

    def _of_new(self, organization: Organization, webhook: Webhook) -> list[Notification]:
        """Return what a new webhook is told: who waits now, but not who ended before it came."""
        found = []
        for pod in self._pods.indexed(BY_NAMESPACE, organization.namespace):
            for episode in episodes(pod):
                new = notification(organization, webhook, pod, episode)
                ended = episode.event in ENDINGS
                found.append(_skipped(new) if ended else new)
        return [each for each in found if _wants(webhook, each)]

    async def _add(self, found: list[Notification]) -> None:
        new = [each for each in found if each.notification_id not in self._known]
        if not new:
            return
        if await self._messages.add_notifications(new):
            self._work.set()
        for each in new:
            self._known[each.notification_id] = None
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _home(self, namespace: str) -> Organization | None:
        found = self._organizations.indexed(BY_NAMESPACE, namespace)
        by_age = sorted(found, key=lambda one: (one.metadata.creation_timestamp, one.metadata.name))
        return by_age[0] if by_age else None

    # --- telling ---------------------------------------------------------------------------------

    async def _keep_sending(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._work.clear()
                try:
                    pause = await self._begin(tasks)
                except StoreError as exc:
                    logger.warning("notifications cannot be read", extra={"reason": str(exc)})
                    pause = _RETRY_SECONDS
                try:
                    async with asyncio.timeout(pause):
                        await self._work.wait()
                except TimeoutError:
                    continue

    async def _begin(self, tasks: asyncio.TaskGroup) -> float | None:
        """Begin what is due; return after how many seconds something may be due again."""
        now = self._clock()
        awaited = {
            (each.organization, each.webhook): each.due_at - now
            for each in await self._messages.awaited_notifications()
        }
        self._turns.keep(awaited)
        waits = {key: max(wait, self._turns.rests_seconds(key)) for key, wait in awaited.items()}
        for key in self._turns.take(key for key, wait in waits.items() if wait <= 0):
            tasks.create_task(self._tell(key))
        return min((wait for wait in waits.values() if wait > 0), default=None)

    async def _tell(self, key: WebhookKey) -> None:
        """Tell one webhook some of what is due, in order, as long as it listens."""
        until = time.monotonic() + _TURN_SECONDS
        try:
            to = Awaiting(*key, due_at=self._clock())
            for each in await self._messages.due_notifications(to, _A_TURN):
                if not await self._try(key, each) or time.monotonic() > until:
                    break
        except StoreError as exc:
            logger.warning("a notification cannot be told", extra={"reason": str(exc)})
            self._turns.rest(key, _RETRY_SECONDS)
        except Exception:
            logger.exception("telling a webhook failed", extra={"webhook": key[1]})
            self._turns.rest(key, _RETRY_SECONDS)
        finally:
            self._turns.end(key)
            self._work.set()

    async def _try(self, key: WebhookKey, each: Notification) -> bool:
        """Tell one thing; return whether the webhook took it."""
        organization, webhook = self._found(key)
        if organization is None or webhook is None:
            await self._settle(each, NotificationState.FAILED)
            return True
        why = await self._post(organization, webhook, each)
        tries = each.attempts + 1
        if not why:
            await self._settle(each, NotificationState.DELIVERED, tries)
            self._health.told(*key)
            return True
        where = {"key": f"Organization/{key[0]}", "webhook": key[1], "reason": why}
        logger.warning("a notification did not arrive", extra=where)
        pause = self._pauses[min(tries, len(self._pauses)) - 1]
        old = self._clock() - each.created_at > STALE_SECONDS
        state = NotificationState.FAILED if old else NotificationState.QUEUED
        await self._settle(each, state, tries, self._clock() + pause)
        failures = self._health.failed(*key, why, tries)
        rest = self._pauses[min(failures, len(self._pauses)) - 1]
        self._turns.rest(key, rest)
        return False

    async def _post(self, organization: Organization, webhook: Webhook, each: Notification) -> str:
        try:
            request = await self._requests.of(organization, webhook, each)
        except SecretError as exc:
            return str(exc)
        except KubeError:
            return "its Secret cannot be read"
        return await self._sender.post(request)

    async def _settle(
        self, each: Notification, state: NotificationState, tries: int = 0, due_at: float = 0.0
    ) -> None:
        await self._messages.tried_notification(
            Attempt(each.notification_id, state, tries or each.attempts, due_at)
        )

    def _found(self, key: WebhookKey) -> tuple[Organization | None, Webhook | None]:
        organization = self._organizations.get("", key[0])
        if organization is None or organization.metadata.deleting:
            return None, None
        webhooks = organization.spec.notifications.webhooks
        return organization, next((each for each in webhooks if each.name == key[1]), None)

    async def _keep_purging(self) -> None:
        while True:
            before = datetime.fromtimestamp(self._clock() - _KEPT_SECONDS, UTC)
            try:
                await self._messages.purge_notifications(before)
            except StoreError as exc:
                logger.warning("old notifications are not purged", extra={"reason": str(exc)})
            await asyncio.sleep(_PURGE_SECONDS)


def _skipped(new: Notification) -> Notification:
    return Notification(
        new.notification_id,
        new.organization,
        new.webhook,
        new.event,
        new.body,
        NotificationState.SKIPPED,
    )


def _wants(webhook: Webhook, each: Notification) -> bool:
    return each.event in {str(event) for event in webhook.events}
