"""Which pod made a ticket is read from x-status, and from nothing that is odd."""

from typing import Any

import pytest

from controller.gitops.files.origin import annotations, creation, made_by
from controller.gitops.files.read import Rules, read_file
from controller.gitops.values import Declared

RULES = Rules("acme", frozenset({"Ticket"}))
SAID = {"createdBy": "apod-x1", "createdByUid": "0f-1", "depth": 2}


def declared(x_status: str) -> Declared:
    text = f"---\nid: tk-aaaa\ntitle: One\n{x_status}---\n"
    said = read_file("a.md", "", text.encode(), RULES)
    assert isinstance(said, Declared)
    return said


def test_what_is_written_is_read_back() -> None:
    assert creation({**made_by("apod-x1", "0f-1", 2), "pod": "other"}) == SAID
    assert annotations(SAID) == {
        "agentsmesh.io/created-by": "apod-x1",
        "agentsmesh.io/created-by-uid": "0f-1",
        "agentsmesh.io/depth": "2",
    }


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(None, id="nothing"),
        pytest.param("apod-x1", id="a text"),
        pytest.param({**SAID, "createdBy": "a\nb"}, id="a name of two lines"),
        pytest.param({**SAID, "createdByUid": 7}, id="a uid that is a number"),
        pytest.param({**SAID, "depth": True}, id="a depth that is a word"),
        pytest.param({**SAID, "depth": "2"}, id="a depth that is a text"),
        pytest.param({"createdBy": "apod-x1"}, id="half of it"),
        pytest.param({**SAID, "createdBy": "x" * 300}, id="a name that is too long"),
    ],
)
def test_what_is_odd_is_passed_over(said: Any) -> None:
    assert creation(said) == {}
    assert annotations(said) == {}


def test_it_is_a_part_of_what_a_file_declares_and_the_rest_of_x_status_is_not() -> None:
    plain = declared("")
    made = declared("x-status: {createdBy: a, createdByUid: b, depth: 1, updated: now}\n")
    other = declared("x-status: {pod: a, updated: now}\n")
    assert made.annotations["agentsmesh.io/created-by-uid"] == "b"
    assert made.digest != plain.digest
    assert (other.annotations, other.digest) == ({}, plain.digest)
