"""Asks over a stream of a runner: answers, breaks, cancellation, deliveries."""

import asyncio
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from controller.services import asklink
from controller.services.asks import Asks
from controller.store.errors import UnavailableError
from tests.unit.controller.services.runner_end import (
    OTHER,
    MemoryDeliveries,
    connected,
    pod,
    refusal,
)

pytestmark = pytest.mark.anyio

LOOK = {"look": link_pb2.Look(lines=5)}
TEXT = {"text": link_pb2.TypeText(data=b"ls")}
KEYS = {"keys": link_pb2.PressKeys(keys=["enter"])}
LOOKED = link_pb2.Looked(output="done", total_lines=1)
DONE = link_pb2.Done()
LOOK_AGAIN = "it may or may not have been typed: look before you repeat it"


def asks(deliveries: MemoryDeliveries | None = None, **settings: Any) -> Asks:
    return Asks(deliveries or MemoryDeliveries(), **{"link_wait_seconds": 0.05} | settings)


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        pytest.param(LOOK, {"looked": LOOKED}, id="a look is answered by what is seen"),
        pytest.param(TEXT, {"done": DONE}, id="text is answered when it is typed"),
        pytest.param(KEYS, {"done": DONE}, id="keys are answered when they are pressed"),
    ],
)
async def test_an_ask_reaches_the_pods_runner_and_its_answer_comes_back(
    message: Any, answer: Any
) -> None:
    service = asks()
    async with connected(service) as end, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(service.ask(pod(epoch=4), **message))
        down = await end.got(next(iter(message)))
        assert down.ref == link_pb2.PodRef(pod_uid="uid-fix", epoch=4)
        end.answer(down.number, **answer)
        up = await asked
    assert up.WhichOneof("msg") == next(iter(answer))


async def test_answers_find_their_asks_in_any_order_and_strange_ones_nobody() -> None:
    service = asks()
    async with connected(service) as end, asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(service.ask(pod(), **LOOK)) for _ in range(3)]
        numbers = [(await end.got("look")).number for _ in asked]
        end.answer(999, looked=LOOKED)
        for number in reversed(numbers):
            end.answer(number, looked=link_pb2.Looked(output=str(number)))
            end.answer(number, looked=link_pb2.Looked(output="a second answer"))
        outputs = [(await one).looked.output for one in asked]
    assert outputs == [str(number) for number in numbers]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("NoSuchPod", "NotRunning"),
        ("NotRunning", "NotRunning"),
        ("UnknownKey", "InvalidArgument"),
        ("TooSlow", "Unavailable"),
        ("Whatever", "Failed"),
    ],
)
async def test_what_a_runner_refuses_is_told_in_the_words_of_tools(said: str, reason: str) -> None:
    service = asks()
    async with connected(service) as end, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(refusal(service.ask(pod(), **KEYS)))
        failed = link_pb2.AskFailed(reason=said, message="no\x1b[31m " + "x" * 9000)
        end.answer((await end.got("keys")).number, failed=failed)
        found, message = await asked
    assert found == reason
    assert message.startswith("the terminal of pod fix: no")
    assert "\x1b" not in message
    assert len(message) < 600


async def test_an_answer_to_another_question_is_none() -> None:
    service = asks()
    async with connected(service) as end, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(refusal(service.ask(pod(), **TEXT)))
        end.answer((await end.got("text")).number, looked=LOOKED)
        assert (await asked)[0] == "Failed"


async def test_without_a_stream_the_caller_is_told_that_the_runner_is_away() -> None:
    service = asks()
    async with connected(service, OTHER) as end:
        answer = await refusal(service.ask(pod(), **LOOK))
        assert end.outgoing.empty()
    assert answer == (
        "Unavailable",
        "runner r1 is not connected: its agents go on, try again later",
    )


async def test_an_unplaced_pod_has_no_terminal() -> None:
    assert (await refusal(asks().ask(pod(runner=None), **LOOK)))[0] == "NotRunning"


async def test_an_ask_waits_for_a_runner_that_is_just_coming_back() -> None:
    service = asks(link_wait_seconds=5)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(service.ask(pod(), **TEXT))
        await asyncio.sleep(0)
        async with connected(service) as end:
            end.answer((await end.got("text")).number, done=DONE)
            assert (await asked).HasField("done")


