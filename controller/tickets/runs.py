"""Pods that tickets start by themselves: for which ticket, by which rule, how many. Pure.

A run costs money, so everything is counted before it is made, and nothing starts without end: a
ticket has its attempts, which only a person's change of its state gives anew, a pause between them
that grows, and a number of pods that it never gets beyond.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from controller.kernel.clock import seconds
from controller.kernel.reconciler import Finding
from controller.tickets.attempts import recounted
from controller.tickets.claims import over
from controller.tickets.depth import depth_of, is_run
from schemas.agentpod import AgentPod, Claim
from schemas.gitsource import GitSource, SourcedKind
from schemas.names import (
    AGENT_POD,
    ANNOTATION_AUTO_RUN_SOURCE,
    ANNOTATION_DEPTH,
    FIELD_MANAGER,
    LABEL_AUTO_RUN,
    LABEL_MANAGED_BY,
    LABEL_SOURCE,
    LABEL_TICKET,
)
from schemas.ticket import Ticket, TicketPriority, TicketRun, TicketState

OWN: Final = "ticket"
"""Value of the label where the ticket itself asks for the run."""
MOST_PODS: Final = 50
"""Pods that are started for one ticket at all, unless it allows more attempts."""
_FIRST_PAUSE_SECONDS: Final = 10.0
_LAST_PAUSE_SECONDS: Final = 3600.0
_NAME_LENGTH: Final = 63
_DIGEST_LENGTH: Final = 8
_NAMED: Final = 4
_URGENCY: Final = {priority: rank for rank, priority in enumerate(TicketPriority)}


@dataclass(frozen=True, slots=True)
class Rule:
    """What starts a pod for a ticket."""

    run: TicketRun
    states: frozenset[TicketState]
    name: str = ""
    """Of the rule; empty: the ticket's own wish."""
    source: str = ""
    """The GitSource that has the rule."""
    most: int | None = None
    """Pods of the rule at once; None: as many as the organization allows."""
    refused: str = ""
    """Why the ticket may not ask for a pod itself; empty: it may."""

    @property
    def label(self) -> str:
        """What its pods are labelled with."""
        return self.name or OWN


@dataclass(frozen=True, slots=True)
class Limits:
    """How many pods there may be."""

    at_once: int
    """Started by tickets, in the organization."""
    pods: int | None = None
    """Of the organization, whatever their state; None: not limited."""
    running: int | None = None
    """Of the organization, placed and not ended."""
    depth: int | None = None
    """Pods between a person and a pod."""


