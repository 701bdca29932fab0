"""What keeps an AgentPod from being placed, in the order in which it is said. Pure."""

from collections.abc import Callable

from controller.kernel.reconciler import Finding
from controller.placement import options
from controller.placement.resolve import mentions, permission_arguments
from controller.reconcilers.agentpod.snapshot import Ingredients
from controller.tickets.claims import owns
from controller.tickets.runs import unnoted, unwanted
from schemas.agentclass import PromptPosition
from schemas.agentpod import AgentPod, Claim, DesiredState, Network
from schemas.base import ConditionStatus
from schemas.conditions import READY, find

_NAMED_CLASSES = 10

Check = Callable[[AgentPod, Ingredients], Finding | None]


def organization_missing(pod: AgentPod, world: Ingredients) -> Finding | None:
    """The namespace belongs to no organization."""
    if world.organization is not None and not world.organization.metadata.deleting:
        return None
    namespace = pod.metadata.namespace
    return Finding(
        "OrganizationNotFound",
        f"namespace {namespace} belongs to no Organization: create one, or use its namespace",
    )


def organization_not_ready(_: AgentPod, world: Ingredients) -> Finding | None:
    """The organization does not have its namespace."""
    if world.organization is None:
        return None
    ready = find(world.organization.status.conditions, READY)
    if ready is None or ready.status is not ConditionStatus.FALSE:
        return None
    name = world.organization.metadata.name
    return Finding("OrganizationNotReady", f"Organization {name} is not ready: {ready.message}")


def organization_suspended(_: AgentPod, world: Ingredients) -> Finding | None:
    """Nothing is placed in the organization."""
    if world.organization is None or not world.organization.spec.suspend:
        return None
    name = world.organization.metadata.name
    return Finding("Suspended", f"organization {name} is suspended: set its spec.suspend to false")


def suspended(pod: AgentPod, _: Ingredients) -> Finding | None:
    """The pod is not to be placed."""
    if not pod.spec.suspend:
        return None
    return Finding("Suspended", "spec.suspend is true: set it to false to have the pod placed")


def stopped(pod: AgentPod, _: Ingredients) -> Finding | None:
    """The pod is not to run."""
    if pod.spec.desired_state is not DesiredState.STOPPED:
        return None
    return Finding("Stopped", "spec.desiredState is Stopped: set it to Running to have it placed")


def class_missing(pod: AgentPod, world: Ingredients) -> Finding | None:
    """The class does not exist (yet)."""
    if world.agent is not None:
        return None
    names = list(world.available)
    shown = ", ".join(names[:_NAMED_CLASSES]) + (" …" if len(names) > _NAMED_CLASSES else "")
    there = f"available: {shown}" if names else "there is none yet"
    return Finding(
        "AgentClassNotFound",
        f"agentClassName: there is no AgentClass {pod.spec.agent_class_name!r} ({there})",
    )


def class_not_ready(pod: AgentPod, world: Ingredients) -> Finding | None:
    """The class is known to be wrong."""
    ready = find(world.agent.status.conditions, READY) if world.agent else None
    if ready is None or ready.status is not ConditionStatus.FALSE:
        return None
    name = pod.spec.agent_class_name
    return Finding("AgentClassNotReady", f"AgentClass {name} is not ready: {ready.message}")


def repository_missing(pod: AgentPod, world: Ingredients) -> Finding | None:
    """The repository does not exist (yet)."""
    use = pod.spec.repository_ref
    if use is None or world.repository is not None:
        return None
    where = f"{use.name!r} in namespace {pod.metadata.namespace}"
    return Finding(
        "RepositoryNotFound", f"repositoryRef.name: there is no Repository {where}: create it"
    )


def repository_not_ready(_: AgentPod, world: Ingredients) -> Finding | None:
    """The repository has not been checked, or is known to be wrong."""
    if world.repository is None:
        return None
    name = world.repository.metadata.name
    ready = find(world.repository.status.conditions, READY)
    if ready is None:
        return Finding("RepositoryNotReady", f"Repository {name} has not been checked yet")
    if ready.status is ConditionStatus.TRUE:
        return None
    return Finding("RepositoryNotReady", f"Repository {name} is not ready: {ready.message}")


def ticket_missing(pod: AgentPod, world: Ingredients) -> Finding | None:
    """The ticket does not exist (yet): what it says is in the first prompt."""
    use = pod.spec.ticket_ref
    if use is None or (world.ticket is not None and not world.ticket.metadata.deleting):
        return None
    where = f"{use.name!r} in namespace {pod.metadata.namespace}"
    return Finding("TicketNotFound", f"ticketRef.name: there is no Ticket {where}: create it")


def ticket_moved(pod: AgentPod, world: Ingredients) -> Finding | None:
    """The ticket that started the pod wants none any more: it will be deleted."""
    if world.ticket is None or not (why := unwanted(pod, world.ticket)):
        return None
    name = world.ticket.metadata.name
    return Finding(
        "TicketChanged",
        f"Ticket {name} started the pod, and {why}: the pod is not placed and will be deleted",
    )


def ticket_unready(pod: AgentPod, world: Ingredients) -> Finding | None:
    """The ticket that started the pod has not noted yet that it is there."""
    if world.ticket is None or not unnoted(pod, world.ticket):
        return None
    name = world.ticket.metadata.name
    return Finding("TicketUnclaimed", f"Ticket {name} is about to note that the pod is there")


