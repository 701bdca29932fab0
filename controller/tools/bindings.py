"""The six tools about bindings: who may use whose terminal."""

from collections.abc import Iterable
from typing import Final

from controller.bindings.rules import is_initiator, ordered
from controller.kernel.clock import stamp
from controller.services.authoriser import Authoriser
from controller.services.bindings import Bindings, Bound
from controller.tools.call import Caller, Handler, ToolError
from schemas.names import BindingState, Scope
from schemas.tools.binding import (
    AcceptBinding,
    BindPod,
    BoundPod,
    BoundPods,
    GetBindings,
    GetBoundPods,
    RejectBinding,
    UnbindPod,
    Unbound,
)
from schemas.tools.binding import Binding as Told
from schemas.tools.binding import Bindings as AllTold

_OUTGOING: Final = "outgoing"
_INCOMING: Final = "incoming"
_PLAIN: Final = frozenset({"Declared", "Accepted", "Pending"})
"""Why a binding stands where it does, where its status says it already."""


class BindingTools:
    """Asks for, answers, ends and lists bindings of the caller."""

    def __init__(self, authoriser: Authoriser, bindings: Bindings) -> None:
        self._authoriser = authoriser
        self._bindings = bindings

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by tool."""
        return {
            "bind_pod": self.bind_pod,
            "accept_binding": self.accept_binding,
            "reject_binding": self.reject_binding,
            "unbind_pod": self.unbind_pod,
            "get_bindings": self.get_bindings,
            "get_bound_pods": self.get_bound_pods,
        }

    async def bind_pod(self, caller: Caller, arguments: BindPod) -> Told:
        """Ask for the scopes and return the binding; those granted already are not asked for."""
        if arguments.target_pod == caller.name:
            raise ToolError("InvalidArgument", "target_pod is you: you need no binding to yourself")
        target = self._authoriser.living(caller, arguments.target_pod)
        return told(await self._bindings.request(caller.pod, target, arguments.scopes))

    async def accept_binding(self, caller: Caller, arguments: AcceptBinding) -> Told:
        """Grant what the initiator asks for."""
        return told(await self._bindings.accept(caller.pod, arguments.binding_id))

    async def reject_binding(self, caller: Caller, arguments: RejectBinding) -> Told:
        """Refuse what the initiator asks for."""
        found = await self._bindings.reject(caller.pod, arguments.binding_id, arguments.reason)
        return told(found)

    async def unbind_pod(self, caller: Caller, arguments: UnbindPod) -> Unbound:
        """End the bindings between the two, whoever asked for them."""
        if arguments.target_pod == caller.name:
            raise ToolError("InvalidArgument", "target_pod is you: name the other pod")
        other = self._authoriser.pod(caller, arguments.target_pod)
        ended = await self._bindings.unbind(caller.pod, other)
        return Unbound(target_pod=arguments.target_pod, ended=ended)

    async def get_bindings(self, caller: Caller, arguments: GetBindings) -> AllTold:
        """List the caller's bindings, the newest first."""
        found = self._bindings.of(caller.pod)
        return AllTold(
            bindings=tuple(
                told(each)
                for each in found
                if arguments.status in {None, each.standing.state}
                or (arguments.status is BindingState.PENDING and each.standing.pending)
            )
        )

    async def get_bound_pods(self, caller: Caller, arguments: GetBoundPods) -> BoundPods:
        """List the pods at the other end of active bindings, outgoing ones first, by name."""
        del arguments
        held: dict[tuple[str, str], set[Scope]] = {}
        for each in self._bindings.of(caller.pod):
            spec = each.binding.spec
            outgoing = is_initiator(each.binding, caller.pod)
            end = (_OUTGOING, spec.target) if outgoing else (_INCOMING, spec.initiator)
            held.setdefault(end, set()).update(each.standing.granted)
        listed = sorted(held.items(), key=lambda item: (item[0][0] != _OUTGOING, item[0][1]))
        return BoundPods(pods=tuple(_bound(end, scopes) for end, scopes in listed if scopes))


def told(bound: Bound) -> Told:
    """Return the binding as agents see it."""
    binding, now = bound.binding, bound.standing
    return Told(
        binding_id=binding.metadata.name,
        initiator_pod=binding.spec.initiator,
        target_pod=binding.spec.target,
        granted_scopes=now.granted,
        pending_scopes=now.pending,
        status=now.state,
        reason=None if now.reason in _PLAIN else now.message,
        expires_at=stamp(now.changes_at) if now.changes_at is not None else None,
        created_at=binding.metadata.creation_timestamp,
        updated_at=bound.updated_at,
    )


def _bound(end: tuple[str, str], scopes: Iterable[Scope]) -> BoundPod:
    direction, name = end
    return BoundPod(pod_key=name, scopes=ordered(scopes), direction=direction)