@dataclass(frozen=True, slots=True)
class There:
    """The pods that there are in the organization."""

    pods: int = 0
    running: int = 0
    """Placed and not ended, or started by a ticket and on their way there."""
    started: int = 0
    """Started by tickets, and not over."""
    by_rule: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The same by (GitSource, label)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A ticket for which a pod may be started."""

    ticket: Ticket
    rule: Rule


def origin_of(ticket: Ticket) -> str:
    """Return the name of the GitSource that the ticket comes from, empty if it comes from none.

    Its label is there from the beginning, its status follows.
    """
    origin = ticket.status.source
    return ticket.metadata.labels.get(LABEL_SOURCE) or (origin.name if origin else "")


def rule_of(ticket: Ticket, source: GitSource | None) -> Rule | None:
    """Return what starts pods for the ticket, None if nothing does.

    *source*: the GitSource that it comes from. Its first rule that fits counts, if the ticket does
    not say for itself; a source that is suspended starts nothing.
    """
    if source is not None and (source.spec.suspend or source.metadata.deleting):
        return None
    own = ticket.spec.auto_run
    if own is not None:
        return Rule(own, frozenset({TicketState.TODO}), refused=_own_refused(source))
    if source is None:
        return None
    labels = set(ticket.spec.labels)
    for rule in source.spec.auto_run:
        if set(rule.labels) <= labels and ticket.spec.state in rule.states:
            return Rule(
                rule,
                frozenset(rule.states),
                rule.name,
                source.metadata.name,
                rule.max_concurrent,
            )
    return None


def _own_refused(source: GitSource | None) -> str:
    """Return why tickets of the source ask for no pods: who may write them makes no AgentPods."""
    if source is None or SourcedKind.AGENT_POD in source.spec.kinds:
        return ""
    return (
        f"GitSource {source.metadata.name} makes no AgentPods (spec.kinds): the autoRun of its"
        " tickets does not count, only its own rules do"
    )


def obstacle(
    wish: Wish, blockers: Sequence[str], pods: Iterable[AgentPod], now: float
) -> Finding | None:
    """Return why no pod is started for the ticket, by what is known of it alone.

    *blockers*: tickets that it waits for. *pods*: those that name it.
    """
    ticket, rule = wish.ticket, wish.rule
    runs, claim = ticket.status.runs, ticket.status.claim
    if rule.refused:
        return Finding("NotAllowed", rule.refused, stalled=True)
    if ticket.spec.state not in rule.states:
        return Finding("State", f"it is {ticket.spec.state}")
    if blockers:
        return Finding("Blocked", f"it waits for {_named(blockers)}")
    if claim is not None:
        return Finding("Claimed", f"pod {claim.pod_name} has it")
    at_work = [pod for pod in pods if is_run(pod, ticket.metadata.name) and not over(pod)]
    if at_work:
        return Finding("Claimed", f"pod {at_work[0].metadata.name} was started for it")
    attempts, total = (runs.attempts, runs.total) if runs is not None else (0, 0)
    if again := recounted(ticket):
        attempts = again[0]
    most = rule.run.max_attempts
    if attempts >= most:
        text = f"{attempts} of {most} attempts were made: changing its state gives it new ones"
        return Finding("AttemptsUsed", text, stalled=True)
    if total >= max(MOST_PODS, most):
        text = f"{total} pods were started for it, more are not: make a new ticket"
        return Finding("TooManyRuns", text, stalled=True)
    if pause_seconds(ticket, attempts, now) > 0:
        return Finding("BackOff", "the next attempt follows after a pause")
    return None


def pause_seconds(ticket: Ticket, attempts: int, now: float) -> float:
    """Return how long to wait before a further attempt; 0: it may be made, or is the first."""
    runs = ticket.status.runs
    began = seconds(runs.started_at) if runs is not None else None
    if began is None or attempts == 0:
        return 0.0
    pause = min(_LAST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 16))
    return max(0.0, min(began + pause - now, pause))  # the clock may have been set back


def there(pods: Iterable[AgentPod], count: int, running: int) -> There:
    """Return what counts against the limits.

    *pods*: those of the organization that tickets started. *count*: all of its pods. *running*:
    those placed and not ended.
    """
    alive = [pod for pod in pods if not over(pod)]
    coming = sum(pod.status.placement is None for pod in alive)
    by_rule = Counter(_rule_of(pod) for pod in alive)
    return There(count, running + coming, len(alive), by_rule)


def chosen(
    wishes: Iterable[Wish],
    limits: Limits,
    now_there: There,
    unfit: Callable[[Wish], Finding | None],
) -> tuple[list[Wish], dict[str, Finding]]:
    """Return for which a pod is started, in order, and by uid why not for the others.

    The most urgent first, then the oldest. One that has no room holds up only those of its rule,
    and one that is *unfit* nobody.
    """
    starts: list[Wish] = []
    waits: dict[str, Finding] = {}
    used = Counter(now_there.by_rule)
    everywhere = _full(limits, now_there, 0)
    for wish in sorted(wishes, key=_precedence):
        full = _too_deep(wish.ticket, limits) or unfit(wish) or everywhere
        full = full or _full_of_rule(wish.rule, used)
        if full is not None:
            waits[wish.ticket.metadata.uid] = full
            continue
        used[wish.rule.source, wish.rule.label] += 1
        starts.append(wish)
        everywhere = _full(limits, now_there, len(starts))
    return starts, waits


def _too_deep(ticket: Ticket, limits: Limits) -> Finding | None:
    """Return that a pod asked for the run that may not make pods itself."""
    if limits.depth is None or depth_of(ticket) <= limits.depth:
        return None
    text = f"a pod asked for it, and pods make pods to a depth of {limits.depth} (spec.podDepth)"
    return Finding("TooDeep", f"{text}: a person must change its state", stalled=True)


def _full_of_rule(rule: Rule, used: Counter[tuple[str, str]]) -> Finding | None:
    """Return that there is no room for a further pod of the rule."""
    if rule.most is None or used[rule.source, rule.label] < rule.most:
        return None
    text = f"{rule.most} pods of rule {rule.name} are there (maxConcurrent)"
    return Finding("WaitsForRoom", f"{text}: it waits until one ends")


def _full(limits: Limits, now_there: There, more: int) -> Finding | None:
    """Return that there is no room in the organization for a pod beside so many *more*."""
    if now_there.started + more >= limits.at_once:
        text = f"{limits.at_once} pods of tickets are there (spec.tickets.maxConcurrentRuns)"
        also = "those that wait for a runner count (kubectl get tickets: WAITS)"
        return Finding("WaitsForRoom", f"{text}: it waits until one ends; {also}")
    for limit, has, name in (
        (limits.pods, now_there.pods, "agentPods"),
        (limits.running, now_there.running, "runningAgentPods"),
    ):
        if limit is not None and has + more >= limit:
            text = f"the organization has as many pods as it may: quota.{name} is {limit}"
            return Finding("QuotaExceeded", text)
    return None


def pod_name(ticket: str, number: int) -> str:
    """Return the name of the ticket's pod of that *number*: making it twice makes one.

    Names too long for a pod are cut and made unique by a hash of the whole one.
    """
    suffix = f"-run-{number}"
    if len(ticket) + len(suffix) <= _NAME_LENGTH:
        return ticket + suffix
    digest = hashlib.sha256(ticket.encode()).hexdigest()[:_DIGEST_LENGTH]
    stem = ticket[: _NAME_LENGTH - len(suffix) - _DIGEST_LENGTH - 1].rstrip("-")
    return f"{stem}-{digest}{suffix}"


def manifest(wish: Wish, number: int) -> dict[str, Any]:
    """Return the AgentPod that works on the ticket."""
    ticket, run = wish.ticket, wish.rule.run
    spec: dict[str, Any] = {
        "agentClassName": run.agent_class_name,
        "ticketRef": {"name": ticket.metadata.name, "claim": str(Claim.REQUIRED)},
    }
    if run.repository_ref is not None:
        spec["repositoryRef"] = run.repository_ref.manifest()
    elif ticket.spec.repository_ref is not None:
        spec["repositoryRef"] = ticket.spec.repository_ref.manifest()
    given = {
        "model": run.model,
        "permissionMode": run.permission_mode,
        "prompt": run.prompt,
        "activeDeadlineSeconds": run.active_deadline_seconds,
        "idleTimeoutSeconds": run.idle_timeout_seconds,
        "ttlSecondsAfterFinished": run.ttl_seconds_after_finished,
    }
    spec |= {name: value for name, value in given.items() if value is not None}
    labels = {
        LABEL_TICKET: ticket.metadata.name,
        LABEL_AUTO_RUN: wish.rule.label,
        LABEL_MANAGED_BY: FIELD_MANAGER,
    }
    annotations = {ANNOTATION_AUTO_RUN_SOURCE: wish.rule.source} if wish.rule.source else {}
    if deep := depth_of(ticket):
        annotations[ANNOTATION_DEPTH] = str(deep)
    return {
        "apiVersion": AGENT_POD.api_version,
        "kind": AGENT_POD.kind,
        "metadata": {
            "name": pod_name(ticket.metadata.name, number),
            "namespace": ticket.metadata.namespace,
            "labels": labels,
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": spec,
    }


def unwanted(pod: AgentPod, ticket: Ticket) -> str:
    """Return why a pod that the ticket started is not to begin any more; empty: it may."""
    if not is_run(pod, ticket.metadata.name):
        return ""
    runs, state = ticket.status.runs, ticket.spec.state
    if state in {TicketState.DONE, TicketState.CANCELED}:
        return f"it is {state}"
    if runs is not None and runs.state is not None and state != runs.state:
        return f"it is {state} by now"
    return ""


def unnoted(pod: AgentPod, ticket: Ticket) -> bool:
    """Whether the ticket does not know yet that the pod, which it has counted, was made.

    Until then the pod may be made once more, should it go: it must not have begun.
    """
    runs = ticket.status.runs
    mine = runs is not None and runs.starting and runs.last_pod == pod.metadata.name
    return bool(mine) and is_run(pod, ticket.metadata.name)


def pointless(pod: AgentPod, ticket: Ticket) -> bool:
    """Whether a pod that the ticket started has not begun, and is not to begin any more."""
    if pod.status.placement is not None or pod.metadata.deleting:
        return False
    claim = ticket.status.claim
    taken = claim is not None and claim.pod_uid != pod.metadata.uid
    return bool(unwanted(pod, ticket)) or (taken and is_run(pod, ticket.metadata.name))


def _rule_of(pod: AgentPod) -> tuple[str, str]:
    meta = pod.metadata
    source = meta.annotations.get(ANNOTATION_AUTO_RUN_SOURCE, "")
    return source, meta.labels.get(LABEL_AUTO_RUN, OWN)


def _precedence(wish: Wish) -> tuple[int, str, str]:
    meta = wish.ticket.metadata
    return _URGENCY[wish.ticket.spec.priority], meta.creation_timestamp, meta.name


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
