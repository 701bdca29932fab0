"""Carries out one action on one pod. Every step is journalled first and may be repeated.

The order of a start is what makes it happen once: worktree, home and sandbox; then STARTING,
on the disk; then the spawn; then RUNNING. Whoever finds STARTING later asks the operating
system what became of it. Only where that proves, in the same boot, that the program never began,
the start is made again; otherwise the run counts as lost.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.activity import Told
from runner.converge.diff import may_restart
from runner.converge.journal import Journal
from runner.converge.outcome import exited, lost, running
from runner.converge.places import Places
from runner.converge.ports import Secrets, Terminals, Workshop
from runner.converge.reports import Reports, observed
from runner.converge.states import ALIVE, Row, State, begun
from runner.converge.workshop import NotPreparedError, Plan, Ready
from runner.drivers.terminal_values import (
    Absent,
    Alive,
    Exited,
    Launch,
    LaunchError,
)
from runner.drivers.worktree_values import WorktreeState

logger = logging.getLogger(__name__)

_AFTER_GRACE_SECONDS: Final = 20.0

_MEMORY_MS: Final = 24 * 3600 * 1000
"""A removed pod is remembered so long after the controller dropped it."""

_LAUNCH_REASONS: Final = {
    "CommandNotFound": "ExecutableNotFound",
    "CommandNotExecutable": "ExecutableNotFound",
}


class LaterError(Exception):
    """It did not work now; the row says why, and a later attempt may."""


class Performer:
    """Does what the diff says. One call at a time per uid; calls for several run side by side."""

    def __init__(
        self,
        places: Places,
        journal: Journal,
        reports: Reports,
        terminals: Terminals,
        workshop: Workshop,
        secrets: Secrets,
        boot_id: str,
    ) -> None:
        self._places = places
        self._journal = journal
        self._reports = reports
        self._terminals = terminals
        self._workshop = workshop
        self._secrets = secrets
        self._boot_id = boot_id
        self._trees: dict[str, WorktreeState] = {}
        """Worktrees of live pods as last looked at. Not journalled: whoever starts looks again."""
        self.activity: Callable[[str], Told] = lambda _uid: Told()

    # --- starting --------------------------------------------------------------------------------

    async def start(self, pod: link_pb2.PodDesired, committed: Callable[[], None]) -> None:
        """Prepare and start the first run of the pod's epoch, or adopt it if it exists.

        *committed* is called when the start can no longer be given up for another action.

        Raises:
            LaterError: Something is missing that may come.
        """
        row = self._journal.rows.get(pod.ref.pod_uid)
        if row is None and await self._adopt(pod):
            return
        if row is None or row.epoch < pod.ref.epoch:
            row = await self.save(begun(pod))
        await self._begin(pod, row, committed)

    async def restart(self, pod: link_pb2.PodDesired, committed: Callable[[], None]) -> None:
        """Start the pod again after a failure.

        Raises:
            LaterError: Something is missing that may come.
        """
        row = self._journal.rows[pod.ref.pod_uid]
        if not may_restart(pod, row):
            return
        row = row.moved(
            State.PREPARING,
            restart=row.restart + 1,
            exit_code=None,
            signal=None,
            reason="",
            message="",
            started_ms=0,
            finished_ms=0,
            ending="",
            prompt_sent=False,
        )
        await self._begin(pod, await self.save(row), committed)

    async def _begin(
        self, pod: link_pb2.PodDesired, row: Row, committed: Callable[[], None]
    ) -> None:
        began = time.monotonic()
        try:
            ready, plan = await self._ready(pod, row)
        except NotPreparedError as exc:
            await self._not_prepared(row, exc)
            return
        tree, prepared = ready.worktree, time.monotonic()
        committed()
        row = await self.save(
            row.moved(
                State.STARTING,
                initialized=True,
                desired=pod.SerializeToString(),
                generation=pod.generation,
                digest=pod.spec_digest,
                branch=tree.branch if tree else "",
                commit=tree.commit if tree else "",
                isolation=str(plan.isolation),
                network=str(plan.network),
                note=plan.note,
                reason="",
                message="",
                proven_dead=False,
                boot_id=self._boot_id,
                output_begin=self._terminals.size(self._places.transcript(row.uid)),
            )
        )
        if await self._spawn(row, plan.launch):
            note = {"pod": row.uid, "epoch": row.epoch}
            note["prepare_ms"] = round((prepared - began) * 1000)
            note["spawn_ms"] = round((time.monotonic() - prepared) * 1000)
            logger.info("pod started", extra=note)

    async def _ready(self, pod: link_pb2.PodDesired, row: Row) -> tuple[Ready, Plan]:
        secrets = None
        if pod.spec.repository.has_credentials:
            secrets = await self._secrets.fetch(pod.ref)
        ready = await self._workshop.prepare(pod, secrets)
        return ready, await self._workshop.plan(pod, row.restart, ready)

    async def _not_prepared(self, row: Row, exc: NotPreparedError) -> None:
        state = State.PREPARING if exc.retryable else State.FAILED
        finished = 0 if exc.retryable else wall_ms()
        await self.save(
            row.moved(state, reason=exc.reason, message=exc.message, finished_ms=finished)
        )
        logger.info("pod not prepared", extra={"pod": row.uid, "reason": exc.reason})
        if exc.retryable:
            raise LaterError(exc.message) from exc

    async def _spawn(self, row: Row, launch: Launch) -> bool:
        """Start the run; return whether it runs."""
        try:
            alive = await self._terminals.start(launch)
        except LaunchError as exc:
            if exc.reason == "AlreadyStarted":
                await self.settle(row.uid)
                return False
            reason = _LAUNCH_REASONS.get(exc.reason, "StartFailed")
            await self.save(
                row.moved(
                    State.FAILED,
                    reason=reason,
                    message=exc.message,
                    finished_ms=wall_ms(),
                    proven_dead=True,
                )
            )
            return False
        await self.save(running(row, alive))
        return True

    async def _adopt(self, pod: link_pb2.PodDesired) -> bool:
        """Take over a run that the journal does not know. Its directory is the claim.

        Raises:
            LaterError: A run of another epoch had to be ended first.
        """
        uid, mine = pod.ref.pod_uid, None
        for epoch, restart, run_dir in self._places.runs(uid):
            if epoch == pod.ref.epoch:
                mine = (restart, run_dir)
            elif isinstance(await self._terminals.observe(run_dir), Alive):
                await self._end(run_dir, float(pod.grace_seconds))
        if mine is None:
            return False
        row = await self.save(begun(pod, State.STARTING, restart=mine[0], initialized=True))
        logger.warning("adopted a pod that was not in the journal", extra={"pod": uid})
        await self._settle_row(row)
        return True

    # --- what became of it -----------------------------------------------------------------------

    async def settle(self, uid: str, pod: link_pb2.PodDesired | None = None) -> None:
        """Write down what the operating system says of the pod's run."""
        row = self._journal.rows.get(uid)
        if row is not None and row.state in ALIVE:
            await self._settle_row(row)
        elif row is None and pod is not None and not await self._adopt(pod):
            await self.cancel(pod, "Stopped")

    async def _settle_row(self, row: Row) -> None:
        run_dir = self._places.run(row.uid, row.epoch, row.restart)
        found = await self._terminals.observe(run_dir)
        match found:
            case Alive():
                if row.state is State.STOPPING:
                    await self.save(dataclasses.replace(row, pid=found.pid))
                else:
                    await self.save(running(row, found))
            case Exited():
                await self.save(await self._with_worktree(exited(row, found)))
            case Absent(died=False) if row.state is State.STARTING and self._is_of_this_boot(row):
                # No shim has the run's lock, and the program begins only after this daemon, or
                # one that is dead, has seen it held and said go: it never began.
                logger.info("a start came to nothing and is made again", extra={"pod": row.uid})
                await self.save(row.moved(State.PREPARING))
            case Absent():
                # whatever of it outlived its shim is ended before anything else may start
                await self._terminals.stop(run_dir, 0.0)
                await self.save(await self._with_worktree(lost(row, died=found.died)))

    def _is_of_this_boot(self, row: Row) -> bool:
        return row.boot_id == self._boot_id != ""

    async def _with_worktree(self, row: Row) -> Row:
        tree = await self._workshop.inspect(row.uid) if row.initialized else None
        return _with(row, tree) if tree is not None else row

    # --- ending ----------------------------------------------------------------------------------

    async def stop(self, uid: str, ending: str, grace_seconds: float) -> None:
        """End the run and wait until every process of it is gone.

        Raises:
            LaterError: It has not ended yet.
        """
        row = self._journal.rows[uid]
        if row.state not in ALIVE:
            return
        if row.state is not State.STOPPING or row.ending != ending:
            row = await self.save(row.moved(State.STOPPING, ending=row.ending or ending))
        await self._end(self._places.run(uid, row.epoch, row.restart), grace_seconds)
        await self._settle_row(row)

    async def _end(self, run_dir: Path, grace_seconds: float) -> None:
        found = await self._terminals.observe(run_dir)
        if isinstance(found, Exited):
            return
        await self._terminals.stop(run_dir, grace_seconds)
        try:
            async with asyncio.timeout(grace_seconds + _AFTER_GRACE_SECONDS):
                await self._terminals.watch_exit(run_dir)
        except TimeoutError as exc:
            raise LaterError("the agent's processes do not end") from exc

    async def cancel(self, pod: link_pb2.PodDesired, ending: str) -> None:
        """Note that the pod, which never ran, is not to run."""
        row = self._journal.rows.get(pod.ref.pod_uid)
        if row is None or row.epoch < pod.ref.epoch:
            row = begun(pod)
        said = {"DeadlineExceeded": "Its deadline passed before it was started."}
        message = said.get(ending, "It was stopped before it was started.")
        await self.save(
            dataclasses.replace(
                row, state=State.FAILED, reason=ending, message=message, finished_ms=wall_ms()
            )
        )

    async def refuse(self, pod: link_pb2.PodDesired, reason: str, message: str) -> None:
        """Note that the pod, which never ran, cannot run here."""
        await self.save(
            begun(pod, State.FAILED, reason=reason, message=message, finished_ms=wall_ms())
        )

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
        await self.save(dataclasses.replace(row, state=State.REMOVED, pid=0, child_pid=0))
        logger.info("pod removed", extra={"pod": uid, "saved_ref": row.saved_ref})

    async def _empty(self, row: Row, grace_seconds: float) -> Row:
        """End what runs and clear what stands; return the row of what is left to say."""
        if row.uid in self._journal.rows or self._places.pod(row.uid).exists():
            row = await self.save(dataclasses.replace(row, state=State.STOPPING, ending="Stopped"))
        run_dirs = self._places.runs(row.uid)
        for _, _, run_dir in run_dirs:
            await self._end(run_dir, grace_seconds)
        if run_dirs and row.finished_ms == 0:
            found = await self._terminals.observe(run_dirs[-1][2])
            end = exited(row, found) if isinstance(found, Exited) else lost(row, died=True)
            row = dataclasses.replace(end, state=State.STOPPING)
        try:
            cleared = await self._workshop.clear(row.uid)
        except NotPreparedError as exc:
            await self.save(dataclasses.replace(row, reason=exc.reason, message=exc.message))
            raise LaterError(exc.message) from exc
        saved, note = cleared.saved_ref or row.saved_ref, cleared.note or row.note
        return dataclasses.replace(row, saved_ref=saved, note=note, message="", proven_dead=True)

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
        self._reports.drop(uid)
        for old in list(self._journal.rows.values()):
            if old.forgotten_ms and not 0 <= now - old.forgotten_ms < _MEMORY_MS:
                await self._journal.forget(old.uid)

    # --- writing down ----------------------------------------------------------------------------

    async def save(self, row: Row) -> Row:
        """Journal the row, then report it."""
        await self._journal.put(row)
        self.report(row)
        return row

    def report(self, row: Row) -> None:
        """Tell the controller what the row says, unless it has dropped the pod."""
        if row.state not in ALIVE:
            self._trees.pop(row.uid, None)
        if not row.forgotten_ms:
            self._reports.put(self._observed(row))

    async def refresh(self, uid: str) -> None:
        """Tell anew how worktree and transcript of a running pod stand; journals nothing."""
        row = self._journal.rows.get(uid)
        if row is None or row.state is not State.RUNNING:
            return
        tree = await self._workshop.inspect(uid) if row.initialized else None
        row, latest = self._journal.rows.get(uid), self._reports.get(uid)
        if row is None or row.state is not State.RUNNING or latest is None:
            return  # it has moved on meanwhile
        if tree is not None:
            self._trees[uid] = tree
        fresh = self._observed(row)
        fresh.message = latest.message  # a note stays until the state changes
        self._reports.put(fresh)

    def _observed(self, row: Row) -> link_pb2.PodObserved:
        if (tree := self._trees.get(row.uid)) is not None:
            row = _with(row, tree)
        size = self._terminals.size(self._places.transcript(row.uid)) if row.started_ms else 0
        return observed(row, size, self.activity(row.uid), self._journal.listed_ms(row))


def _with(row: Row, tree: WorktreeState) -> Row:
    return dataclasses.replace(
        row, branch=tree.branch or row.branch, commit=tree.commit or row.commit, dirty=tree.dirty
    )
