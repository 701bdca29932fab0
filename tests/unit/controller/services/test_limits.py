"""Limits per address: a burst, then a rate, then forgotten."""

import pytest

from controller.services.limits import PeerLimit


class Ticks:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_a_rate() -> None:
    ticks = Ticks()
    limit = PeerLimit(burst=3, per_second=2, ticks=ticks)
    assert [limit.take("10.0.0.1") for _ in range(4)] == [True, True, True, False]
    assert limit.exhausted("10.0.0.1")
    assert limit.take("10.0.0.2")
    ticks.now = 0.5
    assert not limit.exhausted("10.0.0.1")
    assert [limit.take("10.0.0.1") for _ in range(2)] == [True, False]
    ticks.now = 1000
    assert [limit.take("10.0.0.1") for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        pytest.param("2001:db8::1", "2001:db8::2", True, id="one network of a host"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="two networks"),
        pytest.param("10.0.0.1", "10.0.0.2", False, id="two addresses"),
        pytest.param("", "", True, id="no address at all"),
    ],
)
def test_a_host_cannot_multiply_itself(one: str, two: str, *, same: bool) -> None:
    limit = PeerLimit(burst=1, per_second=0, ticks=Ticks())
    assert limit.take(one)
    assert limit.take(two) is not same


def test_memory_is_bounded() -> None:
    limit = PeerLimit(burst=1, per_second=0, ticks=Ticks())
    for number in range(12_000):
        limit.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limit._buckets) == 10_000