async def test_a_look_is_asked_again_on_the_stream_that_replaces_its_own() -> None:
    service = asks(link_wait_seconds=5)
    async with connected(service) as old, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(service.ask(pod(), **LOOK))
        await old.got("look")
        async with connected(service) as new:
            new.answer((await new.got("look")).number, looked=LOOKED)
            assert (await asked).looked.output == "done"


async def test_a_look_is_asked_again_once_and_not_for_ever() -> None:
    service = asks(link_wait_seconds=5)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(refusal(service.ask(pod(), **LOOK)))
        for _ in range(2):
            async with connected(service) as end:
                await end.got("look")
        assert await asked == (
            "Unavailable",
            "the connection to runner r1 broke before it answered: try again",
        )


@pytest.mark.parametrize("message", [TEXT, KEYS], ids=["text", "keys"])
async def test_typing_that_was_sent_is_never_repeated(message: Any) -> None:
    service = asks(link_wait_seconds=5)
    async with connected(service) as old, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(refusal(service.ask(pod(), **message)))
        await old.got(next(iter(message)))
        async with connected(service) as new:
            reason, said = await asked
            assert new.outgoing.empty()
    assert reason == "Unavailable"
    assert said.endswith(LOOK_AGAIN)


async def test_typing_that_was_never_sent_goes_to_the_next_stream() -> None:
    service = asks(link_wait_seconds=5)
    async with connected(service) as old, asyncio.TaskGroup() as tasks:
        old.flows.clear()
        stuck = tasks.create_task(refusal(service.ask(pod(), **TEXT)))
        await asyncio.sleep(0.01)
        waiting = tasks.create_task(service.ask(pod(), **TEXT))
        await asyncio.sleep(0.01)
        async with connected(service) as new:
            new.answer((await new.got("text")).number, done=DONE)
            assert (await waiting).HasField("done")
        assert (await stuck)[1].endswith(LOOK_AGAIN)


async def test_a_silent_runner_is_given_up_and_told_so() -> None:
    service = asks(answer_seconds=0.05)
    async with connected(service) as end:
        reason, said = await refusal(service.ask(pod(), **TEXT))
        number = (await end.got("text")).number
        assert (await end.got("cancel")).number == number
        assert (await refusal(service.ask(pod(), **LOOK)))[1].endswith("try again")
    assert (reason, said) == (
        "Unavailable",
        f"runner r1 did not answer within 0.05 s: {LOOK_AGAIN}",
    )


async def test_a_cancelled_ask_is_taken_back() -> None:
    service = asks()
    async with connected(service) as end, asyncio.TaskGroup() as tasks:
        sent = tasks.create_task(service.ask(pod(), **LOOK))
        number = (await end.got("look")).number
        end.flows.clear()
        tasks.create_task(service.ask(pod(), **TEXT))  # is being written
        await asyncio.sleep(0.01)
        unsent = tasks.create_task(service.ask(pod("b"), **TEXT))
        await asyncio.sleep(0.01)
        unsent.cancel()
        sent.cancel()
        await asyncio.wait({unsent, sent})
        end.flows.set()
        end.answer((await end.got("text")).number, done=DONE)
        cancel = await end.got("cancel")
        assert (cancel.number, cancel.ref.pod_uid) == (number, "uid-fix")
        raised = tasks.create_task(service.ask(pod(), **LOOK))
        end.answer((await end.got("look")).number, looked=LOOKED)  # nothing was sent in between
        assert (await raised).HasField("looked")


async def test_many_asks_for_one_pod_let_those_for_another_by() -> None:
    service = asks()
    async with connected(service) as end, asyncio.TaskGroup() as tasks:
        end.flows.clear()
        flood = [tasks.create_task(service.ask(pod("a"), **TEXT)) for _ in range(50)]
        await asyncio.sleep(0.01)
        other = tasks.create_task(service.ask(pod("b"), **LOOK))
        await asyncio.sleep(0.01)
        end.flows.set()
        kinds = [await end.outgoing.get() for _ in range(4)]
        assert [one.WhichOneof("msg") for one in kinds].index("look") <= 2
        for task in (*flood, other):
            task.cancel()


