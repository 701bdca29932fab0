"""Values that several tests of the message store use."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from controller.store.records import (
    Author,
    ChannelRef,
    Mention,
    NewDelivery,
    NewMessage,
    Sender,
    SenderKind,
)

CHANNEL = ChannelRef("channel-1", "team-a")
OTHER = ChannelRef("channel-2", "team-a")
ELSEWHERE = ChannelRef("channel-3", "team-b")

LEAD = Sender(SenderKind.POD, "lead", "uid-lead")
ANNA = Sender(SenderKind.USER, "anna")
BY_LEAD = Author(SenderKind.POD, "lead")
BY_ANNA = Author(SenderKind.USER, "anna")

BUILDER = Mention("builder", "uid-builder")
TESTER = Mention("tester", "uid-tester")

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def said(content: str, sender: Sender = LEAD, **more: object) -> NewMessage:
    """Return a new message."""
    return replace(NewMessage(sender, content), **more)  # type: ignore[arg-type]


def prompt(pod: Mention, text: str, delivery_id: str = "") -> NewDelivery:
    """Return a new delivery to the pod."""
    give_up = START + timedelta(hours=1)
    return NewDelivery(pod.pod_uid, pod.pod_name, text, give_up, delivery_id=delivery_id)
