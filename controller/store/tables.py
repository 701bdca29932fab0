"""The one schema, for SQLite and PostgreSQL alike.

Times are microseconds since 1970 in UTC. Empty text means none; NULL only where that says more.
No foreign keys: what belongs to a channel is deleted in pieces, so that no transaction is long.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA: Final = MetaData()

VERSION: Final = Table("mesh_store_version", METADATA, Column("version", Integer, primary_key=True))
"""One row: the version of the schema, see ``migrations``."""

CHANNELS: Final = Table(
    "mesh_channels",
    METADATA,
    Column("uid", Text, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("last_message_at", BigInteger),
    Column("forgotten_at", BigInteger),
    Index("mesh_channels_by_namespace", "namespace"),
)
"""The counters. Whoever writes to a channel locks its row first: that is the channel's order.

``forgotten_at``: the channel was deleted; the row stays a while, so that a late message finds it.
"""

MESSAGES: Final = Table(
    "mesh_messages",
    METADATA,
    Column("channel_uid", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("message_id", Text, nullable=False, unique=True),
    Column("sender_kind", Text, nullable=False),
    Column("sender_name", Text, nullable=False),
    Column("sender_uid", Text, nullable=False),
    Column("sender_identity", Text, nullable=False),
    Column("idempotency_key", Text),  # NULL = none: then the key below is unique by itself
    Column("message_type", Text, nullable=False),
    Column("mentions", Text, nullable=False),  # JSON, [[name, uid], ...]
    Column("reply_to", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    PrimaryKeyConstraint("channel_uid", "sequence"),
    UniqueConstraint("channel_uid", "sender_kind", "sender_identity", "idempotency_key"),
    Index("mesh_messages_by_time", "channel_uid", "created_at"),
)

MENTIONS: Final = Table(
    "mesh_mentions",
    METADATA,
    Column("channel_uid", Text, nullable=False),
    Column("pod_uid", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    PrimaryKeyConstraint("channel_uid", "pod_uid", "sequence"),
)
"""Finds messages by whom they mention."""

DOCUMENTS: Final = Table(
    "mesh_documents",
    METADATA,
    Column("channel_uid", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("write_id", Text, nullable=False),
    Column("replaced_revision", BigInteger, nullable=False),
    Column("author_kind", Text, nullable=False),
    Column("author_name", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    PrimaryKeyConstraint("channel_uid", "revision"),
)
"""The last revisions of each document: the newest is the document."""

MEMBERS: Final = Table(
    "mesh_members",
    METADATA,
    Column("channel_uid", Text, nullable=False),
    Column("pod_uid", Text, nullable=False),
    Column("pod_name", Text, nullable=False),
    Column("joined_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("channel_uid", "pod_uid"),
    Index("mesh_members_by_pod", "pod_uid"),
)

OPEN: Final = text("state IN ('queued', 'accepted')")
"""Deliveries that are not settled. Literal: with parameters no planner would use the index."""

DELIVERIES: Final = Table(
    "mesh_deliveries",
    METADATA,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("delivery_id", Text, nullable=False, unique=True),
    Column("namespace", Text, nullable=False),
    Column("pod_uid", Text, nullable=False),
    Column("pod_name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("channel_uid", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("give_up_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Index("mesh_deliveries_open", "pod_uid", postgresql_where=OPEN, sqlite_where=OPEN),
    Index("mesh_deliveries_by_message", "message_id"),
    Index("mesh_deliveries_by_channel", "channel_uid"),
    Index("mesh_deliveries_by_namespace", "namespace"),
    Index("mesh_deliveries_by_change", "changed_at"),
    sqlite_autoincrement=True,
)
"""``position`` orders what one channel sends to one pod."""

QUEUED: Final = text("state = 'queued'")
"""Notifications that are to be told still. Literal, as above."""

NOTIFICATIONS: Final = Table(
    "mesh_notifications",
    METADATA,
    Column("notification_id", Text, primary_key=True),
    Column("organization", Text, nullable=False),
    Column("webhook", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("mesh_notifications_queued", "created_at", postgresql_where=QUEUED, sqlite_where=QUEUED),
    Index(
        "mesh_notifications_awaited",
        *("organization", "webhook", "due_at"),
        postgresql_where=QUEUED,
        sqlite_where=QUEUED,
    ),
    Index("mesh_notifications_by_change", "changed_at"),
)
"""What webhooks are told, and were: so that each is told once. Since version 2."""
