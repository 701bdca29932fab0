"""A change of a ticket's file touches the lines of its field, and no other byte."""

from typing import Any

import pytest

from controller.gitops.files.edit import EditError, edit
from controller.gitops.files.read import Rules, read_file
from controller.gitops.files.spans import CannotSpanError, Change, applied
from controller.gitops.values import Declared, Style

FILE = """\
---
id: tk-1abc            # identity
title: Fix flaky reconnect  # why
# about the state
state: todo
priority: 'high'
labels: [gateway, flaky]    # tags
assignees:  # who
  - class/claude   # the class
  # also
  - "ada"
acceptance:
  - {id: a1, text: reconnects within 5 s, done: false}  # first
  - id: a2
    text: other  # tt
    # inner
    done: false

# trailing
x-mine: {a: 1}
x-status:                     # the controller's
  pod: apod-x1
  result: ""
---
Body in Markdown.
"""


def written(changes: dict[str, Any], text: str = FILE, style: Style = Style.MARKDOWN) -> str:
    """Return the lines that are taken away and added, with their signs."""
    after = edit(text.encode(), style, changes).decode()
    old, new = text.split("\n"), after.split("\n")
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    gone, added = old[start : len(old) - end], new[start : len(new) - end]
    return "\n".join([f"-{line}" for line in gone] + [f"+{line}" for line in added])


def item(key: str, text: str, *, done: bool) -> dict[str, Any]:
    return {"id": key, "text": text, "done": done}


A1, A2 = item("a1", "reconnects within 5 s", done=False), item("a2", "other", done=False)


@pytest.mark.parametrize(
    ("changes", "diff"),
    [
        pytest.param({"state": "done"}, "-state: todo\n+state: done", id="a word"),
        pytest.param(
            {"title": "a: b"},
            '-title: Fix flaky reconnect  # why\n+title: "a: b"  # why',
            id="a text that needs quotes, before a comment",
        ),
        pytest.param({"priority": "low"}, "-priority: 'high'\n+priority: 'low'", id="in quotes"),
        pytest.param(
            {"labels": ["gateway", "slow"]},
            "-labels: [gateway, flaky]    # tags\n+labels: [gateway, slow]    # tags",
            id="an item in brackets",
        ),
        pytest.param(
            {"labels": ["x", "gateway", "flaky", "z"]},
            "-labels: [gateway, flaky]    # tags\n+labels: [x, gateway, flaky, z]    # tags",
            id="items that come in brackets",
        ),
        pytest.param(
            {"labels": ["flaky"]},
            "-labels: [gateway, flaky]    # tags\n+labels: [flaky]    # tags",
            id="the first item goes",
        ),
        pytest.param(
            {"labels": []},
            "-labels: [gateway, flaky]    # tags\n+labels: []    # tags",
            id="all items go",
        ),
        pytest.param({"labels": None}, "-labels: [gateway, flaky]    # tags", id="a key goes"),
        pytest.param({"assignees": ["ada"]}, "-  - class/claude   # the class", id="a line goes"),
        pytest.param(
            {"assignees": ["class/claude", "ada", "bob"]}, "+  - bob", id="a line comes last"
        ),
        pytest.param(
            {"assignees": ["bob", "class/claude", "ada"]}, "+  - bob", id="a line comes first"
        ),
        pytest.param(
            {"assignees": []},
            '-assignees:  # who\n-  - class/claude   # the class\n-  # also\n-  - "ada"\n'
            "+assignees: []  # who",
            id="all lines go",
        ),
        pytest.param(
            {"acceptance": [A1 | {"done": True}, A2]},
            "-  - {id: a1, text: reconnects within 5 s, done: false}  # first\n"
            "+  - {id: a1, text: reconnects within 5 s, done: true}  # first",
            id="an item is done",
        ),
        pytest.param(
            {"acceptance": [A1, A2 | {"done": True}]},
            "-    done: false\n+    done: true",
            id="an item of lines is done",
        ),
        pytest.param(
            {"acceptance": [A1, A2, item("a3", "x, y", done=True)]},
            '+  - id: a3\n+    text: "x, y"\n+    done: true',
            id="an item comes like the one before it",
        ),
        pytest.param(
            {"acceptance": [A1]},
            "-  - id: a2\n-    text: other  # tt\n-    # inner\n-    done: false",
            id="an item of lines goes",
        ),
        pytest.param({"type": "bug"}, "+type: bug", id="a key comes"),
        pytest.param({"parent": "tk-9"}, "+parent: tk-9", id="another key comes"),
        pytest.param(
            {"autoRun": {"agentClassName": "claude", "prompt": "a\nb\n"}},
            "+autoRun:\n+  agentClassName: claude\n+  prompt: |\n+    a\n+    b",
            id="a mapping comes",
        ),
        pytest.param(
            {"x-status": {"pod": "apod-x2", "result": "", "progress": "1/2"}},
            '-  pod: apod-x1\n-  result: ""\n+  pod: apod-x2\n+  result: ""\n+  progress: "1/2"',
            id="what the controller says",
        ),
        pytest.param({"body": "New.\n"}, "-Body in Markdown.\n+New.", id="the body"),
        pytest.param({"body": "New."}, "-Body in Markdown.\n-\n+New.", id="a body as it is"),
    ],
)
def test_only_the_lines_of_the_field_are_touched(changes: dict[str, Any], diff: str) -> None:
    assert written(changes) == diff


