"""Which changes share a commit, and what its message says."""

import pytest

from controller.gitops.values import Author, Operation, OperationKind
from controller.gitops.writeback.commits import Edit, drafts, message

ADA, POD = Author("ada", "ada@acme.example"), Author("claude (p1)", "p1@pods.invalid")


def edit(number: int, author: Author, *paths: str, summary: str = "") -> Edit:
    operation = Operation(
        id=f"op-{number}",
        kind=OperationKind.UPDATE,
        source_uid="uid",
        namespace="acme",
        source="fleet",
        ticket=f"tk-{paths[0]}",
        changes={},
        base=None,
        author=author,
        person=author is ADA,
        summary=summary or f"Update {number}",
        trailers={} if author is ADA else {"Agent-Pod": "p1"},
    )
    return Edit(operation, {path: str(number).encode() for path in paths})


@pytest.mark.parametrize(
    ("edits", "commits"),
    [
        pytest.param((), [], id="nothing is no commit"),
        pytest.param(
            (edit(1, ADA, "a"), edit(2, ADA, "b"), edit(3, ADA, "a")),
            [("ada", ["op-1", "op-2", "op-3"], {"a": b"3", "b": b"2"})],
            id="one author is one commit",
        ),
        pytest.param(
            (edit(1, ADA, "a"), edit(2, POD, "b"), edit(3, ADA, "c")),
            [
                ("ada", ["op-1", "op-3"], {"a": b"1", "c": b"3"}),
                ("claude (p1)", ["op-2"], {"b": b"2"}),
            ],
            id="two authors on different files are two commits",
        ),
        pytest.param(
            (edit(1, ADA, "a"), edit(2, POD, "a"), edit(3, ADA, "a"), edit(4, POD, "b")),
            [
                ("ada", ["op-1"], {"a": b"1"}),
                ("claude (p1)", ["op-2", "op-4"], {"a": b"2", "b": b"4"}),
                ("ada", ["op-3"], {"a": b"3"}),
            ],
            id="who changed one file after whom stays readable",
        ),
    ],
)
def test_commits(edits: tuple[Edit, ...], commits: list[tuple[str, list[str], object]]) -> None:
    assert [
        (draft.author.name, [each.id for each in draft.operations], draft.files)
        for draft in drafts(edits)
    ] == commits


def test_a_message_of_one_change() -> None:
    assert message([edit(1, POD, "a", summary="Update tk-a:\nstate\x1b done").operation]) == (
        "Update tk-a: state  done\n\nTicket: tk-a\nAgent-Pod: p1\nOperation-Id: op-1\n"
    )


def test_a_long_summary_is_cut_in_the_subject_and_whole_below() -> None:
    text = message([edit(1, ADA, "a", summary="x" * 100).operation])
    subject, whole, _ = text.split("\n\n")
    assert len(subject) == 72
    assert whole == "x" * 100


def test_a_message_of_many_changes_lists_them() -> None:
    operations = [edit(number, POD, "ab"[number % 2]).operation for number in range(3)]
    assert message(operations) == (
        "Change 2 tickets\n\n- Update 0\n- Update 1\n- Update 2\n\n"
        "Ticket: tk-a\nTicket: tk-b\nAgent-Pod: p1\n"
        "Operation-Id: op-0\nOperation-Id: op-1\nOperation-Id: op-2\n"
    )


def test_nobody_forges_a_trailer_by_a_title() -> None:
    text = message([edit(1, POD, "a", summary="x\n\nOperation-Id: op-9\nTicket: tk-z").operation])
    assert [each for each in text.splitlines() if each.startswith(("Operation-Id", "Ticket"))] == [
        "Ticket: tk-a",
        "Operation-Id: op-1",
    ]
