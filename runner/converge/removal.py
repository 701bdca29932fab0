"""Removes pods: ends what runs, saves the work, leaves nothing but a tombstone."""

import dataclasses
import logging
from typing import Final

from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.journal import Journal
from runner.converge.outcome import exited, lost
from runner.converge.places import Places
from runner.converge.ports import Setups, Terminals, Workshop
from runner.converge.record import Record
from runner.converge.runs import LaterError, Runs
from runner.converge.states import Row, State, begun
from runner.converge.unprepared import NotPreparedError
from runner.drivers.terminal_values import Exited

logger = logging.getLogger(__name__)

_MEMORY_MS: Final = 24 * 3600 * 1000
"""A removed pod is remembered so long after the controller dropped it."""


class Removal:
    """Clears pods away. One call at a time per uid."""

    def __init__(
        self,
        places: Places,
        journal: Journal,
        record: Record,
        terminals: Terminals,
        workshop: Workshop,
        runs: Runs,
    ) -> None:
        self._places = places
        self._journal = journal
        self._record = record
        self._terminals = terminals
        self._workshop = workshop
        self._runs = runs
        self.setups: Setups | None = None

    async def remove(self, uid: str, pod: link_pb2.PodDesired | None) -> None:
        """End every run of the pod, save its work, and leave nothing but a tombstone.

        Raises:
            LaterError: Something is left; the row says what.
        """
        row = self._journal.rows.get(uid) or self._stray(uid, pod)
        if row.state is not State.REMOVED:
            grace = float(pod.grace_seconds if pod is not None else row.pod().grace_seconds)
            row = await self._empty(row, grace)
        if pod is not None:
            epoch, generation = pod.ref.epoch, pod.generation
            row = dataclasses.replace(row, epoch=epoch, generation=generation, forgotten_ms=0)
        await self._record.save(dataclasses.replace(row, state=State.REMOVED, pid=0, child_pid=0))
        logger.info("pod removed", extra={"pod": uid, "saved_ref": row.saved_ref})

    async def _empty(self, row: Row, grace_seconds: float) -> Row:
        """End what runs and clear what stands; return the row of what is left to say."""
        if row.uid in self._journal.rows or self._places.pod(row.uid).exists():
            row = dataclasses.replace(row, state=State.STOPPING, ending="Stopped")
            row = await self._record.save(row)
        if self.setups is not None:
            await self.setups.end(row.uid)
        run_dirs = self._places.runs(row.uid)
        for _, _, run_dir in run_dirs:
            await self._runs.end(run_dir, grace_seconds, frozen=row.is_held)
        if run_dirs and row.finished_ms == 0:
            found = await self._terminals.observe(run_dirs[-1][2])
            end = exited(row, found) if isinstance(found, Exited) else lost(row, died=True)
            row = dataclasses.replace(end, state=State.STOPPING)
        try:
            cleared = await self._workshop.clear(row.uid)
        except NotPreparedError as exc:
            await self._record.save(
                dataclasses.replace(row, reason=exc.reason, message=exc.message)
            )
            raise LaterError(exc.message) from exc
        saved, note = cleared.saved_ref or row.saved_ref, cleared.note or row.note
        kept = cleared.kept_files or row.kept_files
        if kept:
            about = {"pod": row.uid, "reason": note}
            logger.warning("files of a pod were kept in %s", kept, extra=about)
        left = dataclasses.replace(row, saved_ref=saved, note=note, kept_files=kept)
        return dataclasses.replace(left, message="", proven_dead=True)

    def _stray(self, uid: str, pod: link_pb2.PodDesired | None) -> Row:
        if pod is not None:
            return begun(pod, State.STOPPING)
        epoch = max((each[0] for each in self._places.runs(uid)), default=0)
        return Row(uid=uid, epoch=epoch, namespace="", name="", state=State.STOPPING)

    async def forget(self, uid: str) -> None:
        """Speak of the removed pod no more; drop what was forgotten long ago."""
        now = wall_ms()
        row = dataclasses.replace(self._journal.rows[uid], forgotten_ms=now, desired=b"")
        await self._journal.put(row)
        self._record.drop(uid)
        for old in list(self._journal.rows.values()):
            if old.forgotten_ms and not 0 <= now - old.forgotten_ms < _MEMORY_MS:
                await self._journal.forget(old.uid)