def ticket_claimed(pod: AgentPod, world: Ingredients) -> Finding | None:
    """The ticket is another pod's, or it is not known yet whose it is.

    Only who insists on its being theirs waits for another pod.
    """
    use, ticket = pod.spec.ticket_ref, world.ticket
    if use is None or ticket is None or use.claim is Claim.NEVER or owns(pod, ticket):
        return None
    claim = ticket.status.claim
    if claim is None:
        name = ticket.metadata.name
        return Finding("TicketUnclaimed", f"Ticket {name} is not the pod's yet: it will be soon")
    if use.claim is Claim.IF_FREE:
        return None
    return Finding(
        "TicketClaimed",
        f"ticketRef.claim is Required and Ticket {ticket.metadata.name} is pod {claim.pod_name}'s: "
        "it waits until that one has ended",
    )


def keys_unsupported(pod: AgentPod, _: Ingredients) -> Finding | None:
    """Provider keys do not exist in this release."""
    if not pod.spec.provider_key_refs:
        return None
    return Finding(
        "NotSupported",
        "providerKeyRefs: this release has no provider keys; remove them, and let the agent use "
        "what is configured on its runner",
        stalled=True,
    )


def allowlist_unsupported(pod: AgentPod, _: Ingredients) -> Finding | None:
    """The network allowlist does not exist in this release."""
    if pod.spec.sandbox.network is not Network.ALLOWLIST:
        return None
    return Finding(
        "NotSupported",
        "sandbox.network: this release has no allowlist; use host or none",
        stalled=True,
    )


def prompt_unusable(pod: AgentPod, world: Ingredients) -> Finding | None:
    """The class takes no prompt, and the pod has one."""
    if world.agent is None or not pod.spec.prompt:
        return None
    if world.agent.spec.prompt.position is not PromptPosition.NONE:
        return None
    name = pod.spec.agent_class_name
    return Finding(
        "PromptInvalid",
        f"prompt: AgentClass {name} takes no prompt (prompt.position is none); remove it",
        stalled=True,
    )


def permission_mode_unknown(pod: AgentPod, world: Ingredients) -> Finding | None:
    """The class does not say how the agent is put into that mode."""
    mode = pod.spec.permission_mode
    if mode is None or world.agent is None:
        return None
    if permission_arguments(world.agent.spec, mode) is not None:
        return None
    return Finding(
        "PermissionModeNotSupported",
        f"permissionMode: AgentClass {pod.spec.agent_class_name} has no permissionModes.{mode}; "
        "remove it, or use a class that has",
        stalled=True,
    )


def model_unusable(pod: AgentPod, world: Ingredients) -> Finding | None:
    """The class does not say how the agent is told its model."""
    if not pod.spec.model or world.agent is None:
        return None
    style = world.agent.spec.model
    if style is not None and style.flag and pod.spec.model.startswith("-"):
        return Finding(
            "ModelNotSupported",
            "model: it must not begin with -, the agent would take it for a flag",
            stalled=True,
        )
    if style is not None and (style.flag or style.env):
        return None
    if mentions(world.agent.spec, "MODEL"):
        return None
    return Finding(
        "ModelNotSupported",
        f"model: AgentClass {pod.spec.agent_class_name} takes no model (it has neither model nor "
        "$(MODEL)); remove it, or use a class that does",
        stalled=True,
    )


def config_unfit(pod: AgentPod, world: Ingredients) -> Finding | None:
    """A value is for no option of the class, or none that the option takes."""
    if world.agent is None:
        return None
    why = options.unfit(world.agent.spec, pod.spec.config)
    if why is None:
        return None
    name = pod.spec.agent_class_name
    return Finding(
        "InvalidConfig",
        f"config: {why} (spec.options of AgentClass {name})",
        stalled=True,
    )


FIT: tuple[Check, ...] = (
    prompt_unusable,
    permission_mode_unknown,
    model_unusable,
    config_unfit,
)
"""Whether the pod's wishes fit its class: a person, or the pod that makes it, must mend them."""

MENDED: tuple[Check, ...] = (
    class_missing,
    class_not_ready,
    repository_missing,
    repository_not_ready,
    *FIT,
)
"""What keeps a pod from every runner until somebody mends the pod, or what it names."""

TICKET: tuple[Check, ...] = (ticket_missing, ticket_moved, ticket_unready, ticket_claimed)
"""Whether the ticket that it is to work on lets it begin."""

CHECKS: tuple[Check, ...] = (
    organization_missing,
    organization_not_ready,
    organization_suspended,
    suspended,
    stopped,
    class_missing,
    class_not_ready,
    repository_missing,
    repository_not_ready,
    keys_unsupported,
    allowlist_unsupported,
    *FIT,
    *TICKET,
)
"""What a person must see first stands first: without a class its rules mean nothing."""


AGAIN: tuple[Check, ...] = (
    organization_missing,
    organization_not_ready,
    organization_suspended,
    suspended,
    class_missing,
    repository_missing,
)
"""What keeps a pod that was stopped from being started again."""


def first(pod: AgentPod, world: Ingredients, checks: tuple[Check, ...] = CHECKS) -> Finding | None:
    """Return the first thing that keeps the pod from being placed, None if nothing does."""
    for check in checks:
        if (finding := check(pod, world)) is not None:
            return finding
    return None
