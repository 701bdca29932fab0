"""What a file declares, or the one sentence on why it cannot be used."""

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.gitops.files.canonical import digest
from controller.gitops.files.read import Rules, read_file, read_x_status
from controller.gitops.values import Declared, Identity, Problem, Style
from schemas.gitsource import SourcedKind
from schemas.ticket import TicketSpec

RULES = Rules("acme", frozenset({"Ticket", "AgentPod", "Channel"}))

TICKET = """\
---
id: tk-7f3kq9xw2m            # identity
title: Fix flaky reconnect 😀
state: todo
labels: [gateway, flaky]
acceptance:
  - {id: a1, text: reconnects within 5 s}
parent:
apiVersion: agentsmesh.io/v1alpha1
x-status:
  progress: 0/1
x-mine: {anything: [goes, 1]}
---

Body in *Markdown*.
"""

MANIFEST = """\
# the lead
apiVersion: agentsmesh.io/v1alpha1
kind: AgentPod
metadata:
  name: lead
  labels: {team: core}
  annotations:
    agentsmesh.io/prune: disabled
    example.org/note: "1"
spec:
  agentClassName: claude
  prompt: |
    Do it.
"""


def declared(path: str, text: str, rules: Rules = RULES) -> Declared:
    found = read_file(path, "b1", text.encode(), rules)
    assert isinstance(found, Declared), found
    return found


def problem(path: str, text: str | bytes, rules: Rules = RULES) -> Problem:
    data = text if isinstance(text, bytes) else text.encode()
    found = read_file(path, "b1", data, rules)
    assert isinstance(found, Problem), found
    return found


def front(*lines: str) -> str:
    return "\n".join(["---", "id: tk-1abc", "title: It", *lines, "---", "body", ""])


def test_a_ticket_is_declared_with_all_that_it_does_not_say() -> None:
    found = declared("tickets/a.md", TICKET)
    assert (found.identity, found.path, found.blob) == (
        Identity("Ticket", "tk-7f3kq9xw2m"),
        "tickets/a.md",
        "b1",
    )
    assert found.style is Style.MARKDOWN
    expected = TicketSpec.model_validate(
        {
            "title": "Fix flaky reconnect 😀",
            "state": "todo",
            "labels": ["gateway", "flaky"],
            "acceptance": [{"id": "a1", "text": "reconnects within 5 s"}],
            "body": "\nBody in *Markdown*.\n",
        }
    )
    assert found.spec == expected.manifest()
    assert found.digest == digest(found.identity, expected.manifest(), {}, {})
    assert found.lines["title"] == 3
    assert found.lines["acceptance"] == 6
    assert found.lines["body"] == 14


def test_a_manifest_is_declared_with_its_labels_and_annotations() -> None:
    found = declared("fleet/lead.yaml", MANIFEST)
    assert found.identity == Identity("AgentPod", "lead")
    assert found.style is Style.YAML
    assert found.labels == {"team": "core"}
    assert found.annotations == {"agentsmesh.io/prune": "disabled", "example.org/note": "1"}
    assert found.spec["agentClassName"] == "claude"
    assert found.spec["prompt"] == "Do it.\n"
    assert found.lines == {"agentClassName": 11, "prompt": 12}


def test_a_ticket_says_the_same_in_markdown_and_as_a_manifest() -> None:
    manifest = (
        "apiVersion: agentsmesh.io/v1alpha1\nkind: Ticket\nmetadata: {name: tk-1abc}\n"
        'spec: {title: It, state: todo, body: "body\\n"}\n'
    )
    one, other = declared("a.md", front("state: todo")), declared("a.yml", manifest)
    assert (one.identity, one.spec, one.digest) == (other.identity, other.spec, other.digest)


