"""Documents: read and replace. Functions on a connection in a transaction."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from controller.store import channel_rows
from controller.store.errors import RevisionConflictError
from controller.store.records import Author, ChannelRef, Document, DocumentPut, SenderKind
from controller.store.tables import DOCUMENTS
from controller.store.turn import Turn
from controller.store.values import moment

KEPT: Final = 10
"""So many revisions stay: a text that was replaced by mistake is not lost at once."""


@dataclass(frozen=True, slots=True)
class Put:
    """One replacement with its id. The id makes it safe to do again."""

    channel: ChannelRef
    text: str
    by: Author
    based_on: int | None
    write_id: str


_NEWEST: Final = (
    select(DOCUMENTS)
    .where(DOCUMENTS.c.channel_uid == bindparam("channel"))
    .order_by(DOCUMENTS.c.revision.desc())
    .limit(1)
)


def current(connection: Connection, channel_uid: str) -> Document:
    """Return the document; revision 0 if there is none."""
    row = connection.execute(_NEWEST, {"channel": channel_uid}).one_or_none()
    return Document(channel_uid) if row is None else _document(row)


def _document(row: Row[Any]) -> Document:
    return Document(
        channel_uid=row.channel_uid,
        text=row.text,
        revision=row.revision,
        updated_by=Author(SenderKind(row.author_kind), row.author_name),
        updated_at=moment(row.updated_at),
    )


def put(turn: Turn, wanted: Put) -> DocumentPut:
    """Replace the document if it is at the revision asked for, unless an earlier try has."""
    connection, uid = turn.connection, wanted.channel.uid
    channel_rows.lock_living(connection, wanted.channel)
    done = _done(connection, wanted) if turn.again else None
    if done is not None:
        return done
    old = current(connection, uid)
    if wanted.based_on is not None and wanted.based_on != old.revision:
        raise RevisionConflictError(old, wanted.based_on)
    new = Document(uid, wanted.text, old.revision + 1, wanted.by, moment(turn.now))
    connection.execute(
        insert(DOCUMENTS),
        {
            "channel_uid": uid,
            "revision": new.revision,
            "write_id": wanted.write_id,
            "replaced_revision": old.revision,
            "author_kind": wanted.by.kind.value,
            "author_name": wanted.by.name,
            "updated_at": turn.now,
            "text": wanted.text,
        },
    )
    connection.execute(
        delete(DOCUMENTS).where(
            DOCUMENTS.c.channel_uid == uid, DOCUMENTS.c.revision <= new.revision - KEPT
        )
    )
    return DocumentPut(new, old.revision)


def _done(connection: Connection, wanted: Put) -> DocumentPut | None:
    row = connection.execute(
        select(DOCUMENTS).where(
            DOCUMENTS.c.channel_uid == wanted.channel.uid,
            DOCUMENTS.c.write_id == wanted.write_id,
        )
    ).one_or_none()
    return None if row is None else DocumentPut(_document(row), row.replaced_revision)
