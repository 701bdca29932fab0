"""All tickets that wait for themselves are found at once, and a way back is told of each."""

import itertools
from collections.abc import Generator

from hypothesis import given
from hypothesis import strategies as st

from controller.tickets.facts import cycle
from controller.tickets.loops import Edges, Loops, loops

NAMES = st.integers(0, 9).map(lambda number: f"t{number}")
GRAPHS = st.dictionaries(NAMES, st.lists(NAMES, max_size=4).map(tuple))


def found(edges: Edges) -> tuple[Loops, int]:
    """Return what is found, and in how many slices."""
    return drained(loops(edges))


def drained(slices: Generator[None, None, Loops]) -> tuple[Loops, int]:
    for number in itertools.count(1):
        try:
            next(slices)
        except StopIteration as end:
            return end.value, number
    raise AssertionError


def is_way(way: tuple[str, ...], name: str, edges: Edges) -> bool:
    leads = all(there in edges[here] for here, there in itertools.pairwise(way))
    return way[0] == way[-1] == name and len(set(way)) == len(way) - 1 and leads


@given(GRAPHS)
def test_exactly_those_with_a_way_back_are_found_and_it_is_a_shortest(edges: Edges) -> None:
    known, _ = found(edges)
    for name in edges:
        shortest = cycle(name, lambda each: edges.get(each, ()))
        assert (name in known) is bool(shortest)
        way = known.way(name)
        assert len(way) == len(shortest)
        assert not way or is_way(way, name, edges)


@given(GRAPHS)
def test_any_way_that_is_told_leads_back_and_visits_nothing_twice(edges: Edges) -> None:
    known, _ = found(edges)
    for name in known:
        assert is_way(known._over_root(name), name, edges)  # noqa: SLF001 - the one for large graphs


def test_a_ring_of_thousands_is_told_of_each_and_found_in_slices() -> None:
    ring = {f"t{n}": (f"t{(n + 1) % 20_000}",) for n in range(20_000)}
    known, slices = found(ring)
    assert slices > 10
    assert set(known) == set(ring)
    assert is_way(known.way("t7"), "t7", ring)


def test_thousands_that_wait_for_dozens_are_looked_at_once() -> None:
    web = {f"t{n}": tuple(f"t{m}" for m in range(n + 1, min(n + 40, 3_000))) for n in range(3_000)}
    known, slices = found(web)
    assert list(known) == []
    assert slices > 10
    web["t2999"] = ("t0",)
    known, _ = found(web)
    assert len(list(known)) == 3_000
    assert is_way(known.way("t1500"), "t1500", web)