def test_the_digest_does_not_depend_on_how_the_file_looks() -> None:
    tidy = front("state: todo", "labels: [a, b]")
    other = front("# why", "labels: [\"a\", 'b']  # two", "state:   todo", "x-status: {pod: p}")
    assert declared("a.md", tidy).digest == declared("b.md", other).digest
    assert declared("a.md", tidy).digest != declared("a.md", front("labels: [b, a]")).digest


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(TICKET.replace("\n", "\r\n").encode(), id="CRLF"),
        pytest.param(b"\xef\xbb\xbf" + TICKET.encode(), id="a byte order mark"),
        pytest.param(TICKET.rstrip("\n").encode(), id="no last newline"),
    ],
)
def test_however_it_is_saved_its_body_is_what_stands_there(data: bytes) -> None:
    found = read_file("a.md", "b", data, RULES)
    assert isinstance(found, Declared)
    assert found.spec["title"] == "Fix flaky reconnect 😀"
    assert data.endswith(found.spec["body"].encode())
    assert found.spec["body"].startswith(("\nBody", "\r\nBody"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("state: wip", "state: must be one of backlog, todo", id="a wrong state"),
        pytest.param("ttle: x", "ttle: there is no such field: did you mean title?", id="a slip"),
        pytest.param("qqq: x", "qqq: there is no such field: leave it out", id="no field"),
        pytest.param("priority: 1", "priority: must be one of urgent, high", id="a number"),
        pytest.param("labels: a", "labels: must be a list", id="a text for a list"),
        pytest.param("labels: [a, b, a]", "labels[2]: stands in the list twice", id="a set"),
        pytest.param("labels: [1]", "labels[0]: must be a text: put it in quotes", id="no text"),
        pytest.param("labels: ['']", "labels[0]: must not be empty", id="an empty label"),
        pytest.param("acceptance: [{id: a}]", "acceptance[0].text: is missing", id="no text in it"),
        pytest.param(
            "acceptance: [{id: a, text: b, doen: true}]",
            "acceptance[0].doen: there is no such field: did you mean done?",
            id="a slip further in",
        ),
        pytest.param(
            "acceptance: [{id: a, text: b, done: yes}]",
            "acceptance[0].done: must be true or false",
            id="yes for true",
        ),
        pytest.param(
            "acceptance: [{id: a, text: b}, {id: a, text: c}]",
            "acceptance[1]: stands in the list twice",
            id="an item's id twice",
        ),
        pytest.param("parent: TK-9", "parent: must be a name: lower-case", id="capitals"),
        pytest.param("autoRun: x", "autoRun: must be a mapping", id="a text for a mapping"),
        pytest.param(
            "autoRun: {agentClassName: c, maxAttempts: 0}",
            "autoRun.maxAttempts: must be at least 1",
            id="too few",
        ),
        pytest.param(
            "autoRun: {agentClassName: c, maxAttempts: x}",
            "autoRun.maxAttempts: must be a whole number",
            id="no number",
        ),
        pytest.param("apiVersion: v1", "apiVersion: must be agentsmesh.io/v1alpha1", id="version"),
        pytest.param("kind: AgentPod", "kind: must be Ticket", id="another kind"),
        pytest.param("body: x", "body: leave it out: the body is what follows", id="a body"),
        pytest.param("status: x", "status: there is no such field", id="a status"),
        pytest.param("x: &a 1", "column 4: anchors (&) are not allowed", id="an anchor"),
        pytest.param("state: todo\nstate: done", "'state' stands here twice", id="a key twice"),
    ],
)
def test_what_is_wrong_with_a_ticket_names_field_line_and_what_to_do(line: str, said: str) -> None:
    found = problem("tickets/a.md", front(line))
    assert said in found.message
    assert found.line == 4 + line.count("\n")
    assert found.path == "tickets/a.md"


@pytest.mark.parametrize(
    ("text", "reason", "line", "said"),
    [
        pytest.param("---\ntitle: x\n---\n", "Invalid", 2, "id: is missing", id="no id"),
        pytest.param("---\n---\n", "InvalidFrontMatter", 1, "id: is missing", id="nothing in it"),
        pytest.param("---\n# x\n---\n", "InvalidYAML", 2, "nothing is declared", id="a comment"),
        pytest.param("---\nsome prose\n---\n", "Invalid", 2, "keys and values", id="prose"),
        pytest.param("---\nid: x\n---\n", "Invalid", 2, "title: is missing", id="no title"),
        pytest.param("---\nid: 42\ntitle: x\n---\n", "Invalid", 2, "id: must be a text", id="42"),
        pytest.param("---\nid: A b\ntitle: x\n---\n", "Invalid", 2, "id: must be 1 to 63", id="no"),
        pytest.param("---\nid: ../x\ntitle: x\n---\n", "Invalid", 2, "id: must be 1", id="a path"),
        pytest.param("---\nid: x\ntitle: y\n", "InvalidFrontMatter", 1, "not closed", id="open"),
        pytest.param(
            "---\nid: x\ntitle: y\n---\n" + "ü" * 40_000,
            "Invalid",
            5,
            "body: must be at most 64 KiB",
            id="a long body",
        ),
        pytest.param("---\n" + "x" * 262_141, "TooLarge", None, "256 KiB", id="a huge file"),
        pytest.param(TICKET.encode("utf-16"), "InvalidEncoding", 1, "UTF-8", id="UTF-16"),
        pytest.param("---\nid: x\n\0---\n", "InvalidEncoding", 3, "NUL", id="NUL"),
        pytest.param("---\nid: x\ntitle: 'a\n---\n", "InvalidYAML", 3, "not closed", id="a quote"),
    ],
)
def test_what_is_no_ticket_is_one_problem(
    text: str | bytes, reason: str, line: int | None, said: str
) -> None:
    found = problem("a.md", text)
    assert (found.reason, found.line, said in found.message) == (reason, line, True), found


