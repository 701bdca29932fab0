"""Prompts that people give to pods: accepted, then submitted once or failed with a reason.

A prompt has an id that is made of who gives it, the pod and a key. The same key again is the same
prompt: it is never typed twice, and the answer says where it stands.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from controller.kernel.store import Store
from controller.kube.errors import NotFound
from controller.placement.desired import ended
from controller.rpc.ports import Objects
from controller.services.deadlines import promptable
from controller.services.deliveries import Deliveries
from controller.services.prompts import MAX_PROMPT_BYTES, typeable
from controller.store.messages import MessageStore
from controller.store.records import Delivery, DeliveryKind
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod, DesiredState
from schemas.agentpod_status import PodPhase
from schemas.names import AGENT_POD

MAX_KEY_CHARACTERS: Final = 128
_LOOK_SECONDS: Final = 5.0
"""Another process may have moved it: looked at so often without news."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to be typed and submitted."""

    user: str
    namespace: str
    pod: str
    text: str
    key: str
    """Of this user for this pod: a second wish with it is the first one."""


class Prompting:
    """Takes prompts of people and tells how they stand."""

    def __init__(
        self, store: Store, messages: MessageStore, deliveries: Deliveries, objects: Objects
    ) -> None:
        self._pods = store.of(AgentPod)
        self._messages = messages
        self._deliveries = deliveries
        self._objects = objects

    async def submit(self, wish: Wish) -> Delivery:
        """Store the prompt, durably, and return how it stands.

        Raises:
            ToolError: There is no such pod, it takes no prompts, or the text cannot be typed;
                nothing was stored.
            StoreError: It may have been stored or not: submit it again, with the same key.
        """
        text = _text(wish)
        pod = await self._pod(wish)
        prompt_id = identify(wish, pod.metadata.uid)
        known = await self._messages.delivery(prompt_id)
        if known is not None:
            return _same(known, text)
        if why := self._refusal(pod):
            raise ToolError("NotPromptable", why)
        prompt = self._deliveries.prompt(pod, text, DeliveryKind.PROMPT, prompt_id)
        return _same(await self._deliveries.submit(wish.namespace, prompt), text)

    async def follow(self, delivery: Delivery) -> AsyncIterator[Delivery]:
        """Yield the prompt as it stands, and again whenever that has changed, to its end.

        Raises:
            ToolError: It is not known any more.
            StoreError: It cannot be looked at now.
        """
        with self._messages.delivery_changes() as changes:
            told = None
            while True:
                if told != delivery.state:
                    told = delivery.state
                    yield delivery
                if delivery.settled:
                    return
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await changes.wait()
                except TimeoutError:
                    pass  # looked at all the same
                found = await self._messages.delivery(delivery.delivery_id)
                if found is None:
                    raise ToolError("NotFound", f"prompt {delivery.delivery_id} is not known")
                delivery = found

    def not_yet(self, wish: Wish) -> str:
        """Return why the pod's agent cannot take a prompt now; empty when it runs."""
        pod = self._pods.get(wish.namespace, wish.pod)
        ready = next((c for c in pod.status.conditions if c.type == "Ready"), None) if pod else None
        if ready is None or ready.status == "True":
            return ""
        return f"{wish.pod} is not running ({ready.reason}): {ready.message}"

    async def _pod(self, wish: Wish) -> AgentPod:
        pod = self._pods.get(wish.namespace, wish.pod)
        if pod is not None:
            return pod
        try:
            await self._objects.get(AGENT_POD, wish.namespace, wish.pod)
        except NotFound:
            where = f"in namespace {wish.namespace}"
            raise ToolError("NotFound", f"there is no AgentPod {wish.pod} {where}") from None
        raise ToolError("Unavailable", f"AgentPod {wish.pod} was made a moment ago: try again")

    def _refusal(self, pod: AgentPod) -> str:
        final = pod.status.phase is PodPhase.SUCCEEDED or (
            pod.spec.desired_state is DesiredState.STOPPED
        )
        if not promptable(pod) or (ended(pod) and final):
            return f"pod {pod.metadata.name} has ended: it takes no more prompts"
        return self._deliveries.refusal(pod)


def identify(wish: Wish, pod_uid: str) -> str:
    """Return the id of the prompt: the same for the same user, pod and key."""
    person = hashlib.sha256(wish.user.encode()).hexdigest()[:12]
    which = hashlib.sha256(f"{pod_uid}\0{wish.key}".encode()).hexdigest()[:24]
    return f"prompt-{person}-{which}"


def _text(wish: Wish) -> str:
    """Return what is to be typed. Raises ToolError."""
    if not 0 < len(wish.key) <= MAX_KEY_CHARACTERS or not wish.key.isprintable():
        text = f"the idempotency key must have 1 to {MAX_KEY_CHARACTERS} printable characters"
        raise ToolError("InvalidArgument", text)
    text = typeable(wish.text)
    if not text.strip():
        raise ToolError("InvalidArgument", "the prompt holds nothing that can be typed")
    size = len(text.encode("utf-8", errors="replace"))
    if size > MAX_PROMPT_BYTES:
        said = f"the prompt has {size} bytes, and at most {MAX_PROMPT_BYTES} are taken: put what"
        raise ToolError("InvalidArgument", f"{said} is long into a file and name that")
    return text


def _same(delivery: Delivery, text: str) -> Delivery:
    """Return the delivery if it is of this text. Raises ToolError."""
    if delivery.text != text:
        raise ToolError("KeyConflict", "the key was used for another text to this pod: take a new")
    return delivery
