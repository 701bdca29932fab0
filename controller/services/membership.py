"""Who belongs to a channel: named in it, naming it, or joined by having written to it."""

from dataclasses import dataclass
from datetime import datetime

from controller.kernel.store import Store
from controller.placement.indexes import IN_CHANNEL
from controller.services.deadlines import promptable
from controller.store.messages import MessageStore
from controller.store.records import Counts
from schemas.agentpod import AgentPod
from schemas.channel import Channel, MemberKind, Visibility


@dataclass(frozen=True, slots=True)
class Belonging:
    """A member of a channel."""

    kind: MemberKind
    name: str
    joined_at: datetime | None = None
    """None: it has not joined but is declared."""


class Membership:
    """Reads declared members from the store of resources, joined ones from the message store."""

    def __init__(self, store: Store, messages: MessageStore) -> None:
        self._pods = store.of(AgentPod)
        self._messages = messages

    async def has(self, channel: Channel, pod: AgentPod) -> bool:
        """Whether the pod is a member."""
        if declared(channel, pod):
            return True
        return channel.metadata.uid in await self._messages.channels_of(pod.metadata.uid)

    async def sees(self, channel: Channel, pod: AgentPod) -> bool:
        """Whether the pod may know that the channel exists."""
        return channel.spec.visibility is Visibility.PUBLIC or await self.has(channel, pod)

    async def joined(self, pod: AgentPod) -> frozenset[str]:
        """Return the uids of the channels that the pod has joined."""
        return await self._messages.channels_of(pod.metadata.uid)

    async def of(self, channel: Channel, counts: Counts) -> tuple[Belonging, ...]:
        """Return the members: those that the channel names, that name it, that joined."""
        uid = channel.metadata.uid
        joined = await self._messages.members(uid) if counts.members else ()
        at = {
            member.pod_name: member.joined_at for member in joined if self._is_there(member.pod_uid)
        }
        where = (channel.metadata.namespace, channel.metadata.name)
        naming = (pod for pod in self._pods.indexed(IN_CHANNEL, where) if promptable(pod))
        found: dict[tuple[MemberKind, str], None] = {}
        for named in channel.spec.members:
            found[named.kind, named.name] = None
        for name in sorted(pod.metadata.name for pod in naming):
            found[MemberKind.AGENT_POD, name] = None
        for name in at:
            found[MemberKind.AGENT_POD, name] = None
        return tuple(
            Belonging(kind, name, at.get(name) if kind is MemberKind.AGENT_POD else None)
            for kind, name in found
        )

    def _is_there(self, pod_uid: str) -> bool:
        pod = self._pods.by_uid(pod_uid)
        return pod is not None and promptable(pod)


def declared(channel: Channel, pod: AgentPod) -> bool:
    """Whether the channel names the pod, or the pod the channel."""
    name = pod.metadata.name
    named = any(m.kind is MemberKind.AGENT_POD and m.name == name for m in channel.spec.members)
    return named or any(ref.name == channel.metadata.name for ref in pod.spec.channel_refs)
