"""Which episodes of a pod's life are worth a notification, and what it says. Pure.

An episode is told by its pod, its kind and when it began, which are in the status on record: so a
controller that begins anew makes the same notification, with the same id, and not another one.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from controller.kernel.clock import seconds, stamp
from controller.kernel.redact import redact
from controller.store.notification_rows import Notification
from schemas.agentpod import AgentPod
from schemas.agentpod_status import PodPhase
from schemas.conditions import TRUE, find
from schemas.organization import NotificationEvent, Organization, Webhook

STALE_SECONDS: Final = 24 * 3600.0
"""What began longer ago is not told any more."""

_STUCK: Final = "Stuck"
_AS_WANTED: Final = "Stopped"
"""Reason of an end that a person asked for: they know, and it may go on."""

_EVIDENCE_CHARACTERS: Final = 1024

_PHASES: Final = {
    PodPhase.FAILED: NotificationEvent.FAILED,
    PodPhase.SUCCEEDED: NotificationEvent.SUCCEEDED,
}
ENDINGS: Final = frozenset(_PHASES.values())


@dataclass(frozen=True, slots=True)
class Episode:
    """Something that happens to a pod now, or by which it ended."""

    event: NotificationEvent
    at: str
    """When it began, as in the status."""
    evidence: str = ""
    """One sentence; never what stands in the terminal."""
    reason: str = ""
    exit_code: int | None = None


def episodes(pod: AgentPod) -> tuple[Episode, ...]:
    """Return what holds of the pod by its status on record."""
    return tuple(_episodes(pod))


def is_stale(episode: Episode, now: float) -> bool:
    """Whether it began so long ago that nobody wants to be told any more."""
    at = seconds(episode.at)
    return at is None or now - at > STALE_SECONDS


def notification(
    organization: Organization, webhook: Webhook, pod: AgentPod, episode: Episode
) -> Notification:
    """Return what the webhook is told of the episode: the same each time."""
    seed = "/".join((pod.metadata.uid, episode.event, episode.at, webhook.name))
    seed = f"{organization.metadata.uid}/{seed}"
    number = hashlib.sha256(seed.encode()).hexdigest()[:32]
    return Notification(
        notification_id=number,
        organization=organization.metadata.name,
        webhook=webhook.name,
        event=episode.event,
        body=json.dumps(_body(number, organization, pod, episode), separators=(",", ":")),
    )


def _episodes(pod: AgentPod) -> Iterator[Episode]:
    status = pod.status
    if status.activity == "waiting" and status.activity_since:
        evidence = redact(status.activity_evidence or "", _EVIDENCE_CHARACTERS)
        yield Episode(NotificationEvent.WAITING, status.activity_since, evidence)
    stuck = find(status.conditions, _STUCK)
    if stuck is not None and stuck.status == TRUE:
        evidence = redact(stuck.message, _EVIDENCE_CHARACTERS)
        yield Episode(NotificationEvent.STUCK, stuck.last_transition_time, evidence, stuck.reason)
    ended = _PHASES.get(status.phase) if status.phase is not None else None
    if ended is not None and not (status.observed and status.observed.reason == _AS_WANTED):
        yield _ending(pod, ended)


def _ending(pod: AgentPod, event: NotificationEvent) -> Episode:
    seen = pod.status.observed
    completed = find(pod.status.conditions, "Completed")
    at = (seen.finished_at if seen else None) or (
        completed.last_transition_time if completed else stamp(0)
    )
    return Episode(
        event,
        at,
        redact(completed.message, _EVIDENCE_CHARACTERS) if completed else "",
        (seen.reason if seen else None) or "",
        seen.exit_code if seen else None,
    )


def _body(
    number: str, organization: Organization, pod: AgentPod, episode: Episode
) -> dict[str, Any]:
    placement = pod.status.placement
    return {
        "id": number,
        "event": episode.event,
        "at": episode.at,
        "organization": organization.metadata.name,
        "namespace": pod.metadata.namespace,
        "pod": pod.metadata.name,
        "uid": pod.metadata.uid,
        "agentClassName": pod.spec.agent_class_name,
        "runner": placement.runner_name if placement else None,
        "evidence": episode.evidence,
        "reason": episode.reason or None,
        "exitCode": episode.exit_code,
    }
