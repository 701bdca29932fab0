"""The one authoriser: what a pod may do with another pod's terminal, whoever carries it out.

Decided from the store at every call. The store has our own writes before they are answered, so what
was ended with ``unbind_pod`` is ended for the very next call.
"""

from collections.abc import Callable

from controller.bindings.rules import Standing, alive, ordered, standing
from controller.kernel.clock import wall
from controller.kernel.store import Store
from controller.placement.indexes import OF_PAIR
from controller.tools.call import Caller, ToolError
from schemas.agentpod import AgentPod
from schemas.names import BindingState, Scope
from schemas.podbinding import PodBinding


class Authoriser:
    """Knows who may look at and type into whose terminal."""

    def __init__(self, store: Store, clock: Callable[[], float] = wall) -> None:
        self._pods = store.of(AgentPod)
        self._bindings = store.of(PodBinding)
        self._clock = clock

    def scopes(self, initiator: AgentPod, target: AgentPod) -> frozenset[Scope]:
        """Return what *initiator* may do with the terminal of *target*, now.

        All scopes for itself; nothing where either has ended or is another pod of its name by now.
        """
        one, other = self._current(initiator), self._current(target)
        if one is None or other is None:
            return frozenset()
        if one.metadata.namespace != other.metadata.namespace:
            return frozenset()
        if one.metadata.uid == other.metadata.uid:
            return frozenset(Scope)
        return frozenset(scope for each in self._standings(one, other) for scope in each.granted)

    def _standings(self, initiator: AgentPod, target: AgentPod) -> list[Standing]:
        """Return where each binding of the initiator to the target stands."""
        one, other, now = initiator.metadata, target.metadata, self._clock()
        pair = (one.namespace, one.name, other.name)
        found = self._bindings.indexed(OF_PAIR, pair)
        return [standing(binding, initiator, target, now) for binding in found]

    def pod(self, caller: Caller, pod_key: str) -> AgentPod:
        """Return the pod of that name in the caller's organization, whatever its state.

        Raises:
            ToolError: NotFound, in the same words whether it exists elsewhere or nowhere.
        """
        found = self._pods.get(caller.namespace, pod_key)
        if found is None:
            raise ToolError(
                "NotFound",
                f"there is no pod {pod_key!r} in your organization: list_available_pods names "
                "those that there are",
            )
        return found

    def living(self, caller: Caller, pod_key: str) -> AgentPod:
        """Return the pod of that name in the caller's organization; it has not ended.

        Raises:
            ToolError: NotFound, NotRunning.
        """
        found = self.pod(caller, pod_key)
        if not alive(found):
            what = "is being deleted" if found.metadata.deleting else "has ended"
            raise ToolError(
                "NotRunning",
                f"pod {pod_key} {what}: list_available_pods names those that are there",
            )
        return found

    def target(self, caller: Caller, pod_key: str, scope: Scope) -> AgentPod:
        """Return the pod whose terminal the caller may use in the way of *scope*.

        Itself always. It is placed; whether its runner answers is another matter.

        Raises:
            ToolError: NotFound, NotRunning, Forbidden.
        """
        found = self.living(caller, pod_key)
        held = self.scopes(caller.pod, found)
        if scope not in held:
            raise ToolError("Forbidden", self._missing(caller.pod, found, scope, held))
        if found.status.placement is None:
            raise ToolError(
                "NotRunning",
                f"pod {pod_key} waits for a runner and has no terminal yet: try again later",
            )
        return found

    def _missing(
        self, initiator: AgentPod, target: AgentPod, scope: Scope, held: frozenset[Scope]
    ) -> str:
        name = target.metadata.name
        have = f"you have {', '.join(ordered(held))} alone" if held else "you have no binding to it"
        lack = f"you lack {scope} on pod {name}"
        known = self._standings(initiator, target)
        if any(scope in each.pending for each in known):
            return f"{lack}: you have asked for it, and {name} has not answered yet"
        again = ""
        if any(each.state is BindingState.REJECTED for each in known):
            again = ", which rejected it before (get_bindings says why)"
        return (
            f"{lack} ({have}): ask for it with bind_pod, target_pod {name}, scopes [{scope}]{again}"
        )

    def _current(self, pod: AgentPod) -> AgentPod | None:
        """Return the pod as the store has it now, None if it has ended or is gone."""
        found = self._pods.by_uid(pod.metadata.uid)
        return found if found is not None and alive(found) else None
