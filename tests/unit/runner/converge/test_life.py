"""Stopped, started again, frozen, restarted: by the loop, over crashes of it."""

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.states import Row, State
from runner.converge.unprepared import NotPreparedError
from runner.drivers.terminal_values import Alive, LaunchError, TerminalError
from runner.drivers.worktree_values import Worktree, WorktreeState
from tests.unit.runner.converge.world import Machine, World, pod, wanted

pytestmark = pytest.mark.anyio

UID = "pod-1"
RUN, STOP, SUSPEND = link_pb2.RUN, link_pb2.STOP, link_pb2.SUSPEND


async def want(machine: Machine, desired: Any, **fields: Any) -> None:
    machine.converger.want(wanted([pod(UID, desired, **fields)]))
    await machine.settle()


async def until(claim: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not claim():
            await asyncio.sleep(0.002)


def row(machine: Machine) -> Row:
    return machine.journal.rows[UID]


def report(machine: Machine) -> link_pb2.PodObserved:
    found = machine.reports.get(UID)
    assert found is not None
    return found


async def exits(world: World, code: int) -> None:
    [run_dir] = [path for path, run in world.runs.items() if isinstance(run, Alive)]
    await world.end(run_dir, code)


async def test_a_stopped_pod_starts_again_as_the_next_run_and_without_its_prompt(
    tmp_path: Path,
) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        await want(machine, STOP)
        assert report(machine).stopped
        assert not world.alive(UID)
        await want(machine, RUN)
        assert [run.restart for run in world.alive(UID)] == [1]
        assert not report(machine).stopped
    assert world.plans == [(0, False, True), (1, True, False)]


async def test_what_it_committed_is_told_on_when_it_starts_again(tmp_path: Path) -> None:
    world = World()
    world.made[UID] = Worktree(tmp_path, tmp_path, "fix", "ba5e", (), "")
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        assert report(machine).worktree.commit == "ba5e"
        world.trees[UID] = WorktreeState("fix", "c0ffee", dirty=True, ahead=1)
        await want(machine, STOP)
        del world.trees[UID]
        for restart in (False, True):
            await want(machine, RUN, epoch=2 if restart else 1)
            tree = report(machine).worktree
            assert (tree.commit, tree.dirty) == ("c0ffee", True)
            assert tree.base_commit == "ba5e"


@pytest.mark.parametrize("boot_id", ["boot-1", "boot-2"])
async def test_that_it_is_stopped_outlives_runner_and_machine(tmp_path: Path, boot_id: str) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        await want(machine, STOP)
    async with Machine(tmp_path, world, boot_id=boot_id) as machine:
        assert report(machine).stopped
        await want(machine, RUN)
        assert [run.restart for run in world.alive(UID)] == [1]
    assert world.prompts[UID] == 1


async def test_one_that_never_ran_is_simply_started_and_given_its_prompt(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, STOP)
        assert report(machine).stopped
        await want(machine, RUN)
        assert [run.restart for run in world.alive(UID)] == [0]
    assert world.plans == [(0, False, True)]


async def test_one_that_ended_by_itself_needs_to_be_wanted_stopped_first(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        await exits(world, 0)
        await until(lambda: row(machine).state is State.SUCCEEDED)
        await want(machine, RUN, generation=2)
        assert not world.alive(UID)
        machine.converger.want(wanted([ended := pod(UID, STOP)]))
        ended.keep_stopped = False  # the controller, of a pod that ended
        machine.converger.want(wanted([ended]))
        await machine.settle()
        await want(machine, STOP)
        assert (report(machine).stopped, report(machine).state) == (True, link_pb2.SUCCEEDED)
        await want(machine, RUN)
        assert [run.restart for run in world.alive(UID)] == [1]


async def test_a_wish_that_changes_while_it_is_being_stopped_is_carried_out_after_it(
    tmp_path: Path,
) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        world.may_end.clear()
        machine.converger.want(wanted([pod(UID, STOP)]))
        await until(lambda: row(machine).state is State.STOPPING)
        machine.converger.want(wanted([pod(UID, RUN)]))
        world.may_end.set()
        await until(lambda: row(machine).state is State.RUNNING and row(machine).restart == 1)
        await machine.settle()
        assert [run.restart for run in world.alive(UID)] == [1]


async def test_a_preparation_that_fails_again_and_is_stopped_keeps_what_it_was_given(
    tmp_path: Path,
) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        await want(machine, STOP)
        world.broken[UID] = NotPreparedError("CloneFailed", "it is away", retryable=True)
        await want(machine, RUN)
        await want(machine, STOP)
        assert (row(machine).state, row(machine).message) == (
            State.FAILED,
            "It was stopped before it was started again.",
        )
        world.broken.clear()
        await want(machine, RUN)
        assert [run.restart for run in world.alive(UID)] == [1]
    assert world.prompts[UID] == 1


async def test_a_program_that_could_not_be_started_has_not_had_its_prompt(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        terminals = machine.terminals
        start = terminals.start

        async def missing(launch: Any) -> Any:
            raise LaunchError("CommandNotFound", f"there is no {launch.argv[0]}")

        terminals.start = missing
        await want(machine, RUN)
        assert (row(machine).reason, row(machine).prompt_given) == ("ExecutableNotFound", False)
        terminals.start = start
        await want(machine, STOP)
        await want(machine, RUN)
        assert world.prompts[UID] == 1


async def test_a_suspended_pod_is_frozen_and_goes_on(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        await want(machine, SUSPEND)
        assert report(machine).suspended
        assert len(world.frozen) == 1
        await want(machine, RUN)
        assert not report(machine).suspended
        assert not world.frozen
        assert row(machine).frozen_at_ms == 0
    assert world.starts == {(UID, 1, 0): 1}


async def test_a_pod_stays_frozen_over_crashes_and_is_stopped_thawed(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        await want(machine, SUSPEND)
    async with Machine(tmp_path, world) as machine:
        await machine.settle()
        assert len(world.frozen) == 1
        assert report(machine).suspended
        await want(machine, STOP)
    assert world.wrong == []
    assert not world.alive(UID)


@pytest.mark.parametrize("desired", [RUN, SUSPEND], ids=["thawing", "freezing"])
async def test_a_crash_between_writing_down_and_doing_it_is_repaired(
    tmp_path: Path, desired: Any
) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        if desired is RUN:
            await want(machine, SUSPEND)
        half = dataclasses.replace(row(machine), suspended=desired is SUSPEND)
        await machine.journal.put(half)
    async with Machine(tmp_path, world) as machine:
        await machine.settle()  # before the controller says anything
        assert bool(world.frozen) is (desired is SUSPEND)
        await want(machine, desired)
        assert report(machine).suspended is (desired is SUSPEND)
        assert bool(world.frozen) is (desired is SUSPEND)


async def test_one_that_cannot_be_frozen_is_not_said_to_be_and_is_tried_again(
    tmp_path: Path,
) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        freeze = machine.terminals.freeze

        async def refused(run_dir: Path) -> None:
            raise TerminalError(f"some of {run_dir} cannot be stopped")

        machine.terminals.freeze = refused
        await want(machine, SUSPEND)
        assert not report(machine).suspended
        machine.terminals.freeze = freeze
        await until(lambda: report(machine).suspended)
        assert world.frozen


async def test_nothing_is_started_or_restarted_while_it_is_suspended(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, SUSPEND, restart=True)
        assert not world.starts
        await want(machine, RUN, restart=True)
        await want(machine, SUSPEND, restart=True)
        await exits(world, 3)  # killed from outside
        await until(lambda: row(machine).state is State.FAILED)
        await machine.settle()
        assert not world.alive(UID)


async def test_a_start_that_is_under_way_is_given_up_when_it_is_suspended(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        prepare, begun = machine.workshop.prepare, asyncio.Event()

        async def slow(*_: Any) -> Any:
            begun.set()
            await asyncio.Event().wait()

        machine.workshop.prepare = slow
        machine.converger.want(wanted([pod(UID)]))
        await asyncio.wait_for(begun.wait(), 20)
        machine.workshop.prepare = prepare
        await want(machine, SUSPEND)
        assert not world.starts
        await want(machine, RUN)
        assert world.alive(UID)


async def test_frozen_time_does_not_count_towards_the_deadline(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        now = wall_ms()
        await want(machine, SUSPEND)
        long_ago = {"active_ms": now - 500_000, "frozen_at_ms": now - 490_000}
        await machine.journal.put(dataclasses.replace(row(machine), **long_ago))
        await want(machine, SUSPEND, active_deadline_seconds=60)
        assert world.alive(UID)
        await want(machine, RUN, active_deadline_seconds=60)
        assert world.alive(UID)
        assert row(machine).frozen_ms >= 490_000
        await machine.journal.put(dataclasses.replace(row(machine), active_ms=now - 900_000))
        await want(machine, RUN, active_deadline_seconds=61)
        assert row(machine).reason == "DeadlineExceeded"


async def test_an_idle_pod_is_stopped_only_with_evidence(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        said = link_pb2.PodObserved(activity="idle", activity_unix_ms=wall_ms() - 60_000)
        machine.performer.record.sources.append(lambda _: said)
        await want(machine, RUN, idle_timeout_seconds=50)
        assert world.alive(UID)  # a word is not enough
        said.activity_evidence = "the class's sign is on its screen"
        machine.performer.record.tell(UID)
        await want(machine, RUN, idle_timeout_seconds=3000)
        assert world.alive(UID)
        await want(machine, RUN, idle_timeout_seconds=50)
        assert row(machine).reason == "IdleTimeout"
        assert "idleTimeoutSeconds" in row(machine).message
        await want(machine, RUN, idle_timeout_seconds=50, generation=2)
        assert not world.alive(UID)  # it was not a person who wanted it stopped
        await want(machine, STOP)
        await want(machine, RUN)
        assert world.alive(UID)


async def test_a_failure_is_restarted_as_its_class_resumes(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN, restart=True)
        await exits(world, 3)
        await until(lambda: row(machine).state is State.RUNNING and row(machine).restart == 1)
        assert not report(machine).conditions
    assert world.plans == [(0, False, True), (1, True, False)]


async def test_one_that_waits_for_its_restart_says_when_it_comes(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN, restart=True)
        await machine.journal.put(dataclasses.replace(row(machine), failures=9))
        await exits(world, 3)
        await until(lambda: bool(report(machine).conditions))
        [condition] = report(machine).conditions
        assert row(machine).state is State.FAILED
        assert (condition.type, condition.reason) == ("Restarting", "BackOff")
        assert "exit code 3: started again at 2" in condition.message
        assert condition.message.endswith("(restart 1)")


async def test_one_that_waits_for_its_restart_ends_at_its_deadline(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN, restart=True)
        await machine.journal.put(
            dataclasses.replace(row(machine), failures=9, active_ms=wall_ms() - 90_000)
        )
        await exits(world, 3)
        await until(lambda: row(machine).state is State.FAILED)
        await want(machine, RUN, restart=True, active_deadline_seconds=60)
        assert (row(machine).reason, row(machine).exit_code) == ("DeadlineExceeded", 3)
        assert not report(machine).conditions


async def test_a_run_that_a_crash_of_the_machine_took_is_restarted(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN, restart=True)
    world.runs.clear()  # and with it what the shim had written
    async with Machine(tmp_path, world, boot_id="boot-2") as machine:
        await want(machine, RUN, restart=True)
        await until(lambda: row(machine).state is State.RUNNING)
        assert row(machine).restart == 1
    assert world.prompts[UID] == 1


async def test_a_run_over_a_limit_is_ended_with_that_reason_and_the_next_one_is_not(
    tmp_path: Path,
) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await want(machine, RUN)
        machine.converger.doom(UID, "OutOfDisk")
        machine.converger.doom("nobody", "OutOfDisk")
        await until(lambda: row(machine).state is State.FAILED)
        assert row(machine).reason == "OutOfDisk"
        await want(machine, STOP)
        await want(machine, RUN)
        await machine.settle()
        assert world.alive(UID)


async def test_a_stopped_pod_waits_for_room_as_the_owner_allows(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world, max_pods=1) as machine:
        await want(machine, RUN)
        machine.converger.want(wanted([pod(UID, STOP)]))
        await machine.settle()
        machine.converger.want(wanted([pod(UID, STOP), pod("pod-2")]))
        await machine.settle()
        machine.converger.want(wanted([pod(UID, RUN), pod("pod-2")]))
        await machine.settle()
        assert not world.alive(UID)
        machine.converger.want(wanted([pod(UID, RUN), pod("pod-2", STOP)]))
        await until(lambda: world.alive(UID))
