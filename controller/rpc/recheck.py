"""Rights behind a person's long stream, asked for again and again while it lasts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import grpc

from controller.kube.errors import KubeError
from controller.rpc.caller import Caller
from controller.rpc.refusal import refuse
from controller.services.access import Access

logger = logging.getLogger(__name__)

RECHECK_SECONDS: Final = 60.0
"""How often the API server is asked again about a long stream."""

BLIND_SECONDS: Final = 300.0
"""So long a stream goes on while the API server cannot be asked."""


async def know_again(access: Access, caller: Caller) -> None:
    """Ask anew who the caller's token belongs to. Raises Refusal, KubeError."""
    caller.user = await access.authenticate(caller.token, fresh=True)
    if caller.user is None:
        refuse(grpc.StatusCode.UNAUTHENTICATED, "the API server no longer accepts the bearer token")


async def recheck(authorise: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Call *authorise* every so many seconds; raise its Refusal when the right is gone."""
    loop = asyncio.get_running_loop()
    sure_at = loop.time()
    while True:
        await asyncio.sleep(seconds)
        try:
            await authorise()
        except KubeError as exc:
            if loop.time() - sure_at > BLIND_SECONDS:
                raise
            logger.warning("a person cannot be checked again", extra={"reason": str(exc)})
        else:
            sure_at = loop.time()
