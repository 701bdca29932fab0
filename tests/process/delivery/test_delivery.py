"""Prompts arrive once and whole, at programs that make it hard, in real terminals."""

import asyncio
import dataclasses
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from runner.converge.delivery_states import Delivery, Stage
from runner.converge.states import State
from runner.drivers.terminal import Terminals
from runner.drivers.terminal_values import NotOffered

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SIGN = "^>$"
TEXT = 'Look at "it\'s" $(now) in the tests, please: grüße 😀'
LINES = f"{TEXT}\n\n\tsecond paragraph\nend of it"
ONE_LINE = f"{TEXT} second paragraph end of it"
LONG = " ".join(f"word{number:05}" for number in range(3200))  # 32 KiB

KINDS = [
    pytest.param("tui.py", "plain", SIGN, LINES, ONE_LINE, id="shows what is typed"),
    pytest.param("tui.py", "plain", "", TEXT, TEXT, id="shows no sign of readiness"),
    pytest.param("tui.py", "drops", SIGN, TEXT, TEXT, id="drops the first Enter"),
    pytest.param("tui.py", "drops", "", TEXT, TEXT, id="drops the first Enter, shows no sign"),
    pytest.param("tui.py", "menu", SIGN, TEXT, TEXT, id="sits in a menu"),
    pytest.param("tui.py", "late", SIGN, TEXT, TEXT, id="echoes late"),
    pytest.param("tui.py", "late", "", TEXT, TEXT, id="echoes late, shows no sign"),
    pytest.param("tui.py", "chunk", SIGN, LINES, ONE_LINE, id="takes what is fast for a paste"),
    pytest.param("tui.py", "chunk", "", TEXT, TEXT, id="takes what is fast for a paste, no sign"),
    pytest.param("tui.py", "paste", SIGN, LINES, LINES, id="asks for marked pastes"),
    pytest.param("tui.py", "paste", "", LINES, LINES, id="asks for marked pastes, no sign"),
    pytest.param("tui.py", "paste", SIGN, LONG, LONG, id="shows a long paste as a note"),
    pytest.param("tui.py", "paste", "", LONG, LONG, id="shows a long paste as a note, no sign"),
    pytest.param("tui.py", "slow", SIGN, LONG, LONG, id="reads a long text slowly"),
    pytest.param("tui.py", "stalls", SIGN, TEXT, TEXT, id="does not read for a while"),
    pytest.param("tui.py", "busy", SIGN, "a", "a", id="is given a single letter"),
    pytest.param("lines.py", "shown", "", LINES, ONE_LINE, id="reads lines"),
    pytest.param("lines.py", "shown", "", LONG[:4094], LONG[:4094], id="reads the longest line"),
    pytest.param("lines.py", "hidden", "", TEXT, TEXT, id="reads lines and shows nothing"),
]


@pytest.mark.parametrize(("program", "kind", "sign", "text", "arrives"), KINDS)
async def test_a_prompt_is_submitted_once_and_whole_to_a_program_that(
    agent: Any, runner: Any, program: str, kind: str, sign: str, text: str, arrives: str
) -> None:
    await agent.start(program, kind, sign)
    async with runner:
        await runner.want("one", text)
        report = await runner.end_of("one")
    assert agent.submitted() == [arrives], report
    assert report.state == link_pb2.DELIVERY_SUBMITTED, report


async def test_prompts_come_in_order_one_at_a_time_and_after_the_first(
    agent: Any, runner: Any
) -> None:
    await agent.start(
        "tui.py", "busy", SIGN, prompt="the first", prompt_position=link_pb2.PROMPT_TYPED
    )
    async with runner:
        for number in range(3):
            await runner.want(f"id-{number}", f"prompt {number}")
        assert (await runner.end_of("id-2")).state == link_pb2.DELIVERY_SUBMITTED
        assert runner.journal.rows[agent.uid].prompt_sent
        assert runner.given[0] == (agent.uid, [])  # told before anybody could have it
        assert {report.id for report in runner.deliveries.subscribe(lambda: None).take()} == {
            f"id-{number}" for number in range(3)
        }  # of the first one nobody hears
    assert agent.submitted() == ["the first", "prompt 0", "prompt 1", "prompt 2"]