@pytest.mark.parametrize(
    ("old", "new", "reason", "line", "said"),
    [
        pytest.param("kind: AgentPod", "kind: Runner", "KindNotAllowed", 3,
                     "kind: must be one of AgentPod, Channel, Ticket", id="a kind not allowed"),
        pytest.param("kind: AgentPod", "kind: Secret", "KindNotAllowed", 3, "kind:", id="no ours"),
        pytest.param("kind: AgentPod\n", "", "Invalid", 2, "kind: is missing", id="no kind"),
        pytest.param("agentsmesh.io/v1alpha1", "apps/v1", "Invalid", 2,
                     "apiVersion: must be agentsmesh.io/v1alpha1", id="another API"),
        pytest.param("  name: lead\n", "", "Invalid", 4, "metadata.name: is missing", id="no name"),
        pytest.param("name: lead", "name: Lead", "Invalid", 5, "metadata.name:", id="a bad name"),
        pytest.param("name: lead", "name: lead\n  namespace: other", "OtherNamespace", 6,
                     "metadata.namespace: must be acme", id="another namespace"),
        pytest.param("name: lead", "name: lead\n  finalizers: [x]", "NotAllowed", 6,
                     "metadata.finalizers: leave it out", id="finalizers"),
        pytest.param("name: lead", "name: lead\n  ownerReferences: []", "NotAllowed", 6,
                     "metadata.ownerReferences: leave it out", id="owners"),
        pytest.param("name: lead", "name: lead\n  uid: x", "Invalid", 6,
                     "metadata.uid: there is no such field", id="a uid"),
        pytest.param("spec:", "status: {}\nspec:", "NotAllowed", 10,
                     "status: leave it out", id="a status"),
        pytest.param("team: core", "agentsmesh.io/source: x", "NotAllowed", 6,
                     "metadata.labels.agentsmesh.io/source: leave it out", id="our label"),
        pytest.param("team: core", "agentsmesh.io/prune: disabled", "NotAllowed", 6,
                     "leave it out", id="our annotation as a label"),
        pytest.param("agentsmesh.io/prune: disabled", "agentsmesh.io/created-by: x", "NotAllowed",
                     8, "agentsmesh.io/created-by: leave it out", id="our annotation"),
        pytest.param("agentsmesh.io/prune: disabled", "a.agentsmesh.io/x: x", "NotAllowed", 8,
                     "leave it out", id="a domain below ours"),
        pytest.param("team: core", "team: a b", "Invalid", 6, "metadata.labels.team", id="a label"),
        pytest.param("team: core", "'a b': x", "Invalid", 6, "no valid key", id="a label's key"),
        pytest.param('"1"', "1", "Invalid", 9, "must be a text", id="a number for a text"),
        pytest.param("agentClassName:", "agentClasName:", "Invalid", 11,
                     "spec.agentClasName: there is no such field: did you mean agentClassName?",
                     id="a slip"),
        pytest.param("  agentClassName: claude\n", "", "Invalid", 10,
                     "spec.agentClassName: is missing", id="a field missing"),
        pytest.param("claude", "'x", "InvalidYAML", 11, "opened here", id="no YAML"),
        pytest.param("# the lead", "---\na: 1\n---", "InvalidYAML", 3, "second document", id="two"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_manifest_names_field_and_line(
    old: str, new: str, reason: str, line: int, said: str
) -> None:
    assert old in MANIFEST
    found = problem("a.yaml", MANIFEST.replace(old, new, 1))
    assert (found.reason, found.line, said in found.message) == (reason, line, True), found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param("README.md", "# Tickets\n", id="Markdown without front matter"),
        pytest.param("logo.png", "---\nid: x\n---\n", id="another extension"),
    ],
)
def test_what_is_not_ours_is_nothing(path: str, text: str) -> None:
    assert read_file(path, "b", text.encode(), RULES) is None


def test_an_extension_in_capitals_is_one():
    assert declared("A.MD", TICKET).style is Style.MARKDOWN
    assert declared("A.YML", MANIFEST).style is Style.YAML


def test_tickets_are_refused_where_the_source_does_not_allow_them() -> None:
    found = problem("a.md", TICKET, Rules("acme", frozenset({"AgentPod"})))
    assert found.reason == "KindNotAllowed"


def test_the_namespace_of_the_source_may_be_named() -> None:
    text = MANIFEST.replace("name: lead", "name: lead\n  namespace: acme")
    assert declared("a.yaml", text).digest == declared("a.yaml", MANIFEST).digest


def test_a_message_fits_on_one_line_whatever_the_file_holds() -> None:
    found = problem("a.md", front('"' + "k\\n\\x1b" * 200 + '": 1'))
    assert len(found.message) <= 512
    assert found.message.isprintable()


def test_a_problem_names_the_path_as_git_has_it():
    assert problem("no\xa0break\u200d.md", front("state: x")).path == "no\xa0break\u200d.md"


def test_what_the_controller_wrote_is_read_back() -> None:
    assert read_x_status(TICKET.encode(), Style.MARKDOWN) == {"progress": "0/1"}
    assert read_x_status(front().encode(), Style.MARKDOWN) is None
    assert read_x_status(front("x-status: 3").encode(), Style.MARKDOWN) is None
    assert read_x_status(b"---\nx-status: [\n---\n", Style.MARKDOWN) is None
    assert read_x_status(MANIFEST.encode(), Style.YAML) is None


PIECES = st.lists(
    st.sampled_from(["---\n", "id: a\n", "title: x\n", "labels:", " [a]\n", "- b\n",
                     "kind: Ticket\n", "apiVersion: agentsmesh.io/v1alpha1\n", "spec:\n",
                     "  title: y\n", "metadata:",
                     " {name: x}\n", "\n", "acceptance: ", "{", "}", "[", "null", "x-status: 1\n",
                     "\r\n", "\t", "\ufeff", "😀", "- ", ": ", "# c\n", "autoRun: {}\n", "1", "'"]),
    max_size=25,
).map("".join)  # fmt: skip


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PIECES, st.sampled_from(["a.md", "a.yaml"]))
def test_any_file_is_declared_or_one_problem_or_not_ours(text: str, path: str) -> None:
    found = read_file(path, "b", text.encode(), Rules("acme", frozenset(map(str, SourcedKind))))
    if isinstance(found, Problem):
        assert found.line is not None
        assert 1 <= found.line <= text.count("\n") + 2
        assert found.message.isprintable()
    elif found is not None:
        assert found.identity.name
        assert found.spec


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.sampled_from(["a.md", "a.yaml"]))
def test_any_bytes_are_declared_or_one_problem_or_not_ours(data: bytes, path: str) -> None:
    found: Any = read_file(path, "b", data, RULES)
    assert found is None or isinstance(found, (Declared, Problem))


def test_thousands_of_tickets_are_read_before_anybody_waits() -> None:
    data = TICKET.encode() + b"A line of the body.\n" * 60
    started = time.monotonic()
    for number in range(2_000):
        assert isinstance(read_file(f"{number}.md", "b", data, RULES), Declared)
    assert time.monotonic() - started < 40  # usually 0.4; bench/ has the figure


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("title", r'title: "a\u009b2Jb"'),
        ("title", r'title: "a\u202Eb"'),
        ("labels[0]", r'labels: ["a\x1bb"]'),
        ("assignees[0]", r'assignees: ["a\ab"]'),
        ("acceptance[0].text", r'acceptance: [{id: a1, text: "a\tb"}]'),
        ("acceptance[0].text", r'acceptance: [{id: a1, text: "a\nb"}]'),
        ("acceptance[0].id", r'acceptance: [{id: "a\x1b", text: b}]'),
    ],
)
def test_what_acts_on_terminals_is_a_problem_of_its_line(field: str, line: str) -> None:
    title = "" if field == "title" else "title: It\n"
    found = problem("a.md", f"---\nid: tk-1abc\n{title}{line}\n---\n")
    assert found.message == f"{field}: must be one line without control characters"
    assert found.line == (3 if field == "title" else 4)
