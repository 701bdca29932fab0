"""Which pod made a ticket is read from x-status, and from nothing that is odd."""

from typing import Any

import pytest

from controller.gitops.files.origin import annotations, creation, made_by
from controller.gitops.files.read import Rules, read_file
from controller.gitops.values import Declared, Problem
from controller.tickets.depth import depth_of
from schemas.gitsource import SourcedKind
from schemas.names import (
    ANNOTATION_AUTO_RUN_SOURCE,
    ANNOTATION_CREATED_BY,
    ANNOTATION_CREATED_BY_UID,
    ANNOTATION_DEPTH,
    LABEL_AUTO_RUN,
    LABEL_CREATED_BY,
    LABEL_MANAGED_BY,
    LABEL_TICKET,
)
from schemas.ticket import Ticket

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


@pytest.mark.parametrize("kind", SourcedKind)
@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("annotations", ANNOTATION_CREATED_BY),
        ("annotations", ANNOTATION_CREATED_BY_UID),
        ("annotations", ANNOTATION_DEPTH),
        ("annotations", ANNOTATION_AUTO_RUN_SOURCE),
        ("labels", LABEL_CREATED_BY),
        ("labels", LABEL_AUTO_RUN),
        ("labels", LABEL_TICKET),
        ("labels", LABEL_MANAGED_BY),
    ],
)
def test_no_manifest_says_who_made_it(kind: SourcedKind, field: str, key: str) -> None:
    text = (
        f"apiVersion: agentsmesh.io/v1alpha1\nkind: {kind}\n"
        f'metadata: {{name: a, {field}: {{{key}: "1"}}}}\nspec: {{}}\n'
    )
    every = Rules("acme", frozenset(str(each) for each in SourcedKind))
    said = read_file("a.yaml", "", text.encode(), every)
    assert isinstance(said, Problem)
    assert said.reason == "NotAllowed"
    assert key in said.message


@pytest.mark.parametrize("x_status", ["", "x-status: {createdBy: a, createdByUid: b, depth: 0}\n"])
def test_a_file_that_denies_its_maker_makes_no_ticket_less_deep_that_was_seen(
    x_status: str,
) -> None:
    said = declared(x_status)
    runs = {"state": "todo", "depth": 2}  # as it was counted when it was seen first
    ticket = Ticket.model_validate(
        {
            "metadata": {"name": "tk-aaaa", "annotations": dict(said.annotations)},
            "spec": dict(said.spec),
            "status": {"runs": runs},
        }
    )
    assert depth_of(ticket) == 2


def test_a_file_that_claims_a_maker_only_makes_the_ticket_deeper() -> None:
    for x_status, least in (
        ("", 0),
        ("x-status: {createdBy: a, createdByUid: b, depth: 0}\n", 1),
        ("x-status: {createdBy: a, createdByUid: b, depth: -5}\n", 1),
        ("x-status: {createdBy: a, createdByUid: b, depth: 9}\n", 9),
    ):
        made = {"name": "tk-aaaa", "annotations": dict(declared(x_status).annotations)}
        ticket = Ticket.model_validate({"metadata": made, "spec": {"title": "One"}})
        assert depth_of(ticket) == least
