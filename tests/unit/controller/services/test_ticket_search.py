"""The search of tickets: what a query comes to, and that no step of it is long."""

import random

import pytest

from controller.services.ticket_search import MOST_CHILDREN, Children, Search, Sought
from schemas.ticket import Ticket, TicketState


def ticket(name: str, made: int = 0, **spec: object) -> Ticket:
    return Ticket.model_validate(
        {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": "Ticket",
            "metadata": {
                "name": name,
                "namespace": "acme",
                "uid": name,
                "creationTimestamp": f"2026-01-01T{made // 60:02d}:{made % 60:02d}:00Z",
            },
            "spec": {"title": name, **spec},
        }
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        pytest.param("flaky Login FLAKY", ("flaky", "login"), id="each once"),
        pytest.param("log login in", ("login",), id="none that another one says"),
        pytest.param(" ".join(["aaab"] * 51), ("aaab",), id="the same again and again"),
        pytest.param("  ", (), id="none"),
    ],
)
def test_a_query_is_the_words_that_say_something(query: str, words: tuple[str, ...]) -> None:
    assert Sought(query=query).words() == words


def test_each_word_in_each_ticket_is_a_step_of_its_own() -> None:
    words = [f"{number:02d}ab" for number in range(51)]
    every = [ticket(f"t{number}", body=" ".join(words)) for number in range(10)]
    search = Search(Sought(query=" ".join(words)))
    assert sum(1 for _ in search.steps(every)) > 10 * 51
    assert search.total == 10


def test_pages_of_thousands_are_in_order() -> None:
    shuffler = random.Random(7)  # noqa: S311 - an order for a test
    every = [
        ticket(f"t{number:04d}", made=number % 600, priority=("low", "high")[number % 2])
        for number in range(2000)
    ]
    shuffler.shuffle(every)
    ranked = sorted(
        every,
        key=lambda t: (t.spec.priority == "low", t.metadata.creation_timestamp, t.metadata.name),
    )
    for page in (1, 7, 20, 21):
        search = Search(Sought(limit=100, page=page))
        for _ in search.steps(every):
            pass
        assert search.page == ranked[(page - 1) * 100 : page * 100]
        assert search.total == 2000


def test_all_children_are_counted_and_the_oldest_are_named() -> None:
    every = [
        ticket(
            f"c{number:04d}",
            made=999 - number,
            state=TicketState.DONE if number < 300 else TicketState.TODO,
        )
        for number in range(1000)
    ]
    children = Children(ticket("am-1", acceptance=[{"id": "a1", "text": "x", "done": True}]))
    assert sum(1 for _ in children.steps(every)) >= 1000
    assert (children.progress.done, children.progress.total) == (301, 1001)
    assert children.names == [f"c{999 - number:04d}" for number in range(MOST_CHILDREN)]
