"""Tools by which a pod asks for, grants and ends rights on another pod's terminal."""

from typing import Annotated

from pydantic import Field

from schemas.names import BindingState, Scope
from schemas.tools.base import Arguments, Category, Key, Result, Time, Tool


class BindPod(Arguments):
    """Whom to be bound to, and for what."""

    target_pod: Key
    """Name of the pod."""
    scopes: Annotated[
        tuple[Annotated[Scope, Field(strict=False)], ...],
        Field(min_length=1, max_length=2, strict=False),
    ]
    """terminal:read to observe, terminal:write to type."""


class Binding(Result):
    """A binding: rights of the initiator on the target, not the other way round."""

    binding_id: str
    initiator_pod: str
    target_pod: str
    granted_scopes: tuple[Scope, ...]
    pending_scopes: tuple[Scope, ...]
    """Asked for and not yet granted."""
    status: BindingState
    reason: str | None = None
    """Why it was rejected or ended."""
    expires_at: Time | None = None
    created_at: Time
    updated_at: Time


class AcceptBinding(Arguments):
    """Which binding."""

    binding_id: Key
    """As the request said it."""


class RejectBinding(Arguments):
    """Which binding, and why."""

    binding_id: Key
    """As the request said it."""
    reason: Annotated[str, Field(max_length=500)] | None = None
    """The initiator sees it."""


class UnbindPod(Arguments):
    """From whom."""

    target_pod: Key
    """Name of the other pod, whichever side asked."""


class Unbound(Result):
    """What was ended."""

    target_pod: str
    ended: int
    """Bindings ended, in both directions."""


class GetBindings(Arguments):
    """Which bindings."""

    status: Annotated[BindingState, Field(strict=False)] | None = None
    """Only those in this state; pending: also active ones for which more was asked."""


class Bindings(Result):
    """The caller's bindings, in both directions."""

    bindings: tuple[Binding, ...]


class GetBoundPods(Arguments):
    """Nothing to say."""


class BoundPod(Result):
    """A pod with which there is an active binding."""

    pod_key: str
    scopes: tuple[Scope, ...]
    direction: str
    """outgoing: the caller may use its terminal. incoming: it may use the caller's."""


class BoundPods(Result):
    """The pods with which there is an active binding."""

    pods: tuple[BoundPod, ...]


TOOLS = (
    Tool(
        "bind_pod",
        Category.BINDING,
        "Ask for rights on another pod's terminal. Pods made by the same pod are bound at once; "
        "else the target is told and must accept within 24 hours. Ask again for more scopes.",
        BindPod,
        Binding,
    ),
    Tool(
        "accept_binding",
        Category.BINDING,
        "Grant a pending binding in which you are the target.",
        AcceptBinding,
        Binding,
    ),
    Tool(
        "reject_binding",
        Category.BINDING,
        "Refuse a pending binding in which you are the target.",
        RejectBinding,
        Binding,
    ),
    Tool(
        "unbind_pod",
        Category.BINDING,
        "End all bindings between you and another pod, from either side, at once.",
        UnbindPod,
        Unbound,
    ),
    Tool(
        "get_bindings",
        Category.BINDING,
        "List your bindings, in both directions.",
        GetBindings,
        Bindings,
        read_only=True,
    ),
    Tool(
        "get_bound_pods",
        Category.BINDING,
        "List the pods that you are bound to or that are bound to you.",
        GetBoundPods,
        BoundPods,
        read_only=True,
    ),
)
