"""Prompts, on the public port: people give a pod's agent something to do, once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.caller import Caller, current_caller
from controller.rpc.race import first_done
from controller.rpc.recheck import RECHECK_SECONDS, know_again, recheck
from controller.rpc.refusal import refuse
from controller.services.access import Access
from controller.services.prompting import Prompting, Wish
from controller.services.tokens import is_name, is_object_name
from controller.store.errors import StoreError, TextError, UnavailableError
from controller.store.records import Delivery, DeliveryState
from controller.tools.call import ToolError

_CODES: Final = {
    "NotFound": grpc.StatusCode.NOT_FOUND,
    "InvalidArgument": grpc.StatusCode.INVALID_ARGUMENT,
    "Unavailable": grpc.StatusCode.UNAVAILABLE,
}
"""Any other reason is a state that refuses: such as a pod that has ended."""

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
        if not is_name(request.namespace) or not is_object_name(request.pod):
            refuse(grpc.StatusCode.INVALID_ARGUMENT, "namespace and pod must be names of resources")
        await self._authorise(caller, request)
        await first_done(
            self._write(caller, request, context),
            recheck(lambda: self._same_right(caller, request), self._recheck_seconds),
        )

    async def _write(self, caller: Caller, request: link_pb2.PromptSubmit, context: Any) -> None:
        wish = Wish(
            user=caller.user.name,
            namespace=request.namespace,
            pod=request.pod,
            text=request.text,
            key=request.idempotency_key,
        )
        with _refusing():
            first = await self._prompting.submit(wish)
            async for delivery in self._prompting.follow(first):
                progress = _wire(delivery)
                if not delivery.settled:
                    progress.message = self._prompting.not_yet(wish)
                await context.write(progress)

    async def _same_right(self, caller: Caller, request: link_pb2.PromptSubmit) -> None:
        """Ask anew whether the caller may know of it. Raises Refusal, KubeError."""
        await know_again(self._access, caller)
        await self._authorise(caller, request, fresh=True)

    async def _authorise(
        self, caller: Caller, request: link_pb2.PromptSubmit, *, fresh: bool = False
    ) -> None:
        """Ask whether the caller may. Raises Refusal, KubeError."""
        verdict = await self._access.may_prompt(
            caller.token, caller.user, request.namespace, request.pod, fresh=fresh
        )
        if not verdict.allowed:
            refuse(grpc.StatusCode.PERMISSION_DENIED, verdict.message)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what the service and the message store refuse into a status."""
    try:
        yield
    except ToolError as exc:
        refuse(_CODES.get(exc.reason, grpc.StatusCode.FAILED_PRECONDITION), exc.message)
    except TextError as exc:
        refuse(grpc.StatusCode.INVALID_ARGUMENT, str(exc))
    except UnavailableError as exc:
        refuse(grpc.StatusCode.UNAVAILABLE, str(exc))
    except StoreError as exc:
        refuse(grpc.StatusCode.FAILED_PRECONDITION, str(exc))


def _wire(delivery: Delivery) -> link_pb2.PromptProgress:
    return link_pb2.PromptProgress(
        state=_STATES[delivery.state],
        reason=delivery.reason,
        message=delivery.message,
        prompt_id=delivery.delivery_id,
    )
