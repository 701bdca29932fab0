"""How fast calls may come and how much a pod may make, with a clock of the test's own."""

from typing import Any

import pytest

from controller.tools.call import Caller, ToolError
from controller.tools.pace import Pace, Rate, bounded
from schemas.channel import Channel
from schemas.names import ANNOTATION_CREATED_BY_UID, API_VERSION
from schemas.tools.base import Result
from schemas.tools.catalogue import CATALOGUE
from schemas.tools.terminal import Pressed
from tests.unit.controller.tools.world import World

pytestmark = pytest.mark.anyio


def test_a_burst_passes_at_once_and_the_rest_at_the_rate() -> None:
    rate = Rate(per_second=10, burst=3)
    assert [rate.delay("a", 100.0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])
    assert rate.delay("b", 100.0) == 0, "each key has a rate of its own"


def test_who_rests_has_the_burst_again() -> None:
    rate = Rate(per_second=10, burst=3)
    for _ in range(5):
        rate.delay("a", 100.0)
    assert [rate.delay("a", 200.0) for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])


def test_a_call_that_would_wait_too_long_does_not_count() -> None:
    rate = Rate(per_second=1, burst=1)
    waits = [rate.delay("a", 0.0) for _ in range(1000)]
    assert max(waits) == pytest.approx(21), "refused ones push nobody further back"
    assert rate.delay("a", 10.0) == pytest.approx(11)


def test_keys_that_have_rested_are_forgotten() -> None:
    rate = Rate(per_second=1, burst=1)
    for number in range(10_000):
        rate.delay(str(number), float(number))
    assert len(rate._full_at) < 5000


async def test_reading_and_typing_are_not_slowed_and_endless_changes_are_refused() -> None:
    pace = Pace(ticks=lambda: 0.0)
    for _ in range(1000):
        await pace.pod("uid", CATALOGUE["list_available_pods"])
        await pace.pod("uid", CATALOGUE["send_terminal_text"])
    pace._pods = Rate(per_second=0.01, burst=2)
    create = CATALOGUE["create_ticket"]
    await pace.pod("uid", create)
    await pace.pod("uid", create)
    with pytest.raises(ToolError, match="call more slowly") as refused:
        await pace.pod("uid", create)
    assert refused.value.reason == "LimitExceeded"
    await pace.pod("another", create)


async def test_a_pod_makes_so_many_channels_and_no_more() -> None:
    world = World()
    made: list[Any] = []

    async def make(caller: Caller, arguments: Any) -> Result:
        made.append((caller, arguments))
        return Pressed(pod_key="x", keys=0)

    caller = world.caller(await world.pod("maker"))
    other = world.caller(await world.pod("other"))
    handler = bounded(world.store, Channel, 2, make)
    for number in range(2):
        await handler(caller, None)
        world.store.of(Channel).apply(_channel(number, caller.uid))
    with pytest.raises(ToolError, match="you have made 2 Channels") as refused:
        await handler(caller, None)
    assert refused.value.reason == "LimitExceeded"
    await handler(other, None)
    assert len(made) == 3


def _channel(number: int, creator: str) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Channel",
        "metadata": {
            "name": f"c{number}",
            "namespace": "acme",
            "uid": f"uid-c{number}",
            "resourceVersion": str(number + 1),
            "annotations": {ANNOTATION_CREATED_BY_UID: creator},
        },
        "spec": {},
    }
