"""Carries out one action on one pod. Every step is journalled first and may be repeated.

The order of a start is what makes it happen once: worktree, home and sandbox; then STARTING,
on the disk; then the spawn; then RUNNING. Whoever finds STARTING later asks the operating
system what became of it. Only where that proves, in the same boot, that the program never began,
the start is made again; otherwise the run counts as lost.
"""

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Final

from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.diff import may_restart
from runner.converge.journal import Journal
from runner.converge.outcome import running
from runner.converge.places import Places
from runner.converge.ports import Secrets, Setups, Terminals, Workshop
from runner.converge.prompt import is_typed
from runner.converge.record import Record
from runner.converge.removal import Removal
from runner.converge.reports import Reports
from runner.converge.runs import LaterError, Runs, not_begun
from runner.converge.states import ALIVE, ENDED, Row, State, begun
from runner.converge.unprepared import NotPreparedError
from runner.converge.workshop import Plan, Ready
from runner.drivers.terminal_values import (
    Alive,
    Launch,
    LaunchError,
)
from runner.drivers.terminal_zygote import HOLDER_FAILED

logger = logging.getLogger(__name__)

_LAUNCH_REASONS: Final = {
    "CommandNotFound": "ExecutableNotFound",
    "CommandNotExecutable": "ExecutableNotFound",
}


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
        self._terminals = terminals
        self._workshop = workshop
        self._secrets = secrets
        self._boot_id = boot_id
        self.record = Record(places, journal, reports, terminals, workshop)
        self.runs = Runs(places, journal, self.record, terminals, boot_id)
        self.removal = Removal(places, journal, self.record, terminals, workshop, self.runs)
        self._setups: Setups | None = None

    def use(self, setups: Setups) -> None:
        """Have new worktrees made ready by *setups*; without, they need nothing."""
        self._setups = self.removal.setups = setups

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
            row = await self.record.save(begun(pod, before=row))
        await self._begin(pod, row, committed)

    async def restart(self, pod: link_pb2.PodDesired, committed: Callable[[], None]) -> None:
        """Start the pod again: after a failure, or after it was stopped as wanted.

        Raises:
            LaterError: Something is missing that may come.
        """
        row = self._journal.rows[pod.ref.pod_uid]
        if not (row.stopped or may_restart(pod, row)):
            return
        wish: dict[str, object] = {}
        if row.stopped:
            wish = {"stopped": False, "active_ms": 0, "frozen_ms": 0, "failures": 0}
        # a run that never came so far as to have a directory leaves its number to the next
        begun_before = self._places.run(row.uid, row.epoch, row.restart).exists()
        row = row.moved(
            State.PREPARING,
            restart=row.restart + int(begun_before),
            exit_code=None,
            signal=None,
            reason="",
            message="",
            started_ms=0,
            finished_ms=0,
            ending="",
            prompt_sent=False,
            **wish,
        )
        await self._begin(pod, await self.record.save(row), committed)

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
        given = bool(pod.spec.prompt) and _is_prompted(pod, row) and not is_typed(pod)
        row = await self.record.save(
            row.moved(
                State.STARTING,
                initialized=True,
                desired=pod.SerializeToString(),
                generation=pod.generation,
                digest=pod.spec_digest,
                branch=(row.branch or tree.branch) if tree else "",
                commit=(row.commit or tree.commit) if tree else "",  # as an earlier run left it
                base_commit=tree.commit if tree else "",
                isolation=str(plan.isolation),
                network=str(plan.network),
                note=plan.note,
                reason="",
                message="",
                proven_dead=False,
                boot_id=self._boot_id,
                output_begin=self._terminals.size(self._places.transcript(row.uid)),
                prompt_sent=row.prompt_sent or given,
                prompt_given=row.prompt_given or given,
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
        if self._setups is not None:
            await self._setups.run(pod, ready)
        plan = await self._workshop.plan(
            pod, row.restart, ready, resumed=row.ran, prompted=_is_prompted(pod, row)
        )
        return ready, plan

    async def _not_prepared(self, row: Row, exc: NotPreparedError) -> None:
        state = State.PREPARING if exc.retryable else State.FAILED
        finished = 0 if exc.retryable else wall_ms()
        await self.record.save(
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
            if exc.reason != HOLDER_FAILED:  # else the program may have begun
                row = not_begun(row)
            await self.record.save(
                row.moved(
                    State.FAILED,
                    reason=reason,
                    message=exc.message,
                    finished_ms=wall_ms(),
                    proven_dead=True,
                )
            )
            return False
        await self.record.save(running(row, alive))
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
                await self.runs.end(run_dir, float(pod.grace_seconds))
        if mine is None:
            return False
        # an argument it was given, if there is one; what is typed, its shim takes once
        given = bool(pod.spec.prompt) and not is_typed(pod)
        row = begun(pod, State.STARTING, restart=mine[0], initialized=True, ran=True)
        row = await self.record.save(
            dataclasses.replace(row, prompt_sent=given, prompt_given=given)
        )
        logger.warning("adopted a pod that was not in the journal", extra={"pod": uid})
        await self.runs.settle(row)
        return True

    async def settle(self, uid: str, pod: link_pb2.PodDesired | None = None) -> None:
        """Write down what the operating system says of the pod's run."""
        row = self._journal.rows.get(uid)
        if row is not None and row.state in ALIVE:
            await self.runs.settle(row)
        elif row is None and pod is not None and not await self._adopt(pod):
            await self.cancel(pod, "Stopped")

    async def cancel(self, pod: link_pb2.PodDesired, ending: str) -> None:
        """Note that the pod, of which nothing runs, is not to be started."""
        row = self._journal.rows.get(pod.ref.pod_uid)
        if row is None or row.epoch < pod.ref.epoch:
            row = begun(pod, before=row)
        await self._end_setup(row.uid)
        said = {"DeadlineExceeded": "Its deadline passed before it was started"}
        message = said.get(ending, "It was stopped before it was started")
        await self.record.save(
            dataclasses.replace(
                row,
                state=State.FAILED,
                reason=ending,
                message=f"{message} again." if row.ran else f"{message}.",
                finished_ms=row.finished_ms or wall_ms(),
                stopped=pod.keep_stopped,
            )
        )

    async def park(self, uid: str) -> None:
        """Note that the pod, which has ended, is wanted stopped."""
        row = self._journal.rows[uid]
        if row.state in ENDED:
            await self.record.save(row.moved(row.state, stopped=True))

    async def _end_setup(self, uid: str) -> None:
        if self._setups is not None:
            await self._setups.end(uid)

    async def refuse(self, pod: link_pb2.PodDesired, reason: str, message: str) -> None:
        """Note that the pod, which never ran, cannot run here."""
        await self.record.save(
            begun(pod, State.FAILED, reason=reason, message=message, finished_ms=wall_ms())
        )


def _is_prompted(pod: link_pb2.PodDesired, row: Row) -> bool:
    """Whether the run that is about to be started is given the first prompt."""
    return not row.prompt_given or pod.spec.resume.prompt
