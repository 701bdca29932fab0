"""What doors for people have in common: the first message, the right, the pod, what is refused."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import grpc

from controller.rpc.caller import Caller
from controller.rpc.ports import Placement, PodPlace, RunnerKey
from controller.rpc.recheck import know_again
from controller.rpc.refusal import refuse
from controller.services.access import Access, Right
from controller.services.tokens import is_name, is_object_name
from controller.store.errors import StoreError, TextError, UnavailableError
from controller.tools.call import ToolError

OPEN_SECONDS: Final = 10.0
"""How long a client may take for its first message."""

_CODES: Final = {
    "NotFound": grpc.StatusCode.NOT_FOUND,
    "InvalidArgument": grpc.StatusCode.INVALID_ARGUMENT,
    "Unavailable": grpc.StatusCode.UNAVAILABLE,
}
"""Any other reason is a state that refuses: such as a pod that has ended, an archived channel."""


async def demand(
    access: Access, caller: Caller, right: Right, what: tuple[str, str], *, fresh: bool = False
) -> None:
    """Ask whether the caller may do that with *what*: namespace and name. With *fresh*, anew.

    Raises Refusal, KubeError.
    """
    if fresh:
        await know_again(access, caller)
    verdict = await access.may(caller.token, caller.user, right, *what, fresh=fresh)
    if not verdict.allowed:
        refuse(grpc.StatusCode.PERMISSION_DENIED, verdict.message)


async def read_open(context: Any, name: str) -> Any:
    """Return what a client opens its stream with, a message of that name. Raises Refusal."""
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            first = await context.read()
    except TimeoutError:
        refuse(grpc.StatusCode.DEADLINE_EXCEEDED, f"no {name} came: send it first")
    if first is grpc.aio.EOF or first.WhichOneof("msg") != "open":
        refuse(grpc.StatusCode.INVALID_ARGUMENT, f"the first message must be {name}")
    check_pod(first.open.namespace, first.open.pod)
    return first.open


def check_pod(namespace: str, pod: str) -> None:
    """Refuse what no pod can be called."""
    if not is_name(namespace) or not is_object_name(pod):
        refuse(grpc.StatusCode.INVALID_ARGUMENT, "namespace and pod must be names of resources")


def placed(placement: Placement, namespace: str, pod: str) -> tuple[PodPlace, RunnerKey]:
    """Return where the pod is, and on which runner. Raises Refusal."""
    place = placement.find(namespace, pod)
    if place is None:
        refuse(grpc.StatusCode.NOT_FOUND, f"there is no AgentPod {pod} in namespace {namespace}")
    if place.runner is None:
        refuse(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"AgentPod {pod} is not placed on a runner yet: its condition Scheduled says why",
        )
    return place, place.runner


@contextmanager
def refusing(codes: Mapping[str, grpc.StatusCode] = _CODES) -> Iterator[None]:
    """Turn what a service and the message store refuse into a status, by reason."""
    try:
        yield
    except ToolError as exc:
        refuse(codes.get(exc.reason, grpc.StatusCode.FAILED_PRECONDITION), exc.message)
    except TextError as exc:
        refuse(grpc.StatusCode.INVALID_ARGUMENT, str(exc))
    except UnavailableError as exc:
        refuse(grpc.StatusCode.UNAVAILABLE, str(exc))
    except StoreError as exc:
        refuse(grpc.StatusCode.FAILED_PRECONDITION, str(exc))
