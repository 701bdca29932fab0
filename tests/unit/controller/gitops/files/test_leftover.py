"""No ticket is taken for anybody's text."""

import pytest

from controller.gitops.files.leftover import conflict_line, late_front
from controller.gitops.files.read import Rules, read_file
from controller.gitops.values import Declared, Problem

RULES = Rules("acme", frozenset({"Ticket", "Channel"}))
TICKET = b"---\nid: tk-1\ntitle: One\n---\n"
CONFLICT = b"<<<<<<< HEAD\none\n=======\ntwo\n>>>>>>> theirs\n"


def read(path: str, data: bytes) -> Declared | Problem | None:
    return read_file(path, "b" * 40, data, RULES)


@pytest.mark.parametrize(
    ("path", "data", "line"),
    [
        pytest.param("t/x.md", b"<<<<<<< HEAD\n" + TICKET + b"=======\n>>>>>>> x\n", 1, id="first"),
        pytest.param("t/x.md", TICKET + b"a\n" + CONFLICT, 6, id="in the body"),
        pytest.param("t/x.md", TICKET + CONFLICT.replace(b"\n", b"\r\n"), 5, id="with CRLF"),
        pytest.param("t/x.yaml", b"kind: Channel\n" + CONFLICT, 2, id="in a manifest"),
        pytest.param(
            "t/x.md",
            b"---\nid: tk-1\n<<<<<<< HEAD\ntitle: a\n||||||| base\n=======\ntitle: b\n>>>>>>> x\n"
            b"---\n",
            3,
            id="in the front matter, with the base",
        ),
    ],
)
def test_a_conflict_that_nobody_solved_is_told_with_its_line(
    path: str, data: bytes, line: int
) -> None:
    found = read(path, data)
    assert isinstance(found, Problem)
    assert (found.reason, found.line) == ("ConflictMarkers", line)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"```\n" + CONFLICT + b"```\n", id="an example in a fenced block"),
        pytest.param(b"A heading\n=======\n", id="a heading"),
        pytest.param(b"<<<<<<< not\nfinished\n", id="a beginning alone"),
        pytest.param(b"    <<<<<<< HEAD\n    =======\n    >>>>>>> x\n", id="indented"),
    ],
)
def test_what_only_looks_like_a_conflict_is_none(data: bytes) -> None:
    assert conflict_line(data, fences=True) is None
    assert isinstance(read("t/x.md", TICKET + data), Declared)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        pytest.param(b"<!-- a licence -->\n" + TICKET, 2, id="behind a comment"),
        pytest.param(b"\n\n" + TICKET, 3, id="behind blank lines"),
        pytest.param(b"text\n---\n# ours\nid: tk-1\n", 2, id="with a comment before its id"),
    ],
)
def test_front_matter_that_begins_too_late_is_told(data: bytes, line: int) -> None:
    found = read("t/x.md", data)
    assert isinstance(found, Problem)
    assert (found.reason, found.line) == ("InvalidFrontMatter", line)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"# How\n\n```markdown\n" + TICKET + b"```\n", id="an example of a ticket"),
        pytest.param(b"# Text\n\n---\n\nmore\n", id="a rule"),
        pytest.param(b"text\n" * 60 + TICKET, id="far below"),
    ],
)
def test_a_readme_is_nobodys(data: bytes) -> None:
    assert late_front(data) is None
    assert read("t/README.md", data) is None


def test_a_ticket_may_be_called_markdown() -> None:
    assert isinstance(read("t/x.markdown", TICKET), Declared)
