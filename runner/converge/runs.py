"""What became of runs, and what is done to them: frozen, thawed, ended."""

import asyncio
import contextlib
import dataclasses
import logging
from pathlib import Path
from typing import Final

from runner.clock import wall_ms
from runner.converge.journal import Journal
from runner.converge.outcome import exited, lost, running
from runner.converge.places import Places
from runner.converge.ports import Terminals
from runner.converge.record import Record
from runner.converge.states import ALIVE, Row, State
from runner.drivers.terminal_values import Absent, Alive, Exited, NotRunning, TerminalError

logger = logging.getLogger(__name__)

_AFTER_GRACE_SECONDS: Final = 20.0


class LaterError(Exception):
    """It did not work now; the row says why, and a later attempt may."""


class Runs:
    """The runs of all pods. One call at a time per uid."""

    def __init__(
        self,
        places: Places,
        journal: Journal,
        record: Record,
        terminals: Terminals,
        boot_id: str,
    ) -> None:
        self._places = places
        self._journal = journal
        self._record = record
        self._terminals = terminals
        self._boot_id = boot_id

    async def settle(self, row: Row) -> None:
        """Write down what the operating system says of the row's run."""
        run_dir = self._places.run(row.uid, row.epoch, row.restart)
        found = await self._terminals.observe(run_dir)
        match found:
            case Alive():
                if row.state is State.STOPPING:
                    await self._record.save(dataclasses.replace(row, pid=found.pid))
                else:
                    row = running(row, found)
                    if row.is_held:
                        await self._hold(row)
                    await self._record.save(row)
            case Exited():
                await self._record.save(await self._record.with_worktree(exited(row, found)))
            case Absent(died=False) if row.state is State.STARTING and self._is_of_this_boot(row):
                # No shim has the run's lock, and the program begins only after this daemon, or
                # one that is dead, has seen it held and said go: it never began.
                logger.info("a start came to nothing and is made again", extra={"pod": row.uid})
                await self._record.save(not_begun(row).moved(State.PREPARING))
            case Absent():
                # whatever of it outlived its shim is ended before anything else may start
                await self._terminals.stop(run_dir, 0.0)
                gone = lost(row, died=found.died, gone=not self._is_of_this_boot(row))
                await self._record.save(await self._record.with_worktree(gone))

    def _is_of_this_boot(self, row: Row) -> bool:
        return row.boot_id == self._boot_id != ""

    # --- frozen ----------------------------------------------------------------------------------

    async def freeze(self, uid: str) -> None:
        """Stop all processes of the pod where they are.

        Raises:
            LaterError: It cannot be done now.
        """
        row = self._journal.rows[uid]
        if row.state is State.RUNNING and not row.is_frozen:
            row = row.moved(State.RUNNING, suspended=True)
            await self._journal.put(row)
            await self._hold(row)
            await self._record.save(row.moved(State.RUNNING, frozen_at_ms=max(1, wall_ms())))
            logger.info("pod frozen", extra={"pod": uid})

    async def thaw(self, uid: str) -> None:
        """Have all processes of the pod go on.

        Raises:
            LaterError: It cannot be done now.
        """
        row = self._journal.rows[uid]
        if row.state is State.RUNNING and row.is_held:
            row = row.moved(State.RUNNING, suspended=False)
            await self._journal.put(row)
            await self._hold(row)
            frozen_ms = max(0, wall_ms() - row.frozen_at_ms) if row.frozen_at_ms else 0
            frozen_ms += row.frozen_ms
            await self._record.save(row.moved(State.RUNNING, frozen_at_ms=0, frozen_ms=frozen_ms))
            logger.info("pod thawed", extra={"pod": uid})

    async def _hold(self, row: Row) -> None:
        """Make true what the row says of being frozen; an earlier runner may not have come to it.

        Raises:
            LaterError: It cannot be done now.
        """
        run_dir = self._places.run(row.uid, row.epoch, row.restart)
        try:
            await (self._terminals.freeze if row.suspended else self._terminals.thaw)(run_dir)
        except NotRunning:
            return  # it has just ended
        except (TerminalError, TimeoutError) as exc:
            raise LaterError(f"the pod cannot be frozen or thawed: {exc}") from exc

    # --- ending ----------------------------------------------------------------------------------

    async def stop(
        self, uid: str, ending: str, grace_seconds: float, *, keep_stopped: bool = False
    ) -> None:
        """End the run and wait until every process of it is gone.

        *keep_stopped*: a person wants that; once that is wanted again, the pod is started again.

        Raises:
            LaterError: It has not ended yet.
        """
        row = self._journal.rows[uid]
        if row.state not in ALIVE:
            return
        stopped = row.stopped or keep_stopped
        if row.state is not State.STOPPING or row.ending != ending or row.stopped != stopped:
            ending = row.ending or ending
            row = row.moved(State.STOPPING, ending=ending, stopped=stopped)
            row = await self._record.save(row)
        run_dir = self._places.run(uid, row.epoch, row.restart)
        await self.end(run_dir, grace_seconds, frozen=row.is_held)
        await self.settle(row)

    async def end(self, run_dir: Path, grace_seconds: float, *, frozen: bool = False) -> None:
        """Ask the run to end, and wait for it; one that is, or may be, *frozen* is thawed first.

        Raises:
            LaterError: It has not ended yet.
        """
        found = await self._terminals.observe(run_dir)
        if isinstance(found, Exited):
            return
        if frozen:
            with contextlib.suppress(TerminalError, TimeoutError):  # to end it is more important
                await self._terminals.thaw(run_dir)
        await self._terminals.stop(run_dir, grace_seconds)
        try:
            async with asyncio.timeout(grace_seconds + _AFTER_GRACE_SECONDS):
                await self._terminals.watch_exit(run_dir)
        except TimeoutError as exc:
            raise LaterError("the agent's processes do not end") from exc


def not_begun(row: Row) -> Row:
    """Return the row of a run of which it is proven that its program never began."""
    if not row.prompt_sent:
        return row
    return dataclasses.replace(row, prompt_sent=False, prompt_given=False)
