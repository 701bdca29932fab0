"""Ways that lead back to where they began are found, shortest first, and only they."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from controller.reconcilers.ticket.checks import cycle as finding
from controller.reconcilers.ticket.snapshot import TicketSnapshot
from controller.tickets.facts import cycle
from schemas.base import Metadata
from schemas.ticket import Ticket, TicketSpec

NAMES = st.integers(0, 7).map(lambda number: f"t{number}")
GRAPHS = st.dictionaries(NAMES, st.lists(NAMES, max_size=4))


def distances(graph: dict[str, list[str]], start: str) -> dict[str, int]:
    """Return how many steps everything is away that can be reached in one step or more."""
    found: dict[str, int] = {}
    here, steps = {start}, 0
    while here:
        steps += 1
        here = {there for name in here for there in graph.get(name, ())} - found.keys()
        found |= dict.fromkeys(here, steps)
    return found


@given(GRAPHS, NAMES)
def test_a_cycle_is_a_shortest_way_back(graph: dict[str, list[str]], name: str) -> None:
    way = cycle(name, lambda each: graph.get(each, ()))
    steps = distances(graph, name).get(name)
    if steps is None:
        assert way == ()
        return
    assert (way[0], way[-1], len(way)) == (name, name, steps + 1)
    assert all(there in graph[here] for here, there in itertools.pairwise(way))


def test_a_chain_of_thousands_is_followed_to_its_end() -> None:
    graph = {f"t{number}": [f"t{number + 1}"] for number in range(20_000)}
    assert cycle("t0", lambda each: graph.get(each, ())) == ()
    graph["t20000"] = ["t0"]
    assert len(cycle("t0", lambda each: graph.get(each, ()))) == 20_002


def test_a_long_cycle_is_told_in_one_sentence() -> None:
    subject = Ticket(metadata=Metadata(name="t0"), spec=TicketSpec(title="t"))
    way = (*(f"t{number}" for number in range(300)), "t0")
    found = finding(TicketSnapshot(subject, dependencies_cycle=way))
    assert found is not None
    assert found.stalled
    assert found.message == (
        "dependsOn: the tickets t0 → t1 → t2 → t3 → t4 → t5 → t6 → t7 → (292 more) → t0 form a "
        "cycle: change one of them"
    )
    short = finding(TicketSnapshot(subject, parents_cycle=("t0", "t1", "t0")))
    assert short is not None
    assert "t0 → t1 → t0 form" in short.message