def test_comments_behind_a_key_stay_when_its_value_gets_lines_of_its_own():
    text = "---\nid: a\ntitle: t\nacceptance:   # none yet\nautoRun: ~  # none\nstate: todo\n---\n"
    run = {"agentClassName": "claude", "maxAttempts": 2}
    assert written({"acceptance": [A1], "autoRun": run}, text) == (
        "-acceptance:   # none yet\n-autoRun: ~  # none\n"
        "+acceptance:  # none yet\n+  - {id: a1, text: reconnects within 5 s, done: false}\n"
        "+autoRun:  # none\n+  agentClassName: claude\n+  maxAttempts: 2"
    )
    manifest = MANIFEST.replace(
        "  body: |  # prose\n    hello\n    world\n", "  body: one  # prose\n"
    )
    assert written({"body": "one\ntwo"}, manifest, Style.YAML) == (
        "-  body: one  # prose\n+  body: |-  # prose\n+    one\n+    two"
    )


def test_blank_lines_that_belong_to_a_text_stay_its_own():
    run = "autoRun:\n  agentClassName: c\n  prompt: |+\n    a\n\n\n"
    for end in ("x-mine: 1\n", ""):
        text = f"---\nid: a\ntitle: t\n{run}{end}---\n"
        assert written({"followPods": True}, text) == "+followPods: true"


def test_what_would_make_the_file_too_large_is_refused_with_the_limit():
    text = f"---\nid: a\ntitle: t\nx-mine: [{'x,' * 4_980}]\n---\n"
    items = [item(f"a{number}", "x", done=False) for number in range(10)]
    with pytest.raises(EditError, match="acceptance: more than 5000 keys and values"):
        edit(text.encode(), Style.MARKDOWN, {"acceptance": items})
    text = f"---\nid: a\ntitle: t\nx-mine: {'x' * 262_000}\n---\n"
    with pytest.raises(EditError, match="larger than 256 KiB"):
        edit(text.encode(), Style.MARKDOWN, {"body": "b" * 500})


def test_comments_in_brackets_stay_when_items_go():
    text = (
        "---\nid: a\ntitle: t\nlabels: [\n  a, # about a\n  b, # about b\n  c # about c\n]\n---\n"
    )
    assert written({"labels": ["a", "b"]}, text) == "-  c # about c\n+   # about c"
    assert written({"labels": ["a", "c"]}, text) == "-  b, # about b"
    assert written({"labels": ["a", "b", "c", "d"]}, text) == "-  c # about c\n+  c, d # about c"