async def test_a_known_delivery_is_only_reported_again_until_it_is_settled(
    agent: Any, runner: Any
) -> None:
    await agent.start("tui.py", "plain", SIGN)
    async with runner:
        await runner.want("one", TEXT)
        await runner.end_of("one")
        runner.reports.clear()
        await runner.want("one", TEXT)
        assert (await runner.end_of("one")).state == link_pb2.DELIVERY_SUBMITTED
        assert [each.text for each in runner.journal.deliveries.values()] == [""]
        await runner.deliveries.settled("one")
        await runner.deliveries.settled("one")
        assert dict(runner.journal.deliveries) == {}
    assert agent.submitted() == [TEXT]


@pytest.mark.faults
async def test_a_text_that_no_enter_submits_is_told_and_no_other_is_typed_behind_it(
    agent: Any, make_runner: Callable[[], Any]
) -> None:
    await agent.start("tui.py", "deaf")
    async with make_runner() as runner:
        await runner.want("one", TEXT)
        soon = round(time.time() * 1000) + 45_000
        await runner.want("two", "the second", give_up_ms=soon)
        report = await runner.end_of("one")
        assert (report.state, report.reason) == (link_pb2.DELIVERY_FAILED, "NotSubmitted")
        assert "in the agent's input still" in report.message
        report = await runner.end_of("two")
        assert (report.state, report.reason) == (link_pb2.DELIVERY_FAILED, "NotReady")
        assert "an earlier prompt" in report.message
    async with make_runner() as again:  # it types nothing behind it either
        now = round(time.time() * 1000)
        await again.want("three", "the third", give_up_ms=now + 3000)
        report = await again.end_of("three")
        assert "an earlier prompt" in report.message
        await agent.terminals.write(agent.run_dir, b"\x15")
        await again.want("four", "the fourth")
        await until_said(agent, "the fourth")
        assert again.journal.stuck(agent.uid) == ""
    assert "the second" not in transcript(agent)
    assert "the third" not in transcript(agent)
    assert agent.submitted() == []


async def test_nothing_is_typed_behind_what_a_program_has_not_read(agent: Any, runner: Any) -> None:
    await agent.start("tui.py", "plain", SIGN, 3)
    async with runner:
        await until_said(agent, "> ")
        await agent.terminals.signal(agent.run_dir, signal.SIGSTOP)
        await runner.want("one", TEXT)
        await runner.want("two", "the second")
        await until(lambda: any("does not read" in note for note in runner.notes))
        assert (await agent.terminals.state(agent.run_dir)).unread == len(TEXT.encode())
        one = runner.journal.deliveries["one"]
        assert (one.stage, one.is_open) == (Stage.PASTED, True)
        await agent.terminals.signal(agent.run_dir, signal.SIGCONT)
        assert (await runner.end_of("two")).state == link_pb2.DELIVERY_SUBMITTED
        assert runner.notes[-1] == ""
    assert agent.submitted() == [TEXT, "the second"]


async def test_what_a_program_never_reads_is_given_up_and_nothing_follows_it(
    agent: Any, make_runner: Callable[[], Any]
) -> None:
    await agent.start("tui.py", "plain", SIGN)
    async with make_runner() as runner:
        await until_said(agent, "> ")
        await agent.terminals.signal(agent.run_dir, signal.SIGSTOP)
        now = round(time.time() * 1000)
        await runner.want("one", TEXT, give_up_ms=now + 500)
        report = await runner.end_of("one")
        assert "did not read what was typed" in report.message
    async with make_runner() as again:
        await again.want("two", "x", give_up_ms=round(time.time() * 1000) + 1000)
        assert "does not read what is typed" in (await again.end_of("two")).message
        await agent.terminals.signal(agent.run_dir, signal.SIGCONT)
        await until_said(agent, TEXT)
        await again.want("three", "y", give_up_ms=round(time.time() * 1000) + 1000)
        assert "an earlier prompt" in (await again.end_of("three")).message
    assert agent.submitted() == []


