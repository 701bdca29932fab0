"""What a view takes from a runner that breaks the protocol: little, and not for long."""

from collections.abc import Callable

import pytest
from meshwire.v1 import link_pb2

from controller.rpc.ports import PodPlace, RunnerKey
from controller.services.terminals import View

pytestmark = pytest.mark.anyio

Up = link_pb2.TerminalUp


def opened(size: int) -> Up:
    return Up(opened=link_pb2.ViewOpened(screen=b"x" * size))


def work(size: int) -> Up:
    return Up(work=link_pb2.WorkFound(pod="x" * size))


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([opened(1), opened(1)], id="two screens"),
        pytest.param([work(1), work(1)], id="two lists of work"),
        pytest.param([opened(3 << 20), work(2 << 20)], id="five megabytes"),
    ],
)
async def test_a_view_holds_no_more_than_it_needs(
    messages: list[Up], view: Callable[[], View]
) -> None:
    one = view()
    for up in messages:
        one.deliver(up)
    seen = [await one.next() for _ in messages]
    assert isinstance(seen[-1], link_pb2.ViewEnded)
    assert seen[-1].reason == "Failed"
    assert "protocol" not in seen[-1].message
    assert "too often, or too much" in seen[-1].message


async def test_a_screen_and_gaps_are_passed_on(view: Callable[[], View]) -> None:
    one = view()
    gaps = [Up(gap=link_pb2.Gap(from_offset=n, to_offset=n + 1)) for n in range(100)]
    for up in (opened(1 << 20), *gaps):
        one.deliver(up)
    assert [await one.next() for _ in range(101)] == [opened(1 << 20), *gaps]


@pytest.fixture
def view() -> Callable[[], View]:
    place = PodPlace("uid-1", "acme", "ada", RunnerKey("acme", "laptop", "uid-2"), 1)
    return lambda: View(1, place, lambda _: None)