def test_changes_of_the_same_part_are_refused():
    changes = [Change(0, 3, "x"), Change(2, 4, "y")]
    with pytest.raises(CannotSpanError):
        applied("abcdef", iter(changes))
    assert applied("abcdef", iter([Change(3, 4, "y"), Change(0, 3, "x")])) == "xyef"


def test_new_keys_stand_where_people_look_for_them():
    text = "---\nid: a\ntitle: t\nx-mine: 1\n---\n"
    after = edit(
        text.encode(),
        Style.MARKDOWN,
        {"x-status": {"pod": "p", "result": ""}, "dependsOn": ["b"], "state": "todo"},
    )
    assert after.decode() == (
        "---\nid: a\ntitle: t\nstate: todo\ndependsOn: [b]\nx-mine: 1\n"
        'x-status:\n  pod: p\n  result: ""\n---\n'
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"state": "todo", "labels": ["gateway", "flaky"]}, id="what is there"),
        pytest.param({"type": "task", "dependsOn": [], "parent": None}, id="defaults"),
        pytest.param({"acceptance": [A1, A2]}, id="items"),
        pytest.param({"acceptance": [{"id": "a1", "text": A1["text"]}, A2]}, id="less"),
        pytest.param({"body": "Body in Markdown.\n"}, id="the body"),
        pytest.param({"x-status": {"pod": "apod-x1", "result": ""}}, id="the controller's"),
    ],
)
def test_what_is_said_already_is_not_written_again(changes: dict[str, Any]) -> None:
    data = FILE.encode()
    assert edit(data, Style.MARKDOWN, changes) is data


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(FILE.encode(), FILE.encode(), id="as it is"),
        pytest.param(b"\xef\xbb\xbf" + FILE.encode(), b"\xef\xbb\xbf" + FILE.encode(), id="BOM"),
        pytest.param(FILE.replace("\n", "\r\n").encode(), FILE.replace("\n", "\r\n").encode(),
                     id="CRLF"),
        pytest.param(FILE[:-1].encode(), FILE[:-1].encode(), id="no last newline"),
        pytest.param(FILE.replace("---\nBody", "---  \nBody").encode(),
                     FILE.replace("---\nBody", "---  \nBody").encode(), id="blanks in the fence"),
        pytest.param(FILE.replace("why", "warum 😀 é").encode(),
                     FILE.replace("why", "warum 😀 é").encode(), id="emoji before the change"),
    ],
)  # fmt: skip
def test_however_the_file_is_saved_it_is_saved_so_again(before: bytes, after: bytes) -> None:
    old, new = b"state: todo", b"state: in_review\n".replace(b"\n", b"") + b""
    newline = b"\r\n" if b"\r\n" in before else b"\n"
    expected = after.replace(old, new + newline + b"type: bug")
    assert edit(before, Style.MARKDOWN, {"state": "in_review", "type": "bug"}) == expected


def test_a_body_keeps_its_crlf_though_agents_drop_it():
    text = "---\r\nid: a\r\ntitle: t\r\n---\r\none\r\ntwo\r\n"
    after = edit(text.encode(), Style.MARKDOWN, {"body": "one\nTWO\n"})
    assert after == text.replace("two", "TWO").encode()
    assert edit(text.encode(), Style.MARKDOWN, {"body": "one\ntwo\n"}) == text.encode()


def test_a_body_comes_behind_a_fence_at_the_end_of_the_file():
    after = edit(b"---\nid: a\ntitle: t\n---", Style.MARKDOWN, {"body": "x"})
    assert after == b"---\nid: a\ntitle: t\n---\nx"


MANIFEST = """\
apiVersion: agentsmesh.io/v1alpha1
kind: Ticket
metadata: {name: am-1}   # mine
spec:
  title: x  # c
  body: |  # prose
    hello
    world

  state: todo
  # end"""


