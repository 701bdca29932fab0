"""``python -m tests.process.store.owner SOCKET PLACE [BUG]``: a process that owns a message store.

Answers lines of JSON on a unix socket: each connection is a client, one request at a time. PLACE
is a file that holds the URL of PostgreSQL, or the path of an SQLite database if it ends with .db.
With a BUG the store is a bad one, so that the checker can show that it notices.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from controller.store.errors import RevisionConflictError, StoreError
from controller.store.messages import MessageStore
from controller.store.open import StoreSettings, opened
from controller.store.records import (
    Appended,
    Author,
    ChannelRef,
    Document,
    DocumentPut,
    Message,
    NewDelivery,
    NewMessage,
    Query,
    Sender,
    SenderKind,
)
from controller.store.sqlstore import SqlMessageStore
from controller.store.values import moment

NAMESPACE = "team"
LINE_BYTES = 2**20


class Losing(SqlMessageStore):
    """Answers some messages that it does not store."""

    count = 0

    async def append(
        self, channel: ChannelRef, message: NewMessage, deliveries: Sequence[NewDelivery] = ()
    ) -> Appended:
        self.count += 1
        if self.count % 50:
            return await super().append(channel, message, deliveries)
        last = (await self.counts([channel.uid]))[channel.uid].last_sequence
        made_up = Message(
            message_id=f"none-{self.count}",
            channel_uid=channel.uid,
            sequence=last + 1,
            sender=message.sender,
            content=message.content,
            message_type=message.message_type,
            mentions=(),
            reply_to="",
            idempotency_key=message.idempotency_key,
            created_at=moment(0),
        )
        return Appended(made_up, (), created=True)


class Doubling(SqlMessageStore):
    """Does not look at idempotency keys."""

    async def append(
        self, channel: ChannelRef, message: NewMessage, deliveries: Sequence[NewDelivery] = ()
    ) -> Appended:
        return await super().append(channel, replace(message, idempotency_key=""), deliveries)


class Reordering(SqlMessageStore):
    """Shows two neighbours in the wrong order, consistently."""

    async def read(self, channel_uid: str, query: Query) -> tuple[Message, ...]:
        found = list(await super().read(channel_uid, query))
        for at in range(1, len(found) - 1, 20):
            one, two = found[at], found[at + 1]
            found[at] = replace(two, sequence=one.sequence)
            found[at + 1] = replace(one, sequence=two.sequence)
        return tuple(found)


class Skipping(SqlMessageStore):
    """Leaves a gap."""

    async def read(self, channel_uid: str, query: Query) -> tuple[Message, ...]:
        found = await super().read(channel_uid, query)
        return tuple(replace(m, sequence=m.sequence + (m.sequence > 30)) for m in found)


class Overwriting(SqlMessageStore):
    """Does not look at the revision that a change is based on."""

    async def put_document(
        self, channel: ChannelRef, text: str, by: Author, based_on: int | None = None
    ) -> DocumentPut:
        del based_on
        return await super().put_document(channel, text, by)


class Separating(SqlMessageStore):
    """Stores a message without its delivery now and then."""

    count = 0

    async def append(
        self, channel: ChannelRef, message: NewMessage, deliveries: Sequence[NewDelivery] = ()
    ) -> Appended:
        self.count += 1
        return await super().append(channel, message, deliveries if self.count % 50 else ())


BUGS: dict[str, type[SqlMessageStore]] = {
    "losing": Losing,
    "doubling": Doubling,
    "reordering": Reordering,
    "skipping": Skipping,
    "overwriting": Overwriting,
    "separating": Separating,
}


class Owner:
    """Serves one store."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    answer = await self._answer(json.loads(line))
                except RevisionConflictError as exc:
                    answer = {"conflict": _document(exc.current)}
                except StoreError as exc:
                    answer = {"error": f"{type(exc).__name__}: {exc}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        channel = ChannelRef(asked["channel"], NAMESPACE)
        if asked["do"] == "append":
            sender = Sender(SenderKind.POD, asked["client"], f"uid-{asked['client']}")
            message = NewMessage(sender, asked["content"], idempotency_key=asked["key"])
            prompts = [NewDelivery("uid-reader", "reader", asked["content"], moment(0))]
            appended = await self._store.append(channel, message, prompts)
            return {"sequence": appended.message.sequence, "id": appended.message.message_id}
        if asked["do"] == "put":
            by = Author(SenderKind.POD, asked["client"])
            put = await self._store.put_document(channel, asked["text"], by, asked["based_on"])
            return _document(put.document)
        if asked["do"] == "document":
            return _document(await self._store.document(channel.uid))
        if asked["do"] == "read":
            found = await self._store.read(
                channel.uid, Query(after_sequence=asked["after"], limit=1000)
            )
            return {"messages": [[m.sequence, m.message_id, m.content] for m in found]}
        assert asked["do"] == "deliveries"
        prompts_found = await self._store.open_deliveries()
        return {"deliveries": [d.message_id for d in prompts_found if d.channel_uid == channel.uid]}


def _document(document: Document) -> dict[str, Any]:
    return {"text": document.text, "revision": document.revision}


async def _run(socket: str, place: Path, bug: str) -> None:
    at = StoreSettings(path=place) if place.suffix == ".db" else StoreSettings(url_file=place)
    store = await opened(at)
    if bug:
        store.__class__ = BUGS[bug]
    server = await asyncio.start_unix_server(Owner(store).serve, socket, limit=LINE_BYTES * 2)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], Path(sys.argv[2]), [*sys.argv, ""][3]))
