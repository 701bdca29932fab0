"""CONV-01: whatever comes twice, late, never or in the wrong order, no pod starts twice."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.converge.states import State, begun
from runner.converge.unprepared import NotPreparedError
from runner.drivers.terminal_values import (
    Alive,
)
from runner.drivers.worktree_values import WorktreeState
from tests.unit.runner.converge.world import Machine, World, pod, wanted

UIDS = ("pod-1", "pod-2")


pods = st.builds(
    pod,
    st.sampled_from(UIDS),
    st.sampled_from(
        [
            *(link_pb2.RUN, link_pb2.RUN, link_pb2.SUSPEND),
            *(link_pb2.STOP, link_pb2.STOP, link_pb2.REMOVE, 99),
        ]
    ),
    st.integers(1, 3),
    restart=st.booleans(),
)
states = st.lists(pods, max_size=2, unique_by=lambda each: each.ref.pod_uid)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("want"), states, st.integers(0, 12)),
        st.tuples(st.just("repeat"), st.integers(0, 5), st.integers(0, 12)),
        st.tuples(st.just("exit"), st.sampled_from(UIDS), st.integers(0, 1)),
        st.tuples(st.just("crash"), st.none(), st.integers(0, 12)),
    ),
    min_size=1,
    max_size=10,
)


async def story(directory: Path, script: Any) -> None:
    world, said = World(), []
    for chapter in chapters(script):
        async with Machine(directory, world) as machine:
            if said:
                machine.converger.want(said[-1])
            for kind, what, turns in chapter:
                await tell(machine, world, said, kind, what, turns)
                if turns > 9:
                    await machine.settle()
                await asyncio.sleep(turns / 1500)  # journals have a thread: time passes for it
                check(world)
    async with Machine(directory, world) as machine:
        machine.converger.want(wanted(pod(uid, epoch=9) for uid in UIDS))
        async with asyncio.timeout(10):
            while not all(row_is_running(machine, uid) for uid in UIDS):
                await asyncio.sleep(0.001)
        check(world)
        await machine.settle()
        assert [len(world.alive(uid)) for uid in UIDS] == [1, 1]
        assert not world.frozen
        machine.converger.want(wanted([]))
        async with asyncio.timeout(10):
            while not all(row.forgotten_ms for row in machine.journal.rows.values()):
                await asyncio.sleep(0.001)
        assert not any(world.alive(uid) for uid in UIDS)
        assert Places(directory).uids() == []


async def tell(
    machine: Machine, world: World, said: list, kind: str, what: Any, turns: int
) -> None:
    match kind:
        case "want":
            said.append(wanted(what))
            machine.converger.want(said[-1])
        case "repeat" if said:  # an old message, again or late
            machine.converger.want(said[max(0, len(said) - 1 - what)])
        case "exit":
            for run_dir, run in list(world.runs.items()):
                if isinstance(run, Alive) and run.uid == what:
                    await world.end(run_dir, turns)


def chapters(script: Any):
    """Cut the script at each crash: a loop that is cancelled anywhere is a runner that died."""
    chapter: list = []
    for step in script:
        chapter.append(step)
        if step[0] == "crash":
            yield chapter
            chapter = []
    yield chapter


def row_is_running(machine: Machine, uid: str) -> bool:
    row = machine.journal.rows.get(uid)
    return row is not None and row.state is State.RUNNING and row.epoch == 9


def check(world: World) -> None:
    assert world.wrong == []
    assert max(world.starts.values(), default=0) <= 1, world.starts
    assert max(world.prompts.values(), default=0) <= 1, world.prompts
    assert all(len(world.alive(uid)) <= 1 for uid in UIDS)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps)
def test_nothing_ever_starts_twice_and_everything_ends_as_wanted(script: Any) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(story(Path(directory), script))


@pytest.mark.anyio
async def test_a_pod_that_fails_to_be_prepared_blocks_no_other(tmp_path: Path) -> None:
    world = World()
    world.broken["pod-1"] = NotPreparedError("CloneFailed", "the remote is away", retryable=True)
    async with Machine(tmp_path, world) as machine:
        machine.converger.want(wanted([pod("pod-1"), pod("pod-2")]))
        await machine.settle()
        one, two = machine.reports.get("pod-1"), machine.reports.get("pod-2")
        assert one is not None
        assert two is not None
        assert (one.state, one.reason) == (link_pb2.PREPARING, "CloneFailed")
        assert one.message == "the remote is away"
        assert two.state == link_pb2.RUNNING
        world.broken.clear()
        async with asyncio.timeout(5):
            while not world.alive("pod-1"):
                await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_the_work_of_a_live_agent_is_told_and_not_forgotten_while_it_lives(
    tmp_path: Path,
) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        machine.converger.want(wanted([pod("pod-1")]))
        await machine.settle()
        feed = machine.reports.subscribe(lambda: None)
        world.trees["pod-1"] = WorktreeState("fix", "c0ffee", dirty=True, ahead=1)
        await machine.performer.record.refresh("pod-1")
        [told] = feed.take()
        tree = told.worktree
        assert (tree.branch, tree.commit, tree.dirty) == ("fix", "c0ffee", True)
        await machine.performer.record.refresh("pod-1")
        assert feed.take() == []  # nothing is new
        machine.performer.record.report(machine.journal.rows["pod-1"])
        assert feed.take() == []  # and the row does not bring back what was
        await machine.performer.record.refresh("pod-2")
        assert machine.reports.get("pod-2") is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("boot_id", "state", "starts"),
    [
        pytest.param("boot-1", link_pb2.RUNNING, 1, id="nothing of it began: it is started"),
        pytest.param("boot-2", link_pb2.FAILED, 0, id="the machine crashed: nobody knows"),
    ],
)
async def test_a_start_that_was_only_journalled_is_made_again_where_that_is_proven(
    tmp_path: Path, boot_id: str, state: Any, starts: int
) -> None:
    world = World()
    row = begun(pod("pod-a1"), State.STARTING, boot_id="boot-1")
    async with Machine(tmp_path, world) as machine:
        await machine.journal.put(row)
    async with Machine(tmp_path, world, boot_id=boot_id) as machine:
        machine.converger.want(wanted([pod("pod-a1")]))
        await machine.settle()
        assert [report.state for report in machine.converger.observed()] == [state]
    assert sum(world.starts.values()) == starts
    assert world.wrong == []


@pytest.mark.anyio
async def test_that_an_agent_listed_its_tools_is_told_of_its_run_and_outlives_the_runner(
    tmp_path: Path,
) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        machine.converger.want(wanted([pod("pod-1")]))
        await machine.settle()
        await machine.converger.tools_listed("pod-1")
        await machine.converger.tools_listed("nobody")
        first = machine.reports.get("pod-1").tools_listed_unix_ms
        assert first > 0
        await machine.converger.tools_listed("pod-1")  # only the first time counts
    async with Machine(tmp_path, world) as machine:
        assert machine.reports.get("pod-1").tools_listed_unix_ms == first
        machine.converger.want(wanted([pod("pod-1", epoch=2)]))
        await machine.settle()
        assert machine.reports.get("pod-1").tools_listed_unix_ms == 0


@pytest.mark.anyio
async def test_that_a_prompt_was_given_is_told_at_once(tmp_path: Path) -> None:
    async with Machine(tmp_path, World()) as machine:
        later = pod("pod-1")
        later.spec.prompt_position = link_pb2.PROMPT_TYPED
        machine.converger.want(wanted([later]))
        await machine.settle()
        feed = machine.converger.subscribe(lambda: None)
        await machine.journal.prompt_given("pod-1", 1)
        machine.prompts.given("pod-1")
        assert [report.prompt_given for report in feed.take()] == [True]


@pytest.mark.anyio
async def test_more_pods_than_the_owner_allows_are_refused(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world, max_pods=1) as machine:
        machine.converger.want(wanted([pod("pod-1"), pod("pod-2")]))
        await machine.settle()
        found = {uid: machine.journal.rows[uid] for uid in UIDS}
        assert sorted(row.state for row in found.values()) == [State.FAILED, State.RUNNING]
        refused = next(row for row in found.values() if row.state is State.FAILED)
        assert (refused.reason, "--max-pods" in refused.message) == ("Capacity", True)


@pytest.mark.anyio
async def test_an_unconfirmed_empty_state_is_ignored_while_pods_are_here(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        machine.converger.want(wanted([pod("pod-1")]))
        await machine.settle()
        machine.converger.want(wanted([], allow_empty=False))
        await machine.settle()
        assert world.alive("pod-1")


@pytest.mark.anyio
async def test_what_an_older_controller_wants_is_ignored(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        await machine.converger.follow(4)
        machine.converger.want(wanted([pod("pod-1")], epoch=3))
        await machine.settle()
        assert not world.starts


@pytest.mark.anyio
async def test_a_pod_with_an_impossible_uid_touches_nothing(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        machine.converger.want(wanted([pod("../../etc"), pod("pod-1")]))
        await machine.settle()
        assert list(machine.journal.rows) == ["pod-1"]


@pytest.mark.anyio
async def test_listeners_hear_only_the_latest_and_hear_of_the_end(tmp_path: Path) -> None:
    world = World()
    async with Machine(tmp_path, world) as machine:
        feed = machine.converger.subscribe(lambda: None)
        machine.converger.want(wanted([pod("pod-1")]))
        await machine.settle()
        assert [report.state for report in feed.take()] == [link_pb2.RUNNING]
        machine.converger.want(wanted([]))
        async with asyncio.timeout(5):
            while machine.converger.observed():
                await asyncio.sleep(0.001)
        assert [report.state for report in feed.take()] == [link_pb2.REMOVED]
        assert all(row.forgotten_ms for row in machine.journal.rows.values())