@pytest.mark.parametrize(
    ("changes", "diff"),
    [
        pytest.param({"state": "done"}, "-  state: todo\n+  state: done", id="a word"),
        pytest.param({"body": "hello\n\n  there\n"}, "-    world\n+\n+      there", id="prose"),
        pytest.param({"followPods": False}, "+  followPods: false", id="a key"),
        pytest.param({"x-status": {"pod": "p"}, "state": "done"},
                     "-  state: todo\n+  state: done", id="no x-status in a manifest"),
        pytest.param({"body": "a\x07"}, '-  body: |  # prose\n-    hello\n-    world\n'
                     '+  body: "a\\x07"  # prose', id="what a block cannot say"),
        pytest.param({"title": "z"}, "-  title: x  # c\n+  title: z  # c", id="a title"),
    ],
)  # fmt: skip
def test_a_manifest_is_changed_likewise(changes: dict[str, Any], diff: str) -> None:
    assert written(changes, MANIFEST, Style.YAML) == diff


JSON = """\
{
  "apiVersion": "agentsmesh.io/v1alpha1", "kind": "Ticket", "metadata": {"name": "x"},
  "spec": {
    "title": "x",
    "labels": [
      "a",
      "b"
    ]
  }
}
"""


@pytest.mark.parametrize(
    ("changes", "diff"),
    [
        pytest.param({"title": "y"}, '-    "title": "x",\n+    "title": "y",', id="a text"),
        pytest.param({"state": "done"}, '+    "state": "done",', id="a key"),
        pytest.param({"labels": ["a", "c"]}, '-      "b"\n+      "c"', id="an item"),
        pytest.param({"labels": ["b"]}, '-      "a",', id="an item goes"),
        pytest.param({"labels": ["a"]}, '-      "a",\n-      "b"\n+      "a"', id="the last goes"),
    ],
)
def test_json_is_yaml_and_is_changed_likewise(changes: dict[str, Any], diff: str) -> None:
    assert written(changes, JSON, Style.YAML) == diff


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        pytest.param(FILE, {"state": "wip"}, "state: must be one of backlog", id="a wrong state"),
        pytest.param(FILE, {"title": None}, "title: is missing", id="no title"),
        pytest.param(FILE, {"title": "a\nb"}, "title: must be one line", id="two lines"),
        pytest.param(FILE, {"labels": ["a", "a"]}, "stands in the list twice", id="a label twice"),
        pytest.param(FILE, {"foo": 1}, "foo: there is no such field", id="no field"),
        pytest.param(FILE, {"body": "ü" * 40_000}, "body: must be at most", id="long"),
        pytest.param(FILE, {"body": "\0"}, "body: must not hold NUL", id="NUL"),
        pytest.param(FILE, {"body": "\ud800"}, "", id="half a pair"),
        pytest.param(FILE, {"x-status": {"a": "\ud800"}}, "x-status: ", id="half a pair, ours"),
        pytest.param("# a README\n", {"state": "done"}, "no front matter", id="no ticket"),
        pytest.param("---\nid: a\ntitle: [\n---\n", {"state": "done"}, "line 4", id="no YAML"),
        pytest.param(
            "---\nid: a\ntitle: t\nstate: x\n---\n", {"title": "u"}, "state: must", id="bad"
        ),
        pytest.param("---\n- a\n---\n", {"title": "t"}, "cannot be read", id="a list"),
    ],
)
def test_what_cannot_be_written_is_refused_in_a_sentence(
    text: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(EditError, match=r".") as caught:
        edit(text.encode(), Style.MARKDOWN, changes)
    assert said in str(caught.value)


def test_another_kind_is_not_changed():
    text = MANIFEST.replace("kind: Ticket", "kind: AgentPod")
    with pytest.raises(EditError, match="not the manifest of a Ticket"):
        edit(text.encode(), Style.YAML, {"title": "y"})


def test_a_hostile_title_stays_a_title():
    for title in (
        "---",
        "$1 ${x} `id`",
        "]]} #",
        "x: !!python/name:os.system",
        "- a",
        "|",
    ):
        after = edit(FILE.encode(), Style.MARKDOWN, {"title": title})
        found = read_file("a.md", "", after, Rules("a", frozenset({"Ticket"})))
        assert isinstance(found, Declared)
        assert found.spec["title"] == title
        assert found.spec["state"] == "todo"
        assert len(after.decode().split("\n")) == len(FILE.split("\n"))