async def test_what_is_lacking_is_said_when_a_prompt_is_given_up(agent: Any, runner: Any) -> None:
    await agent.start("tui.py", "plain", "no such sign")
    async with runner:
        await runner.want("one", TEXT, give_up_ms=round(time.time() * 1000) + 1500)
        report = await runner.end_of("one")
    assert (report.state, report.reason) == (link_pb2.DELIVERY_FAILED, "NotReady")
    assert "readiness.regex (no such sign)" in report.message
    assert agent.submitted() == []


async def test_one_that_stands_behind_others_is_given_up_in_its_time(
    agent: Any, runner: Any
) -> None:
    await agent.start("tui.py", "plain", "no such sign")
    async with runner:
        now = round(time.time() * 1000)
        await runner.want("one", TEXT, give_up_ms=now + 60_000)
        await runner.want("two", TEXT, give_up_ms=now + 500)
        await asyncio.sleep(1.0)  # its time passes
        runner.wake.set()
        report = await runner.end_of("two")
        assert (report.state, report.reason) == (link_pb2.DELIVERY_FAILED, "NotReady")
        assert "earlier prompt" in report.message
        assert runner.journal.deliveries["one"].is_open
        await runner.deliveries.settled("one")  # the controller does not want it any more
        assert "one" not in runner.journal.deliveries
    assert agent.submitted() == []


class OldTerminals(Terminals):
    """Shims that cannot type once, as those of an older runner."""

    async def write_once(self, run_dir: Path, key: str, data: bytes) -> bool:
        raise NotOffered(f"{run_dir} {key} {len(data)}")


async def test_a_pod_of_an_older_runner_gets_its_prompt_but_never_twice(
    agent: Any, runner: Any
) -> None:
    await agent.start("tui.py", "plain", SIGN)
    agent.terminals = OldTerminals()
    pasted = Delivery("two", agent.uid, 1, "other", stage=Stage.PASTED, restart=0)
    async with runner:
        await runner.want("one", TEXT)
        assert (await runner.end_of("one")).state == link_pb2.DELIVERY_SUBMITTED
        await runner.journal.put_delivery(pasted)
        runner.wake.set()
        while runner.journal.deliveries["two"].is_open:
            await asyncio.sleep(0.02)
        failed = runner.journal.deliveries["two"]
        assert (failed.reason, "may have been taken" in failed.message) == ("NotSubmitted", True)
    assert agent.submitted() == [TEXT]


async def test_a_line_that_no_terminal_takes_whole_is_not_submitted_in_part(
    agent: Any, runner: Any
) -> None:
    await agent.start("lines.py", "shown")
    async with runner:
        await runner.want("one", LONG)
        report = await runner.end_of("one")
    assert (report.state, report.reason) == (link_pb2.DELIVERY_FAILED, "NotSubmitted")
    assert "at most 4094 bytes" in report.message
    assert agent.submitted() == []


async def test_an_agent_that_ends_gets_nothing_any_more(agent: Any, runner: Any) -> None:
    await agent.start("tui.py", "plain", "no such sign")
    async with runner:
        await runner.want("one", TEXT)
        await agent.stop()
        await runner.put(dataclasses.replace(agent.row, state=State.FAILED, reason="Signaled"))
        report = await runner.end_of("one")
        assert (report.state, report.reason) == (link_pb2.DELIVERY_FAILED, "AgentEnded")
        await runner.want("two", TEXT)
        assert (await runner.end_of("two")).reason == "AgentEnded"


