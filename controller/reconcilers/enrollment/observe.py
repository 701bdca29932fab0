"""Gathers what a RunnerEnrollment's status is computed from: the enrolment alone."""

from controller.kernel.key import Key
from controller.kernel.store import Store
from controller.reconcilers.enrollment.snapshot import EnrollmentSnapshot
from schemas.runner import RunnerEnrollment


class EnrollmentObserver:
    """Reads enrolments from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def observe(self, key: Key) -> EnrollmentSnapshot | None:
        """Return the snapshot, None if the enrolment is gone."""
        item = self._store.of(RunnerEnrollment).get(key.namespace, key.name)
        return EnrollmentSnapshot(item) if item else None
