"""Whether a pod that a ticket asks for could ever be placed, before it is made. Pure.

One that somebody must mend first would keep its ticket, and a place among the pods that tickets may
have at once, for as long as nobody does: the tickets of others would wait for that. Runners that
are away or full are another matter: these pods will run, and count.
"""

from collections.abc import Callable

from controller.kernel.reconciler import Finding
from controller.reconcilers.agentpod.checks import MENDED, first
from controller.reconcilers.agentpod.snapshot import Ingredients
from controller.tickets.runs import Wish, manifest
from schemas.agentpod import AgentPod

_Shape = tuple[str, str, str | None, str | None, bool]


class Fitness:
    """What is wrong with the pods of tickets, found once for all that are alike."""

    def __init__(self, world: Callable[[AgentPod], Ingredients]) -> None:
        """*world* returns what a pod refers to, as it is now."""
        self._world = world
        self._found: dict[_Shape, Finding | None] = {}

    def __call__(self, wish: Wish) -> Finding | None:
        """Return what must be mended before a pod is started for the ticket."""
        shape = _shape(wish)
        if shape not in self._found:
            pod = AgentPod.model_validate(manifest(wish, 1))
            self._found[shape] = first(pod, self._world(pod), MENDED)
        return self._found[shape]


def _shape(wish: Wish) -> _Shape:
    """Return all of the pod that the checks look at."""
    run, about = wish.rule.run, wish.ticket.spec.repository_ref
    named = run.repository_ref.name if run.repository_ref is not None else about and about.name
    mode = run.permission_mode
    return (
        run.agent_class_name,
        named or "",
        run.model,
        str(mode) if mode is not None else None,
        bool(run.prompt),
    )
