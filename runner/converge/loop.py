"""Compares, again and again, and has done what is to be done: one task per pod at a time.

A cycle never waits for a pod. It is run when the controller wants something else, when a task
or a run ended, and when a wait is over.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.diff import Action, Verb, diff
from runner.converge.facts import Gathering
from runner.converge.fence import Fence
from runner.converge.freshness import Freshness, Sight
from runner.converge.journal import Journal
from runner.converge.outcome import restart_seconds
from runner.converge.perform import Performer
from runner.converge.places import Places
from runner.converge.ports import Prompts, Terminals, Wanted
from runner.converge.reports import ReportFeed, Reports
from runner.converge.runs import LaterError
from runner.converge.states import Row, State
from runner.converge.timers import Timers, by_uid
from runner.converge.watch import Watch

logger = logging.getLogger(__name__)

_LAST_STARTS_SECONDS: Final = 5.0
_ACTIVE: Final = frozenset({State.PREPARING, State.STARTING, State.RUNNING})


@dataclass(slots=True)
class _Work:
    """What is being done about a pod."""

    action: Action
    epoch: int
    task: "asyncio.Task[None] | None" = None
    is_refused: bool = False
    """A start for which there is no room."""
    committed: bool = False
    """A start that went so far that it has to be finished."""


class Converger:
    """The loop. It is what the link talks to."""

    def __init__(
        self,
        places: Places,
        journal: Journal,
        reports: Reports,
        performer: Performer,
        terminals: Terminals,
        prompts: Prompts,
        max_pods: int,
    ) -> None:
        self._places = places
        self._journal = journal
        self._reports = reports
        self._performer = performer
        self._max_pods = max_pods
        self._desired: Mapping[str, link_pb2.PodDesired] | None = None
        self._works: dict[str, _Work] = {}
        self._timers = Timers()
        self._fence = Fence(journal)
        self._wake = asyncio.Event()
        self._closing = False
        self._watch = Watch(places, journal, reports, terminals, prompts, self._wake.set)
        self._gathering = Gathering(journal, reports, self._watch, self._fence)

    def use(self, sight: Sight) -> None:
        """Be told of changes in worktrees by *sight*; without, they are looked at by turns."""
        self._watch.freshness = Freshness(sight)

    # --- the link's side -------------------------------------------------------------------------

    @property
    def controller_epoch(self) -> int:
        """Highest epoch of a controller that was ever followed."""
        return self._journal.controller_epoch

    async def known_as(self, runner_uid: str) -> None:
        """Remember as which Runner this one speaks; another one follows its controller anew."""
        if runner_uid != self._journal.runner_uid:
            await self._journal.set_meta("max_controller_epoch", "0")
            await self._journal.set_meta("runner_uid", runner_uid)

    async def follow(self, controller_epoch: int) -> None:
        """Remember, durably, that a controller of this epoch is followed."""
        if controller_epoch > self._journal.controller_epoch:
            await self._journal.set_meta("max_controller_epoch", str(controller_epoch))

    async def heard(self, sent_at: float) -> None:
        """Note that the controller answered what was sent then, by ``clock.boot_seconds``."""
        were_cut_off = self._fence.cut_off()
        await self._fence.heard(sent_at)
        if were_cut_off:
            self._wake.set()

    def want(self, wanted: Wanted) -> None:
        """Take the desired state; acted on in the background."""
        if wanted.controller_epoch < self.controller_epoch:
            logger.warning("ignored an older controller", extra={"epoch": wanted.controller_epoch})
            return
        if not wanted.pods and not wanted.allow_empty and self._holds_anything():
            logger.warning("ignored an empty desired state: pods are here and it was not confirmed")
            return
        desired = by_uid(pod for pod in wanted.pods if self._is_possible(pod))
        for uid, pod in desired.items():
            if (self._desired or {}).get(uid) != pod:
                self._timers.clear(uid, Verb.START, Verb.REMOVE, Verb.STOP)
        self._desired = desired
        self._give_up_starts(desired)
        self._recall(desired)
        self._fence.see(desired.values())
        self._wake.set()

    def _give_up_starts(self, desired: Mapping[str, link_pb2.PodDesired]) -> None:
        """Have nothing started that is suspended now; nothing is to be done about it otherwise."""
        for uid, work in self._works.items():
            pod = desired.get(uid)
            suspended = pod is not None and pod.desired == link_pb2.SUSPEND
            starts = work.action.verb in {Verb.START, Verb.RESTART} and not work.committed
            if suspended and starts and work.task is not None:
                work.task.cancel()

    def _recall(self, desired: Mapping[str, link_pb2.PodDesired]) -> None:
        """Say of pods that are gone, and are asked for again, that they are gone."""
        for row in self._journal.rows.values():
            if not row.forgotten_ms:
                continue
            pod = desired.get(row.uid)
            if pod is not None and pod.ref.epoch == row.epoch:
                self._performer.record.report(dataclasses.replace(row, forgotten_ms=0))
            else:
                self._reports.drop(row.uid)

    def observed(self) -> list[link_pb2.PodObserved]:
        """Return every pod that the runner knows of."""
        return self._reports.all()

    def subscribe(self, wake: Callable[[], None]) -> ReportFeed:
        """Return a feed of changes from now on."""
        return self._reports.subscribe(wake)

    async def tools_listed(self, uid: str) -> None:
        """Note that a pod's agent has listed its tools: it is ready for its first prompt."""
        await self._watch.tools_listed(uid)

    def doom(self, uid: str, reason: str) -> None:
        """Have the pod's present run ended for that reason, if it runs: it is over a limit."""
        if self._gathering.doom(uid, reason):
            self._wake.set()

    def hook(self, uid: str, body: Mapping[str, Any]) -> None:
        """Take what a hook of a pod's agent said of what it does."""
        self._watch.hook(uid, body)

    def running(self) -> int:
        """Return how many pods run."""
        return sum(row.state is State.RUNNING for row in self._journal.rows.values())

    @property
    def is_busy(self) -> bool:
        """Whether something is being done, or is about to be."""
        return bool(self._works) or self._wake.is_set()

    # --- the loop --------------------------------------------------------------------------------

    async def look_around(self) -> None:
        """Take stock, before anybody is told anything.

        A report that lacks a pod would say that nothing of it is here.
        """
        self._fence.recall()
        self._performer.record.activity = self._watch.activity.told
        for row in self._journal.rows.values():
            self._performer.record.report(row)
        await self._watch.look_around()

    async def run(self) -> None:
        """Converge until cancelled, after ``look_around``. Cancelling stops no agent."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch.look_at_output())
            tasks.create_task(self._watch.look_at_worktrees(self._performer.record.refresh))
            while True:
                self._wake.clear()
                self.cycle(tasks)
                wait = min(self._timers.next_seconds(), self._gathering.next_seconds())
                try:
                    async with asyncio.timeout(max(0.01, wait)):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def close(self) -> None:
        """Begin nothing more, and let starts that are half done finish."""
        self._closing = True
        starts = {w.task for w in self._works.values() if w.committed and w.task is not None}
        if starts:
            await asyncio.wait(starts, timeout=_LAST_STARTS_SECONDS)

    def cycle(self, tasks: asyncio.TaskGroup) -> str:
        """Compare once and begin what can begin; return one sentence on what was done."""
        if self._closing:
            return "closing: nothing is begun"
        rows = self._journal.rows
        facts = self._gathering.facts((self._desired or {}).values())
        begun = [
            action
            for action in diff(self._desired, rows, facts)
            if self._may_begin(action) and self._begin(tasks, action)
        ]
        self._watch.running(tasks)
        note = _sentence(begun)
        if begun:
            logger.info("cycle", extra={"note": note, "pods": len(rows)})
        return note

    # --- one pod ---------------------------------------------------------------------------------

    def _may_begin(self, action: Action) -> bool:
        """Whether the action's time has come; it makes way for itself where it may."""
        uid, verb = action.uid, action.verb
        work = self._works.get(uid)
        if work is not None:
            if self._overrules(action, work) and work.task is not None:
                work.task.cancel()
            return False
        if verb is Verb.RESTART and not self._may_restart(self._journal.rows[uid]):
            return False
        return not self._timers.is_waiting(uid, verb)

    def _may_restart(self, row: Row) -> bool:
        """Whether there is room for a pod that was stopped; have one that failed wait a while."""
        if row.stopped:
            self._timers.clear(row.uid, Verb.RESTART)
            return not self._is_full(row.uid)
        if not self._timers.is_delayed(row.uid, Verb.RESTART):
            pause = restart_seconds(row.failures)
            waited = (
                wall_ms() - row.finished_ms
            ) / 1000  # a runner that comes back begins not anew
            wait = min(pause, max(0.0, pause - waited))
            self._timers.delay(row.uid, Verb.RESTART, wait)
        return True

    def _overrules(self, action: Action, work: _Work) -> bool:
        if work.action.verb in {Verb.START, Verb.RESTART} and not work.committed:
            pod = (self._desired or {}).get(action.uid)
            newer = pod is not None and pod.ref.epoch > work.epoch
            return newer or action.verb in {Verb.STOP, Verb.CANCEL, Verb.REMOVE}
        return work.action.verb is Verb.STOP and action.verb is Verb.REMOVE

    def _begin(self, tasks: asyncio.TaskGroup, action: Action) -> bool:
        pod = (self._desired or {}).get(action.uid)
        if action.verb is Verb.DECLINE:
            self._decline(action, pod)
            return False
        work = _Work(action, pod.ref.epoch if pod is not None else 0)
        work.is_refused = action.verb is Verb.START and self._is_full(action.uid)
        self._works[action.uid] = work
        work.task = tasks.create_task(self._work(work, pod), name=f"{action.verb} {action.uid}")
        work.task.add_done_callback(lambda _: self._ended(action.uid))
        return True

    def _ended(self, uid: str) -> None:
        del self._works[uid]  # here and not in the task, which may be cancelled before it began
        self._wake.set()

    async def _work(self, work: _Work, pod: link_pb2.PodDesired | None) -> None:
        action = work.action
        try:
            await self._perform(work, pod)
        except LaterError as exc:
            wait = self._timers.failed(action.uid, action.verb)
            note = {"pod": action.uid, "retry_seconds": wait}
            logger.warning("%s failed: %s", action.verb, exc, extra=note)
        except Exception as exc:
            self._timers.failed(action.uid, action.verb)
            text = f"The runner could not go on and tries again: {type(exc).__name__}."
            self._watch.note(action.uid, text)
            logger.exception("%s failed", action.verb, extra={"pod": action.uid})
        else:
            self._timers.clear(action.uid, action.verb)
            if action.verb in {Verb.FORGET, Verb.REMOVE}:
                self._timers.clear(action.uid)

    async def _perform(self, work: _Work, pod: link_pb2.PodDesired | None) -> None:
        uid, performer = work.action.uid, self._performer
        match work.action.verb:
            case Verb.SETTLE:
                await performer.settle(uid, pod)
            case Verb.STOP:
                grace, keep = self._grace_seconds(uid, pod), _is_kept(pod)
                await performer.runs.stop(uid, work.action.ending, grace, keep_stopped=keep)
            case Verb.PARK:
                await performer.park(uid)
            case Verb.FREEZE:
                await performer.runs.freeze(uid)
            case Verb.THAW:
                await performer.runs.thaw(uid)
            case Verb.REMOVE:
                await performer.removal.remove(uid, pod)
            case Verb.FORGET:
                await performer.removal.forget(uid)
            case _:
                if pod is not None:
                    await self._perform_wanted(work, pod)
                return
        self._watch.unsettled.discard(uid)

    async def _perform_wanted(self, work: _Work, pod: link_pb2.PodDesired) -> None:
        """Do what only a pod that is wanted can need."""

        def committed() -> None:
            work.committed = True

        match work.action.verb:
            case Verb.START if work.is_refused:
                text = f"The runner has its {self._max_pods} pods (--max-pods) already."
                await self._performer.refuse(pod, "Capacity", text)
            case Verb.START:
                await self._performer.start(pod, committed)
            case Verb.RESTART:
                await self._performer.restart(pod, committed)
            case Verb.CANCEL:
                await self._performer.cancel(pod, work.action.ending)
            case _:
                raise AssertionError(f"{work.action} is not for a wanted pod")

    def _grace_seconds(self, uid: str, pod: link_pb2.PodDesired | None) -> float:
        return float(pod.grace_seconds if pod else self._journal.rows[uid].pod().grace_seconds)

    def _decline(self, action: Action, pod: link_pb2.PodDesired | None) -> None:
        if pod is None or action.uid in self._journal.rows:
            return
        report = link_pb2.PodObserved(
            ref=pod.ref,
            namespace=pod.namespace,
            name=pod.name,
            generation=pod.generation,
            reason="Unsupported",
            message=f"This runner is too old for what the controller wants: {action.why}.",
        )
        self._reports.put(report)

    def _holds_anything(self) -> bool:
        rows = self._journal.rows.values()
        return bool(self._watch.strays()) or any(row.state is not State.REMOVED for row in rows)

    def _is_full(self, uid: str) -> bool:
        if self._max_pods <= 0:
            return False
        active = {row.uid for row in self._journal.rows.values() if row.state in _ACTIVE}
        begun = [w for w in self._works.values() if w.action.verb is Verb.START]
        active |= {work.action.uid for work in begun if not work.is_refused}
        mine = self._journal.rows.get(uid)
        if mine is not None and mine.state is State.PREPARING:
            return False  # it was let in before
        return len(active - {uid}) >= self._max_pods

    def _is_possible(self, pod: link_pb2.PodDesired) -> bool:
        try:
            self._places.pod(pod.ref.pod_uid)
        except ValueError:
            logger.error("the controller wants a pod with an impossible uid")  # noqa: TRY400
            return False
        return True


def _is_kept(pod: link_pb2.PodDesired | None) -> bool:
    return pod is not None and pod.desired == link_pb2.STOP and pod.keep_stopped


def _sentence(actions: list[Action]) -> str:
    if not actions:
        return "nothing to do"
    counts: dict[Verb, int] = {}
    for action in actions:
        counts[action.verb] = counts.get(action.verb, 0) + 1
    return ", ".join(f"{verb} {count}" for verb, count in sorted(counts.items()))
