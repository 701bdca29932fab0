"""New files of tickets, and comments beside them."""

from typing import Any

import pytest

from controller.gitops.files.create import comment_path, new_comment, new_ticket, ticket_path
from controller.gitops.files.edit import EditError
from controller.gitops.files.read import Rules, read_file
from controller.gitops.values import Problem


def test_a_new_ticket_is_what_a_person_would_write():
    spec = {
        "title": "Fix flaky reconnect",
        "labels": ["gateway", "flaky"],
        "acceptance": [{"id": "a1", "text": "reconnects within 5 s, always"}],
        "autoRun": {"agentClassName": "claude"},
        "body": "Do *it*.\n",
    }
    assert new_ticket("tk-7f3kq9xw2m", spec).decode() == (
        "---\n"
        "id: tk-7f3kq9xw2m\n"
        "title: Fix flaky reconnect\n"
        "state: backlog\n"
        "type: task\n"
        "priority: none\n"
        "labels: [gateway, flaky]\n"
        "acceptance:\n"
        '  - {id: a1, text: "reconnects within 5 s, always", done: false}\n'
        "autoRun:\n"
        "  agentClassName: claude\n"
        "  maxAttempts: 1\n"
        "---\n"
        "Do *it*.\n"
    )


@pytest.mark.parametrize(
    ("ticket", "spec", "said"),
    [
        pytest.param("TK 1", {"title": "t"}, "id: must be 1 to 63", id="a bad id"),
        pytest.param("../x", {"title": "t"}, "id: must be 1 to 63", id="a path for an id"),
        pytest.param("a", {}, "title: is missing", id="no title"),
        pytest.param("a", {"title": "t", "state": "x"}, "state: must be one of", id="a bad state"),
        pytest.param("a", {"title": "t", "foo": 1}, "foo: there is no such field", id="no field"),
        pytest.param("a", {"title": "t", "body": "ü" * 40_000}, "64 KiB", id="a long body"),
        pytest.param("a", {"title": "t", "body": "\ud800"}, "", id="half a pair"),
    ],
)
def test_what_would_not_be_valid_is_refused(ticket: str, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(EditError) as caught:
        new_ticket(ticket, spec)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("folder", "ticket", "title", "existing", "path"),
    [
        pytest.param(".", "tk-7f3k", "Fix it", 0, "tickets/tk-7f3k-fix-it.md", id="at the root"),
        pytest.param("a/b", "tk-7f3k", "Fix it", 999, "a/b/tickets/tk-7f3k-fix-it.md", id="below"),
        pytest.param("a/tickets", "tk-7f3k", "Fix", 0, "a/tickets/tk-7f3k-fix.md", id="in tickets"),
        pytest.param(".", "tk-7f3k", "Fix", 1000, "tickets/7f/tk-7f3k-fix.md", id="among many"),
        pytest.param(".", "am-1", "Fix", 1000, "tickets/am/am-1-fix.md", id="a short id"),
        pytest.param(".", "tk-7f3k", "日本 😀", 0, "tickets/tk-7f3k.md", id="no letters of ours"),
        pytest.param(".", "tk-7f3k", "Élan/../vital", 0, "tickets/tk-7f3k-elan-vital.md", id="odd"),
        pytest.param(".", "t", "w" * 90, 0, f"tickets/t-{'w' * 48}.md", id="a long word"),
        pytest.param(".", "t", "word " * 20, 0, f"tickets/t{'-word' * 9}.md", id="long"),
    ],
)
def test_where_a_new_ticket_goes(
    folder: str, ticket: str, title: str, existing: int, path: str
) -> None:
    assert ticket_path(folder, ticket, title, existing) == path


@pytest.mark.parametrize(
    ("folder", "ticket", "place"),
    [
        pytest.param(".", "tickets/tk-1-x.md", "tickets/tk-1/comments", id="beside it"),
        pytest.param(".", "tickets/ab/tk-1.md", "tickets/ab/tk-1/comments", id="among many"),
        pytest.param("plan", "plan/x.md", "plan/tickets/tk-1/comments", id="of another place"),
        pytest.param(".", "tickets/a/b/tk-1.md", "tickets/tk-1/comments", id="of further down"),
    ],
)
def test_where_a_comment_goes(folder: str, ticket: str, place: str) -> None:
    assert (
        comment_path(folder, ticket, "tk-1", "01A", "claude (p-1)") == f"{place}/01A-claude-p-1.md"
    )
    assert comment_path(folder, ticket, "tk-1", "01A", "../日本") == f"{place}/01A-unknown.md"


def test_a_comment_says_who_says_what_and_is_no_ticket():
    data = new_comment("line\n---\nid: tk-1\n", "claude (p-1)", "body: kept aside")
    assert data.decode() == (
        '---\nauthor: claude (p-1)\nabout: "body: kept aside"\n---\nline\n---\nid: tk-1\n'
    )
    found = read_file("a.md", "", data, Rules("a", frozenset({"Ticket"})))
    assert isinstance(found, Problem)
