"""Prompts, on the public port: people give a pod's agent something to do, once."""

from typing import Any, Final

from meshwire.v1 import link_pb2

from controller.rpc.caller import Caller, current_caller
from controller.rpc.race import first_done
from controller.rpc.recheck import RECHECK_SECONDS, recheck
from controller.rpc.rights import check_pod, demand, refusing
from controller.services.access import PROMPT, Access
from controller.services.prompting import Prompting, Wish
from controller.store.records import Delivery, DeliveryState

_STATES: Final = {
    DeliveryState.QUEUED: link_pb2.DELIVERY_QUEUED,
    DeliveryState.ACCEPTED: link_pb2.DELIVERY_ACCEPTED,
    DeliveryState.SUBMITTED: link_pb2.DELIVERY_SUBMITTED,
    DeliveryState.FAILED: link_pb2.DELIVERY_FAILED,
}


class PromptsDoor:
    """Translates between the wire and the service, for callers that the API server recognised."""

    def __init__(
        self, prompting: Prompting, access: Access, *, recheck_seconds: float = RECHECK_SECONDS
    ) -> None:
        self._prompting = prompting
        self._access = access
        self._recheck_seconds = recheck_seconds

    async def Submit(  # noqa: N802 - the name of the RPC
        self, request: link_pb2.PromptSubmit, context: Any
    ) -> None:
        """Store the prompt, then write how it stands until its end; the first is an acceptance."""
        caller = current_caller()
        check_pod(request.namespace, request.pod)
        await self._authorise(caller, request)
        await first_done(
            self._write(caller, request, context),
            recheck(lambda: self._authorise(caller, request, fresh=True), self._recheck_seconds),
        )

    async def _write(self, caller: Caller, request: link_pb2.PromptSubmit, context: Any) -> None:
        wish = Wish(
            user=caller.user.name,
            namespace=request.namespace,
            pod=request.pod,
            text=request.text,
            key=request.idempotency_key,
        )
        with refusing():
            first = await self._prompting.submit(wish)
            async for delivery in self._prompting.follow(first):
                progress = _wire(delivery)
                if not delivery.settled:
                    progress.message = self._prompting.not_yet(wish)
                await context.write(progress)

    async def _authorise(
        self, caller: Caller, request: link_pb2.PromptSubmit, *, fresh: bool = False
    ) -> None:
        """Ask whether the caller may. Raises Refusal, KubeError."""
        await demand(self._access, caller, PROMPT, (request.namespace, request.pod), fresh=fresh)


def _wire(delivery: Delivery) -> link_pb2.PromptProgress:
    return link_pb2.PromptProgress(
        state=_STATES[delivery.state],
        reason=delivery.reason,
        message=delivery.message,
        prompt_id=delivery.delivery_id,
    )
