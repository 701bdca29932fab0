"""The rules of Leases."""

from __future__ import annotations

from typing_extensions import override

from apiserver.kinds.strategy import Context, Strategy
from apiserver.schema.errors import FieldError, invalid
from apiserver.store.records import Object


class LeaseStrategy(Strategy):
    """A lease lasts for some time, and its holders are counted."""

    @override
    def validate(self, ctx: Context, obj: Object, old: Object | None) -> list[FieldError]:
        """Check the numbers."""
        spec = obj.get("spec") or {}
        seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
        found: list[FieldError] = []
        if seconds is not None and seconds <= 0:
            found.append(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
        if transitions is not None and transitions < 0:
            text = "must to greater or equal than 0"  # Kubernetes' own words
            found.append(invalid("spec.leaseTransitions", transitions, text))
        return found