async def test_what_waits_for_an_agent_that_is_restarted_goes_to_its_next_run(
    agent: Any, runner: Any
) -> None:
    spec = {"restart_policy": link_pb2.RESTART_ON_FAILURE}
    await agent.start("tui.py", "plain", "no such sign", **spec)
    async with runner:
        await runner.want("one", TEXT)
        await agent.stop()
        ended = {"state": State.FAILED, "reason": "Exited"}
        await runner.put(dataclasses.replace(agent.row, **ended))
        agent.restart = 1
        await agent.start("tui.py", "plain", SIGN, **spec)
        await runner.put(agent.row)
        assert (await runner.end_of("one")).state == link_pb2.DELIVERY_SUBMITTED
    assert agent.submitted() == [TEXT]


async def test_a_prompt_is_not_mixed_with_what_a_person_types(agent: Any, runner: Any) -> None:
    await agent.start("tui.py", "plain", "^>")  # a sign that stands there whatever is typed
    async with runner:
        await until_said(agent, "welcome")
        await agent.terminals.write(agent.run_dir, b"some")
        await runner.want("one", TEXT)
        for piece in (b"thing ", b"by hand", b"\r"):
            await asyncio.sleep(1.2)
            await agent.terminals.write(agent.run_dir, piece)
        await runner.end_of("one")
    assert agent.submitted() == ["something by hand", TEXT]


@pytest.mark.parametrize("text", ["", " \n", "\x1b\x03", "x" * (129 * 1024)])
async def test_what_cannot_be_typed_is_refused(agent: Any, runner: Any, text: str) -> None:
    await agent.start("tui.py", "plain", SIGN)
    async with runner:
        await runner.want("one", text)
        report = await runner.end_of("one")
    assert (report.state, report.reason) == (link_pb2.DELIVERY_FAILED, "NotSubmitted")
    assert agent.submitted() == []


TYPED = {"prompt": "the first", "prompt_position": link_pb2.PROMPT_TYPED}


async def test_the_first_prompt_waits_until_the_agent_has_listed_its_tools(
    agent: Any, runner: Any
) -> None:
    await agent.start("tui.py", "plain", **TYPED, mcp=link_pb2.Mcp(format="claude"))
    async with runner:
        await until_said(agent, "welcome")
        await asyncio.sleep(2.5)  # longer than it would wait for quiet
        assert "first" not in transcript(agent)
        await runner.journal.tools_listed(agent.row, round(time.time() * 1000))
        runner.deliveries.tools_listed(agent.uid)
        async with asyncio.timeout(60):
            while not agent.submitted():
                await asyncio.sleep(0.02)
    assert agent.submitted() == ["the first"]


async def test_the_first_prompt_is_typed_in_the_end_when_no_tools_are_listed(
    agent: Any, runner: Any
) -> None:
    await agent.start("tui.py", "plain", "", 3, **TYPED, mcp=link_pb2.Mcp(format="claude"))
    async with runner:
        async with asyncio.timeout(60):
            while not agent.submitted():
                await asyncio.sleep(0.02)
    assert agent.submitted() == ["the first"]
    assert "had not listed its MCP tools within 3 s" in runner.notes[0]


async def test_a_prompt_that_an_older_runner_typed_is_not_typed_again(
    agent: Any, runner: Any
) -> None:
    await agent.start("tui.py", "plain", SIGN, **TYPED)
    await agent.write(dataclasses.replace(agent.row, prompt_sent=True))
    async with runner:
        await runner.want("one", TEXT)
        await runner.end_of("one")
    assert agent.submitted() == [TEXT]


async def until_said(agent: Any, word: str) -> None:
    await until(lambda: word in transcript(agent))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)


def transcript(agent: Any) -> str:
    chunk = agent.terminals.read(agent.places.transcript(agent.uid), 0, 1024 * 1024)
    return chunk.data.decode(errors="replace") if chunk else ""
