"""When a prompt to a pod has failed, if nothing more is heard of it. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from controller.kernel.clock import seconds
from controller.placement.desired import ended
from controller.store.records import Delivery, DeliveryState
from schemas.agentpod import AgentPod, RestartPolicy

TAKES_NO_PROMPTS: Final = "TakesNoPrompts"
"""The reason of what is not typed because the pod's class does not say that it reads prompts."""

_QUEUED_GRACE: Final = timedelta(seconds=60)
"""The runner's own word on a prompt that it gave up has so long to come."""
_ACCEPTED_GRACE: Final = timedelta(seconds=600)
"""The same where the runner is known to have it."""
_ENDED_GRACE: Final = timedelta(seconds=10)
"""The end of an agent may be heard of before the prompt that it took last."""


class Failure(NamedTuple):
    """Why a delivery has failed."""

    reason: str
    message: str


class End(NamedTuple):
    """A failure, and from when it holds."""

    at: datetime
    failure: Failure


def end(delivery: Delivery, pod: AgentPod | None, now: datetime, refusal: str = "") -> End:
    """Return when and why the delivery to *pod* (None: it is gone) fails.

    *refusal*: why the pod takes no prompts; empty: it does. What a runner has taken is its own to
    end: it may have been typed.
    """
    if pod is None:
        return End(now, over(delivery))
    if not promptable(pod) and not pod.metadata.deleting:
        seen = pod.status.observed
        at = seconds(seen.finished_at) if seen is not None else None
        return End(datetime.fromtimestamp(at or 0, UTC) + _ENDED_GRACE, over(delivery))
    if refusal and delivery.state is DeliveryState.QUEUED:
        return End(now, Failure(TAKES_NO_PROMPTS, refusal))
    who = delivery.pod_name
    if delivery.state is DeliveryState.ACCEPTED:
        why = f"the runner of pod {who} took it and does not answer: it may have been typed or not"
        return End(delivery.give_up_at + _ACCEPTED_GRACE, Failure("RunnerAway", why))
    grace = _QUEUED_GRACE if pod.status.placement is not None else timedelta()
    why = f"pod {who} was not ready for it in time"
    return End(delivery.give_up_at + grace, Failure("GaveUp", why))


def over(delivery: Delivery) -> Failure:
    """Return that the pod has ended."""
    return Failure("AgentEnded", f"pod {delivery.pod_name} has ended")


def promptable(pod: AgentPod) -> bool:
    """Whether the pod's agent is at work, or still will be: it can be given a prompt."""
    done = ended(pod) and pod.spec.restart_policy is RestartPolicy.NEVER
    return not done and not pod.metadata.deleting
