"""The status of a Channel. Pure."""

from controller.kernel.clock import stamp
from controller.kernel.reconciler import ReconcileError, Report
from controller.reconcilers.channel.checks import first
from controller.reconcilers.channel.snapshot import ChannelSnapshot
from controller.reconcilers.conditions import Conditions
from controller.reconcilers.references import say
from schemas.channel import ChannelStatus
from schemas.conditions import merge
from schemas.names import ANNOTATION_REQUESTED_AT


def report(snapshot: ChannelSnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return the channel's numbers, and what is wrong with it."""
    del error  # nothing is done that could fail so
    item = snapshot.subject
    said = Conditions.of(item, now)
    say(said, snapshot.missing)
    said.ready(first(snapshot), "archived: it can be read" if item.spec.archived else "open")
    last = snapshot.last_message_at
    return Report(
        ChannelStatus(
            observed_generation=item.metadata.generation,
            last_handled_request_at=item.metadata.annotations.get(ANNOTATION_REQUESTED_AT),
            conditions=merge(item.status.conditions, said.items),
            message_count=snapshot.messages,
            last_sequence=snapshot.last_sequence,
            last_message_at=stamp(last) if last is not None else None,
            member_count=snapshot.members,
        )
    )
