"""What a pod is told of its ticket: everything, byte for byte, or where it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from controller.placement.desired import Desired
from controller.placement.resolve import resolve
from controller.tickets.context import MOST_BYTES, document, first_prompt
from schemas.ticket import Ticket

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=400)


def ticket(body: str = "Mend it.\n", name: str = "tk-1", **spec: Any) -> Ticket:
    return Ticket.model_validate(
        {"metadata": {"name": name}, "spec": {"title": "Mend the gate", "body": body, **spec}}
    )


def test_the_document_says_all_that_a_pod_needs() -> None:
    acceptance = [
        {"id": "a1", "text": "it opens and closes"},
        {"id": "a2", "text": "it is green", "done": True},
    ]
    one = ticket(
        state="todo",
        priority="high",
        labels=["gate"],
        parent="tk-0",
        dependsOn=["tk-9"],
        acceptance=acceptance,
    )
    source = {"name": "team", "path": "tickets/tk-1-gate.md", "blob": "b", "commit": "c"}
    one = Ticket.model_validate({**one.manifest(), "status": {"source": source}})
    assert document(one, ticket(name="tk-0")) == (
        "# Ticket tk-1: Mend the gate\n\n"
        "- State: todo\n- Type: task\n- Priority: high\n- Labels: gate\n"
        "- Part of: tk-0 (Mend the gate)\n- Depends on: tk-9\n"
        "- File in git: tickets/tk-1-gate.md (GitSource team)\n\n"
        "## Description\n\nMend it.\n\n\n"
        "## Acceptance: what must be true when it is done\n\n"
        "- [ ] a1: it opens and closes\n- [x] a2: it is green\n\n"
        "## How to report\n\n"
        "- `get_ticket` with ticket_id `tk-1` tells how the ticket stands now. `update_ticket` "
        "changes it: `status`, `description`, and with the ids of acceptance items `done` and "
        "`undone`.\n"
        "- End the message of every commit for it with the line `Ticket: tk-1`.\n"
        "- When you end with commits, the ticket goes to review; without, back to todo.\n"
    )


@given(TEXTS, TEXTS)
def test_the_body_is_there_byte_for_byte_and_the_prompt_behind_it(body: str, prompt: str) -> None:
    one = ticket(body)
    said = document(one)
    if body:
        assert said.partition("## Description\n\n")[2].startswith(f"{body}\n\n## ")
    whole = first_prompt(one, said, prompt)
    assert whole == (f"{said}\n{prompt}" if prompt else said)


def test_what_is_too_long_for_an_argument_is_said_to_be_in_the_file() -> None:
    one = ticket("ü" * 32_768, acceptance=[{"id": "a", "text": "語" * 1024}] * 1)
    many = [{"id": f"a{number}", "text": "語" * 1024} for number in range(30)]
    long = ticket("ü" * 32_768, acceptance=many)
    assert first_prompt(one, document(one), "Go.") == f"{document(one)}\nGo."
    told = first_prompt(long, document(long), "Go.")
    assert len(document(long).encode()) > MOST_BYTES
    assert "AGENTSMESH_TICKET_FILE" in told
    assert told.startswith("# Ticket tk-1: Mend the gate\n")
    assert told.endswith("\nGo.")


@pytest.mark.parametrize(
    ("position", "flag", "prompt"),
    [
        pytest.param("argument", None, "Go.", id="an argument"),
        pytest.param("flag", "--prompt", "Go.", id="a flag"),
        pytest.param("typed", None, "Go.", id="typed"),
        pytest.param("argument", None, None, id="no prompt of its own"),
        pytest.param("none", None, None, id="an agent that takes none"),
    ],
)
def test_the_ticket_stands_before_the_prompt_and_in_the_file(
    build: Any, position: str, flag: str | None, prompt: str | None
) -> None:
    agent = build("AgentClass", "c", spec={"executable": "x", "prompt": prompt_of(position, flag)})
    spec = {"agentClassName": "c", "ticketRef": {"name": "tk-1"}}
    pod = build("AgentPod", "fix", spec=spec | ({"prompt": prompt} if prompt else {}))
    one = ticket("$(HOME) $$ -rf")
    found = resolve(pod, agent, None, one).spec
    assert found.ticket.name == "tk-1"
    assert found.ticket.content == document(one)
    alone = "" if position == "none" else document(one)
    assert found.prompt == (f"{document(one)}\n{prompt}" if prompt else alone)


def prompt_of(position: str, flag: str | None) -> dict[str, str]:
    return {"position": position} | ({"flag": flag} if flag else {})


def test_a_ticket_that_is_edited_later_does_not_reach_a_pod_that_was_told(build: Any) -> None:
    agent = build("AgentClass", "c", spec={"executable": "x"})
    placed = {"runnerName": "r", "runnerUID": "u", "epoch": 1, "placedAt": "2027-01-01T00:00:00Z"}
    pod = build(
        "AgentPod",
        "fix",
        spec={"agentClassName": "c", "ticketRef": {"name": "tk-1"}},
        status={"placement": placed},
    )
    desired = Desired()

    def told(one: Ticket | None) -> link_pb2.PodDesired:
        return desired.message(pod, agent, None, lambda _: one, evicted=False, known=True)

    first = told(ticket("First."))
    again = told(ticket("Second."))
    assert again.spec.ticket.content == first.spec.ticket.content == document(ticket("First."))
    assert again.spec_digest == first.spec_digest
    assert told(None).spec_digest == first.spec_digest
