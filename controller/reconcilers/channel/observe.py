"""Gathers what a Channel's status is computed from; lets go of the messages of one that goes."""

from controller.kernel.key import Key
from controller.kernel.store import Store
from controller.placement.indexes import BY_TITLE
from controller.reconcilers.channel.snapshot import ChannelSnapshot
from controller.services.membership import Membership
from controller.store.messages import MessageStore
from controller.store.records import ChannelRef, Counts
from schemas.channel import Channel
from schemas.repository import Repository
from schemas.ticket import Ticket


class ChannelObserver:
    """Reads channels from the store of resources and their numbers from the message store."""

    def __init__(self, store: Store, messages: MessageStore) -> None:
        self._store = store
        self._messages = messages
        self._membership = Membership(store, messages)

    async def observe(self, key: Key) -> ChannelSnapshot | None:
        """Return the snapshot, None if the channel is gone.

        What a channel under deletion has is deleted here, before its finalizer goes: repeated
        after a crash, that changes nothing.
        """
        item = self._store.of(Channel).get(key.namespace, key.name)
        if item is None:
            return None
        uid = item.metadata.uid
        if item.metadata.deleting:
            await self._messages.forget_channel(ChannelRef(uid, item.metadata.namespace))
            return ChannelSnapshot(item)
        counts = (await self._messages.counts((uid,))).get(uid, Counts())
        last = counts.last_message_at
        return ChannelSnapshot(
            item,
            messages=counts.messages,
            last_sequence=counts.last_sequence,
            last_message_at=last.timestamp() if last is not None else None,
            members=len(await self._membership.of(item, counts)),
            missing=tuple(self._missing(item)),
            title_of=self._title_of(item),
        )

    def _missing(self, item: Channel) -> list[str]:
        where, missing = item.metadata.namespace, []
        repository, ticket = item.spec.repository_ref, item.spec.ticket_ref
        if repository and self._store.of(Repository).get(where, repository.name) is None:
            missing.append(f"repositoryRef.name: Repository {repository.name}")
        if ticket and self._store.of(Ticket).get(where, ticket.name) is None:
            missing.append(f"ticketRef.name: Ticket {ticket.name}")
        return missing

    def _title_of(self, item: Channel) -> str:
        """Return the name of the oldest channel of the same title; empty if it is this one."""
        where = (item.metadata.namespace, item.title.casefold())
        same = self._store.of(Channel).indexed(BY_TITLE, where)
        there = [other.metadata for other in same if not other.metadata.deleting]
        first = min(there, key=lambda m: (m.creation_timestamp, m.name), default=item.metadata)
        return "" if first.uid == item.metadata.uid else first.name
