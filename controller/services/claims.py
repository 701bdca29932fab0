"""Claims of tickets: written by compare-and-swap, so that each ticket is one pod's at a time.

What a ticket's status says of its claim, of the pods that it started and of how the last one ended
is written here and nowhere else. Every answer of the API goes into the store before the caller gets
its own.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from controller.kernel.clock import stamp, wall
from controller.kernel.store import Store
from controller.kube.errors import Conflict, NotFound
from controller.rpc.ports import Objects
from controller.services.contention import attempts
from controller.tickets.attempts import wished
from controller.tickets.claims import living, made_for, owns
from controller.tickets.depth import deepened, may_run
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod, Claim
from schemas.names import AGENT_POD, TICKET
from schemas.ticket import Ticket, TicketState

Edit = Callable[[Ticket], Mapping[str, Any] | None]
"""Returns the change of the status, None if there is nothing to change. May raise."""

_WRITING_SECONDS: Final = 120.0
"""So long after a pod has asked for a state, its change is accepted, written, or will not be."""
_MANY: Final = 1000
_NO_CLAIM: Final[Mapping[str, Any]] = {"claim": None}


class Claims:
    """Who has which ticket."""

    def __init__(
        self,
        store: Store,
        kube: Objects,
        clock: Callable[[], float] = wall,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._kube = kube
        self._clock = clock
        self._ticks = ticks
        self._began = ticks()
        self._noted: dict[str, float] = {}
        """When a pod last asked for a state of a ticket, by its uid."""

    async def take(self, pod: AgentPod, ticket: Ticket) -> Ticket:
        """Make the ticket the pod's, which has asked for it with a tool; return it as it is then.

        A pod that said it only helps (``claim: Never``) gets it through, and does not have it.

        Raises:
            ToolError: Another pod that still lives has it, or the ticket is gone.
            KubeError: The API cannot be asked.
        """
        use = pod.spec.ticket_ref
        helps = use is not None and use.name == ticket.metadata.name and use.claim is Claim.NEVER

        def edit(now: Ticket) -> Mapping[str, Any] | None:
            if owns(pod, now):
                return None
            claim = now.status.claim
            if claim is not None and living(self.holder(now)):
                raise ToolError(
                    "Conflict",
                    f"pod {claim.pod_name} works on the ticket and has claimed it: agree with it, "
                    "or take another ticket",
                )
            return None if helps else self.taken(pod, now)

        return await self._for_a_pod(ticket, edit)

    async def dropped(self, pod: AgentPod, ticket: Ticket) -> Ticket:
        """Take back ``take``: the change for which the pod took the ticket was not to be.

        A pod that was made for the ticket keeps it.

        Raises:
            KubeError: The API cannot be asked.
        """

        def edit(now: Ticket) -> Mapping[str, Any] | None:
            return _NO_CLAIM if owns(pod, now) and not made_for(pod, now) else None

        return await self._for_a_pod(ticket, edit)

    async def noted(self, pod: AgentPod, ticket: Ticket, state: TicketState) -> Ticket:
        """Write down that *state*, which the ticket is about to get, is a pod's wish.

        It gives a ticket that starts pods by itself no new attempts, as a person's would, also
        where it lands after the pod's end; and a pod that is started because of it counts as made
        by *pod*.

        Raises:
            KubeError: The API cannot be asked.
        """
        self._note(ticket)

        def edit(now: Ticket) -> Mapping[str, Any] | None:
            if not may_run(now):
                return None
            change = {**wished(now, state), **_asked(pod, now)}
            return {"runs": change} if change else None

        return await self._for_a_pod(ticket, edit)

    def just_noted(self, ticket: Ticket) -> bool:
        """Whether a pod has asked for a state of the ticket so lately that it may still come.

        Right after our start that is not known.
        """
        last = self._noted.get(ticket.metadata.uid, self._began)
        return self._ticks() - last < _WRITING_SECONDS

    def holder(self, ticket: Ticket) -> AgentPod | None:
        """Return the pod that has the ticket; None: none has, or it is not in the store."""
        claim = ticket.status.claim
        return self._store.of(AgentPod).by_uid(claim.pod_uid) if claim is not None else None

    async def is_gone(self, ticket: Ticket) -> bool:
        """Whether the API has no such pod any more: what follows from it is final.

        Raises:
            KubeError: The API cannot be asked.
        """
        claim = ticket.status.claim
        if claim is None:
            return True
        try:
            found = await self._kube.get(AGENT_POD, ticket.metadata.namespace, claim.pod_name)
        except NotFound:
            return True
        self._store.apply(AGENT_POD.kind, found)
        return bool((found.get("metadata") or {}).get("uid") != claim.pod_uid)

    def taken(self, pod: AgentPod, ticket: Ticket) -> dict[str, Any]:
        """Return the change of status that makes the ticket the pod's.

        Whatever comes after it may start a further pod: how deep that is, is written with it.
        """
        claim = {
            "podName": pod.metadata.name,
            "podUID": pod.metadata.uid,
            "claimedAt": stamp(self._clock()),
            "followed": None,
            "generation": None,
            "seen": None,
        }
        asked = _asked(pod, ticket) if may_run(ticket) else {}
        return {"claim": claim, **({"runs": asked} if asked else {})}

    def released(self, ticket: Ticket, reason: str, message: str) -> dict[str, Any]:
        """Return the change of status that makes the ticket nobody's, and says how that came.

        The state that it has by now is not taken for a person's, nor is one that a pod has asked
        for and that is still on its way.
        """
        claim = ticket.status.claim
        if claim is None:
            return {}
        outcome = {
            "podName": claim.pod_name,
            "podUID": claim.pod_uid,
            "endedAt": stamp(self._clock()),
            "reason": reason,
            "message": message[:512],
        }
        change: dict[str, Any] = {**_NO_CLAIM, "outcome": outcome}
        if ticket.status.runs is not None:
            state, holder = ticket.spec.state, self.holder(ticket)
            change["runs"] = {"state": str(state), **(_asked(holder, ticket) if holder else {})}
            decided = claim.followed if claim.generation is not None else None
            if decided is not None and decided != state:  # it may be on its way into git
                change["runs"] |= wished(ticket, decided)
        return change

    async def write(self, ticket: Ticket, change: Mapping[str, Any]) -> Ticket:
        """Change the status of the very ticket that *change* was computed from.

        Raises:
            Conflict: It has changed since.
            KubeError: The API refused or cannot be asked.
        """
        meta = ticket.metadata
        body = {
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
            "status": dict(change),
        }
        answer = await self._kube.patch(
            TICKET, meta.namespace, meta.name, body, subresource="status"
        )
        self._store.apply(TICKET.kind, answer)
        return Ticket.model_validate(answer)

    async def fresh(self, ticket: Ticket) -> Ticket:
        """Return the ticket as the API has it now.

        Raises:
            NotFound: It is gone, or another one has its name.
        """
        meta = ticket.metadata
        answer = await self._kube.get(TICKET, meta.namespace, meta.name)
        self._store.apply(TICKET.kind, answer)
        now = Ticket.model_validate(answer)
        if now.metadata.uid != meta.uid:
            raise NotFound(f"Ticket {meta.name} was made anew")
        return now

    async def edit(self, ticket: Ticket, edit: Edit) -> Ticket:
        """Change the status by compare-and-swap until it is done or nothing is to be done.

        Raises:
            NotFound: The ticket is gone.
            Conflict: Others were faster every time.
        """
        lost: Conflict | None = None
        async for number in attempts():
            if number:
                ticket = await self.fresh(ticket)
            change = edit(ticket)
            if change is None:
                return ticket
            try:
                return await self.write(ticket, change)
            except Conflict as exc:
                lost = exc
        raise lost or Conflict("the ticket changes all the time")

    def _note(self, ticket: Ticket) -> None:
        now = self._ticks()
        if len(self._noted) > _MANY:
            late = now - _WRITING_SECONDS
            self._noted = {uid: at for uid, at in self._noted.items() if at > late}
        self._noted[ticket.metadata.uid] = now

    async def _for_a_pod(self, ticket: Ticket, edit: Edit) -> Ticket:
        try:
            return await self.edit(ticket, edit)
        except NotFound as exc:
            raise ToolError("NotFound", "ticket_id: the ticket was deleted meanwhile") from exc


def _asked(pod: AgentPod, ticket: Ticket) -> dict[str, Any]:
    """Return the change of what is counted, as *pod* has asked for a pod by the ticket."""
    deep = deepened(pod, ticket)
    return {} if deep is None else {"depth": deep}