async def test_what_waits_for_a_runner_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asklink, "MAX_WAITING_BYTES", 1000)
    service = asks()
    async with connected(service) as end, asyncio.TaskGroup() as tasks:
        end.flows.clear()
        big = {"text": link_pb2.TypeText(data=b"x" * 400)}
        waiting = []
        for _ in range(3):
            waiting.append(tasks.create_task(service.ask(pod(), **big)))
            await asyncio.sleep(0.01)  # one is being written, two wait
        reason, said = await refusal(service.ask(pod(), **big))
        assert (reason, "nothing was done" in said) == ("Unavailable", True)
        end.flows.set()
        for _ in waiting:
            end.answer((await end.got("text")).number, done=DONE)
        for task in waiting:
            assert (await task).HasField("done")
        free = tasks.create_task(service.ask(pod(), **big))
        end.answer((await end.got("text")).number, done=DONE)
        await free


async def test_open_deliveries_are_sent_until_their_end_is_on_record() -> None:
    source = MemoryDeliveries()
    source.add(1)
    service = asks(source)
    async with connected(service) as end:
        first = await end.got("deliver")
        source.add(2, "uid-other")
        second = await end.got("deliver")
        assert (first.deliver.id, second.deliver.id) == ("d1", "d2")
        assert (first.number, second.ref.pod_uid) == (0, "uid-other")
        end.report(first, link_pb2.DELIVERY_ACCEPTED)
        end.report(second, link_pb2.DELIVERY_SUBMITTED)
        assert (await end.got("settled")).settled.id == "d2"
    async with connected(service) as end:
        again = await end.got("deliver")
        assert again.deliver.id == "d1"
        end.report(again, link_pb2.DELIVERY_FAILED)
        assert (await end.got("settled")).settled.id == "d1"
    assert [one.id for one in source.reports] == ["d1", "d2", "d1"]


async def test_a_delivery_is_sent_again_where_the_pod_is_placed_anew() -> None:
    source = MemoryDeliveries()
    source.add(1)
    async with connected(asks(source)) as end:
        await end.got("deliver")
        source.wanted.clear()
        source.add(1, epoch=2)
        assert (await end.got("deliver")).ref.epoch == 2


async def test_a_delivery_without_a_report_is_sent_again_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asklink, "RESEND_SECONDS", 0.05)
    source = MemoryDeliveries()
    source.add(1)
    async with connected(asks(source)) as end:
        ids = [(await end.got("deliver")).deliver.id for _ in range(3)]
    assert ids == ["d1"] * 3


@pytest.mark.parametrize("failure", [UnavailableError("busy"), RuntimeError("a bug")])
async def test_a_report_that_cannot_be_recorded_is_not_settled_and_breaks_nothing(
    failure: Exception,
) -> None:
    source = MemoryDeliveries()
    source.add(1)
    source.failures.append(failure)
    service = asks(source)
    async with connected(service) as end, asyncio.TaskGroup() as tasks:
        down = await end.got("deliver")
        end.report(down, link_pb2.DELIVERY_SUBMITTED)
        asked = tasks.create_task(service.ask(pod(), **LOOK))
        end.answer((await end.got("look")).number, looked=LOOKED)
        await asked
        assert not source.reports
        end.report(down, link_pb2.DELIVERY_SUBMITTED)
        assert (await end.got("settled")).settled.id == "d1"


async def test_thousands_of_deliveries_wait_in_the_source_and_delay_no_ask() -> None:
    source = MemoryDeliveries()
    for number in range(2000):
        source.add(number)
    service = asks(source)
    async with connected(service) as end, asyncio.TaskGroup() as tasks:
        await end.got("deliver")
        asked = tasks.create_task(service.ask(pod(), **LOOK))
        seen = 0
        while (message := await end.outgoing.get()).WhichOneof("msg") != "look":
            seen += 1
        assert seen < 100
        end.answer(message.number, looked=LOOKED)
        await asked


async def test_a_delivery_that_ends_while_it_waits_for_room_is_not_sent_behind_its_end() -> None:
    source = MemoryDeliveries()
    for number in range(40):
        source.add(number)
    last = source.wanted[-1]
    async with connected(asks(source)) as end:
        end.flows.clear()
        end.report(last, link_pb2.DELIVERY_SUBMITTED)
        async with asyncio.timeout(5):
            while not source.reports:
                await asyncio.sleep(0)
        end.flows.set()
        source.add(40)
        sent: list[str] = []
        async with asyncio.timeout(5):
            while "d40" not in sent or "end of d39" not in sent:
                down = await end.outgoing.get()
                is_end = down.HasField("settled")
                sent.append(f"end of {down.settled.id}" if is_end else down.deliver.id)
    assert "d39" not in sent[sent.index("end of d39") :], "it would begin anew"
    assert {f"d{number}" for number in range(39)} < set(sent)
