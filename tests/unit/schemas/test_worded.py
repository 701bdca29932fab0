"""A value that is refused is refused in words, and never less than the model refuses."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apiserver.schema.compiled import CompiledSchema
from schemas import crdgen
from schemas.agentpod import AgentPod, RepositoryUse
from schemas.repository import Repository, RepositorySpec
from schemas.ticket import LINE_MESSAGE, Ticket, TicketSpec

POD = CompiledSchema(crdgen.schema(AgentPod))
REPOSITORY = CompiledSchema(crdgen.schema(Repository))
TICKET = CompiledSchema(crdgen.schema(Ticket))


def ref_refused(value: str) -> list[str]:
    use = {"name": "origin", "ref": value}
    obj: dict[str, Any] = {"metadata": {}, "spec": {"agentClassName": "c", "repositoryRef": use}}
    POD.default(obj)
    return [f"{error.field}: {error.detail}" for error in POD.validate(obj)]


def url_refused(value: str) -> list[str]:
    obj: dict[str, Any] = {"metadata": {}, "spec": {"url": value}}
    REPOSITORY.default(obj)
    return [f"{error.field}: {error.detail}" for error in REPOSITORY.validate(obj)]


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("-x", "must not begin with -"),
        ("a b", "must not have spaces"),
        ("HEAD~1", "must not have spaces, control characters or any of ~"),
        ("a\\b", "[ \\"),
        ("a[b", "any of"),
        ("a\x1fb", "control characters"),
        ("a\0b", "[^\\x00]"),
        ("a..b", "must not have .."),
        ("main@{1}", "@{"),
    ],
)
def test_a_bad_ref_is_refused_in_words(ref: str, words: str) -> None:
    [said] = ref_refused(ref)
    assert said.startswith("spec.repositoryRef.ref: ")
    assert words in said


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ext::sh -c id", "must be an https:// or ssh:// address"),
        ("http://git.example/x", "must be an https:// or ssh:// address"),
        ("git@git.example:x.git", "must be an https:// or ssh:// address"),
        ("https://user:pass@git.example/x.git", "authSecretRef"),
        ("https://git.example", "https://host/path"),
        ("https://git.example/a b", "letters, digits"),
        ("ssh://git@-oProxyCommand=x/y", "ssh://user@host/path"),
        ("/srv/a\nb", "control characters"),
        ("/", "names a folder"),
    ],
)
def test_a_bad_url_is_refused_in_words(url: str, words: str) -> None:
    [said] = url_refused(url)
    assert said.startswith("spec.url: ")
    assert words in said
    assert not re.search(r"\[A-Za-z0-9", said)


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example:8443/a/b_c~d.git",
        "ssh://git@git.example:22/x.git",
        "ssh://git.example/x",
        "/srv/git/x y.git",
        "file:///srv/é",
    ],
)
def test_a_good_url_is_taken(url: str) -> None:
    assert url_refused(url) == []


@pytest.mark.parametrize("ref", ["main", "refs/heads/a-b", "v1.2.3", "fix/é", "a" * 40, "@"])
def test_a_good_ref_is_taken(ref: str) -> None:
    assert ref_refused(ref) == []


@given(st.text(st.sampled_from("a-/.~^:?*[\\ \0\x1f\x7f\n@{é"), min_size=1, max_size=8))
def test_whatever_ref_is_taken_the_model_takes(ref: str) -> None:
    if not ref_refused(ref):
        RepositoryUse(name="origin", ref=ref)


PIECES = [
    "\0",
    "https://",
    "ssh://",
    "file://",
    "/",
    "a",
    "-",
    "@",
    ":",
    "22",
    "é",
    "\n",
    " ",
    ".",
    "_",
]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join))
def test_a_url_is_taken_if_and_only_if_the_model_takes_it(url: str) -> None:
    try:
        RepositorySpec(url=url)
    except ValidationError:
        assert url_refused(url)
    else:
        assert ".." in url or not url_refused(url)


def ticket_refused(**spec: Any) -> list[str]:
    obj: dict[str, Any] = {"metadata": {}, "spec": {"title": "t", **spec}}
    TICKET.default(obj)
    return [f"{error.field}: {error.detail}" for error in TICKET.validate(obj)]


UNFIT = "\x01\a\t\n\r\x1b\x7f\x80\x85\x9b\x9f\u2028\u2029\u202a\u202e\u2066\u2069"
FIT = "a é😀\xa0\u200d\u2027\u202f\u2065\u206a"


def lines(text: str) -> dict[str, dict[str, Any]]:
    """Return the fields of a ticket that are one line, each with the text."""
    return {
        "spec.title": {"title": text},
        "spec.labels[0]": {"labels": [text]},
        "spec.assignees[0]": {"assignees": [text]},
        "spec.acceptance[0].id": {"acceptance": [{"id": text, "text": "x"}]},
        "spec.acceptance[0].text": {"acceptance": [{"id": "a1", "text": text}]},
    }


@pytest.mark.parametrize("letter", UNFIT, ids=lambda letter: f"U+{ord(letter):04X}")
def test_what_acts_on_terminals_is_refused_in_words(letter: str) -> None:
    for field, spec in lines(f"a{letter}b").items():
        [said] = ticket_refused(**spec)
        assert said.startswith(f"{field}: ")
        assert LINE_MESSAGE in said
        with pytest.raises(ValidationError):
            TicketSpec.model_validate({"title": "t", **spec})


@pytest.mark.parametrize("letter", FIT, ids=lambda letter: f"U+{ord(letter):04X}")
def test_what_people_write_is_taken(letter: str) -> None:
    for spec in lines(f"a{letter}b").values():
        assert ticket_refused(**spec) == []
        TicketSpec.model_validate({"title": "t", **spec})


@pytest.mark.parametrize("field", lines(""))
def test_nul_is_refused_everywhere_in_lines(field: str) -> None:
    assert any(said.startswith(f"{field}: ") for said in ticket_refused(**lines("a\0b")[field]))
