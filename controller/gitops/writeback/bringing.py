"""Has what was pushed brought back by the sync, so that the Ticket resources show it."""

import asyncio
import logging
from collections.abc import Callable

from controller.gitops.writeback.journal import Journal, JournalError
from controller.gitops.writeback.ports import Syncing
from controller.gitops.writeback.timing import Timing
from controller.kernel.store import Collection
from schemas.gitsource import GitSource

logger = logging.getLogger(__name__)


class Bringing:
    """Asks for passes of the sync: one at a time per source, until all that landed is shown."""

    def __init__(
        self,
        journal: Journal,
        syncing: Syncing,
        sources: Collection[GitSource],
        timing: Timing,
        brought: Callable[[frozenset[str]], None],
    ) -> None:
        """*brought* hears which operations are shown now."""
        self._journal = journal
        self._syncing = syncing
        self._sources = sources
        self._timing = timing
        self._brought = brought
        self._busy: set[str] = set()

    def begin(self, uid: str, tasks: asyncio.TaskGroup) -> None:
        """See to it that what has landed is brought back; nothing if that is under way."""
        if uid not in self._busy and self._journal.unapplied(uid):
            self._busy.add(uid)
            tasks.create_task(self._bring(uid))

    async def _bring(self, uid: str) -> None:
        failures = 0
        try:
            while ids := self._journal.unapplied(uid):
                if await self._pass(uid):
                    failures = 0
                    await self._journal.applied(uid, ids)
                    self._brought(frozenset(ids))
                else:
                    failures += 1
                    await asyncio.sleep(self._timing.away(failures))
        except JournalError as exc:
            logger.error(  # noqa: TRY400 - a sentence says it all; the next push tries again
                "what was brought back cannot be recorded", extra={"reason": str(exc)}
            )
        finally:
            self._busy.discard(uid)

    async def _pass(self, uid: str) -> bool:
        """Have one pass made; tell whether all that had landed is shown. Also if nobody is left."""
        source = self._sources.by_uid(uid)
        if source is None:
            return True
        try:
            async with asyncio.timeout(self._timing.applying):
                return await self._syncing.sync(source.metadata.namespace, source.metadata.name)
        except TimeoutError:
            return False
