"""Whatever a ticket's file looks like: a change is read back, and touches nothing else."""

import json
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from controller.gitops.files import emit
from controller.gitops.files.create import new_ticket
from controller.gitops.files.dialect import parse
from controller.gitops.files.edit import EditError, edit
from controller.gitops.files.read import Rules, read_file, read_x_status
from controller.gitops.values import Declared, Style
from schemas.ticket import TicketSpec

RULES = Rules("acme", frozenset({"Ticket"}))

WORDS = st.one_of(
    st.sampled_from(["a", "yes", "x y", "a: b", "#1", "- q", "it's", '"q"', "é 😀", "12",
                     "~", "[x]", "a,b", "x # y", "2024-01-01", "&a", "-", "k" * 63]),
    st.text(
        st.characters(
            exclude_categories=["Cc", "Cs", "Zl", "Zp"],
            exclude_characters="\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
        ),
        min_size=1,
        max_size=20,
    ),
)  # fmt: skip
NAMES = st.from_regex(r"\A[a-z]([a-z0-9-]{0,8}[a-z0-9])?\Z")
PROSE = st.lists(
    st.sampled_from(["a", "  b", "", "# c", "---", "- d", "\t", "e: f", "é😀", "x ", " "]),
    max_size=6,
).map("\n".join)
ITEM = st.fixed_dictionaries(
    {"id": NAMES, "text": WORDS.filter(bool)}, optional={"done": st.booleans()}
)
RUN = st.fixed_dictionaries(
    {"agentClassName": NAMES},
    optional={"prompt": PROSE, "maxAttempts": st.integers(1, 100), "model": WORDS,
              "repositoryRef": st.fixed_dictionaries({"name": NAMES})},
)  # fmt: skip
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "title": WORDS,
    "state": st.sampled_from(["backlog", "todo", "in_progress", "done"]),
    "type": st.sampled_from(["task", "bug"]),
    "priority": st.sampled_from(["none", "high"]),
    "labels": st.lists(WORDS, max_size=4, unique=True),
    "assignees": st.lists(WORDS, max_size=3, unique=True),
    "dependsOn": st.lists(NAMES, max_size=3, unique=True),
    "parent": NAMES,
    "repositoryRef": st.fixed_dictionaries({"name": NAMES}),
    "acceptance": st.lists(ITEM, max_size=4, unique_by=lambda one: one["id"]),
    "autoRun": RUN,
    "followPods": st.booleans(),
}
SPECS = st.fixed_dictionaries(
    {"title": FIELDS["title"]},
    optional={key: some for key, some in FIELDS.items() if key != "title"},
)
REPORT = st.dictionaries(st.sampled_from(["pod", "result", "progress"]), WORDS, min_size=1)
CHANGES = st.dictionaries(st.sampled_from(sorted(FIELDS)), st.none(), max_size=4).flatmap(
    lambda some: st.fixed_dictionaries(
        {key: FIELDS[key] if key == "title" else FIELDS[key] | st.none() for key in some},
        optional={"body": PROSE, "x-status": REPORT | st.none()},
    )
)


def thoroughly(examples: int) -> settings:
    """Return settings under which a slow machine is no failure."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass
class Chunk:
    """A key with what belongs to it, or what belongs to no key."""

    key: str
    text: str


@st.composite
def written(draw: st.DrawFn, key: str, value: Any, margin: str) -> str:
    """Return a key and its value, written in one of many ways."""
    gap = draw(st.sampled_from([" ", "  ", "   "]))
    comment = draw(st.sampled_from(["", "", "  # c: [x", "\t# 'd"]))
    name = draw(st.sampled_from([key, key, f'"{key}"', f"'{key}'", f"{key} "]))
    head = f"{margin}{name}:"
    if isinstance(value, str) and draw(st.booleans()):
        block = emit.literal(value, len(margin) + 3, 3)
        if block is not None and value.isprintable():
            return "\n".join([f"{head} {block[0]}{comment}", *block[1:]]) + "\n"
    if isinstance(value, (list, dict)) and value and draw(st.booleans()):
        step = draw(st.sampled_from(["  ", "   ", "" if isinstance(value, list) else " "]))
        body = draw(blocks(value, margin + step))
        return f"{head}{comment}\n{body}"
    if isinstance(value, (list, dict)) and value and draw(st.booleans()):
        return f"{head}{gap}{draw(spread(value, margin))}{comment}\n"
    return f"{head}{gap}{draw(on_a_line(value))}{comment}\n"


@st.composite
def blocks(draw: st.DrawFn, value: Any, margin: str) -> str:
    """Return the lines of a list or mapping without brackets."""
    lines = []
    noise = st.sampled_from(["", "", "", "\n", f"{margin}# inner\n", "# outer\n"])
    if isinstance(value, dict):
        for key, item in value.items():
            lines += [draw(noise), draw(written(key, item, margin))]
        return "".join(lines)
    for item in value:
        lines.append(draw(noise))
        if isinstance(item, dict) and draw(st.booleans()):
            text = draw(blocks(item, margin + "  "))
            assume(text.startswith(margin + "  ") and text.strip()[0] != "#")
            lines.append(f"{margin}- {text[len(margin) + 2 :]}")
        else:
            lines.append(
                f"{margin}- {draw(on_a_line(item))}{draw(st.sampled_from(['', ' # i']))}\n"
            )
    return "".join(lines)


@st.composite
def spread(draw: st.DrawFn, value: Any, margin: str) -> str:
    """Return a list or mapping in brackets, on several lines."""
    items = value.items() if isinstance(value, dict) else [(None, item) for item in value]
    parts = [
        f"{margin}    " + ("" if key is None else f"{key}: ") + draw(on_a_line(item, in_flow=True))
        for key, item in items
    ]
    comments = [draw(st.sampled_from(["", " # f, ]"])) for _ in parts]
    last = draw(st.sampled_from(["", ","]))
    lines = [
        f"{part}{',' if at < len(parts) - 1 else last}{comment}\n"
        for at, (part, comment) in enumerate(zip(parts, comments, strict=True))
    ]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{''.join(lines)}{margin}  {closing}"


@st.composite
def on_a_line(draw: st.DrawFn, value: Any, *, in_flow: bool = False) -> str:
    """Return a value on one line."""
    style = draw(st.sampled_from(["", "'", '"']))
    if isinstance(value, (list, dict)):
        text = emit.flow(value, style)
        wide = draw(st.booleans()) and len(text) > 2
        return f"{text[0]} {text[1:-1]} {text[-1]}" if wide else text
    return emit.scalar(value, style, in_flow=in_flow)


@st.composite
def files(draw: st.DrawFn) -> tuple[list[Chunk], dict[str, Any], str]:
    """Return the chunks of front matter, the spec that it says, and the body."""
    spec = draw(SPECS)
    extras = {"x-mine": draw(st.sampled_from([1, {"a": [1, {"b": "c"}]}, "t", None]))}
    if draw(st.booleans()):
        extras["x-status"] = draw(REPORT)
    keys = draw(st.permutations([*spec, *extras, "id"]))
    chunks = []
    for key in keys:
        noise = draw(
            st.sampled_from(["", "", "\n", "# note: x{}\n", "  # odd{}\n\n", "\n\n# -{}\n"])
        )
        chunks.append(Chunk("", noise.format(len(chunks))))
        value = "tk-1abc" if key == "id" else {**spec, **extras}[key]
        chunks.append(Chunk(key, draw(written(key, value, ""))))
    chunks.append(Chunk("", draw(st.sampled_from(["", "\n", "# end\n"]))))
    return chunks, spec, draw(PROSE)


def expected(spec: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    after = {k: v for k, v in (spec | changes).items() if v is not None and k != "x-status"}
    return TicketSpec.model_validate_json(json.dumps(after), strict=True).manifest()


@thoroughly(100)
@given(files(), CHANGES, st.booleans(), st.booleans())
def test_a_change_is_read_back_and_touches_nothing_else(
    file: tuple[list[Chunk], dict[str, Any], str], changes: dict[str, Any], crlf: Any, bom: Any
) -> None:
    chunks, spec, body = file
    newline = "\r\n" if crlf else "\n"
    front = "".join(chunk.text for chunk in chunks)
    text = f"---\n{front}---\n{body}".replace("\n", newline)
    data = ("\ufeff" if bom else "").encode() + text.encode()
    before = read_file("a.md", "", data, RULES)
    assert isinstance(before, Declared), (before, text)
    assert before.spec == expected(spec, {"body": body.replace("\n", newline)})

    after = edit(data, Style.MARKDOWN, changes)

    found = read_file("a.md", "", after, RULES)
    assert isinstance(found, Declared), found
    body_after = changes.get("body", before.spec["body"])
    if "body" in changes and "\r\n" in before.spec["body"] and "\r" not in body_after:
        body_after = body_after.replace("\n", newline)
    assert found.spec == expected(spec, changes | {"body": body_after})
    if "x-status" in changes:
        assert read_x_status(after, Style.MARKDOWN) == changes["x-status"]
    assert after.startswith(b"\xef\xbb\xbf") == bom
    _check_rest(chunks, changes, after.removeprefix(b"\xef\xbb\xbf").decode(), newline, body_after)
    assert edit(after, Style.MARKDOWN, changes) == after


def _check_rest(
    chunks: list[Chunk], changes: dict[str, Any], after: str, newline: str, body: str
) -> None:
    """Everything but the changed keys stands there as before, in order; the rest is theirs."""
    fence = f"---{newline}"
    assert after.startswith(fence)
    assert after.endswith(fence + body)
    front = after[len(fence) : len(after) - len(body) - len(fence)]
    at, rest = 0, []
    for chunk in chunks:
        if chunk.key in changes or not chunk.text.strip():
            continue
        text = chunk.text.replace("\n", newline)
        place = front.find(text, at)
        assert place >= 0, (chunk, front)
        rest.append(front[at:place])
        at = place + len(text)
    rest.append(front[at:])
    for piece in rest:
        said = [line for line in piece.splitlines() if line.strip() and line.strip()[0] != "#"]
        if said:
            assert set(parse(piece).value) <= changes.keys()
    if newline == "\r\n":
        assert front.count("\n") == front.count("\r\n")


@thoroughly(80)
@given(files(), CHANGES, st.booleans())
def test_a_manifest_is_changed_likewise(
    file: tuple[list[Chunk], dict[str, Any], str], changes: dict[str, Any], last: Any
) -> None:
    chunks, spec, _ = file
    kept = [one for one in chunks if one.key in spec or not one.key]
    lines = "".join(one.text for one in kept).splitlines(keepends=True)
    margin = "    "
    indented = "".join(margin + line if line.strip() else line for line in lines)
    head = "# top\nkind: Ticket  # k\napiVersion: agentsmesh.io/v1alpha1\nmetadata:\n  name: x\n"
    text = f"{head}spec:\n{indented}# end\n"
    data = (text if last else text.removesuffix("\n")).encode()
    before = read_file("a.yaml", "", data, RULES)
    assert isinstance(before, Declared), (before, text)

    after = edit(data, Style.YAML, changes)

    found = read_file("a.yaml", "", after, RULES)
    assert isinstance(found, Declared), found
    assert found.spec == expected(before.spec, changes | {"body": changes.get("body", "")})
    assert after.startswith(head.encode())
    at = 0
    for line in (one for one in lines if one.strip()):
        belongs = next((c.key for c in kept if line in c.text and c.key in changes), None)
        if belongs is None:
            at = after.find((margin + line).rstrip("\n").encode(), at)
            assert at >= 0, line


@thoroughly(60)
@given(SPECS, PROSE, CHANGES)
def test_a_new_ticket_says_what_is_asked_and_is_changed_by_lines(
    spec: dict[str, Any], body: str, changes: dict[str, Any]
) -> None:
    data = new_ticket("tk-1abc", {**spec, "body": body})
    found = read_file("a.md", "", data, RULES)
    assert isinstance(found, Declared)
    assert found.spec == expected(spec, {"body": body})
    front = data.decode()[4 : len(data.decode()) - len(body) - 4]
    assert yaml.safe_load(front) == parse(front).value
    after = edit(data, Style.MARKDOWN, changes)
    again = read_file("a.md", "", after, RULES)
    assert isinstance(again, Declared)
    assert again.spec == expected(spec, {"body": body} | changes)


SNIPPETS = st.sampled_from(
    ["\n", " # c\n", "- x\n", "  - y\n", "{", "}", "[", "]", "- id: c\n", "? ", ": ", "|\n", "'",
     '"', ">-\n", "|+\n", "\n\n", "  ", " ", "\t", "\r\n", ",", "#", "&", "*", "x-a: |+\n  k\n\n",
     "type:\n", "null", "...\n", "%", "\u2028", "é", "labels:\n  ? a\n"]
)  # fmt: skip
DAMAGE = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 6), SNIPPETS), max_size=3)


@thoroughly(120)
@given(files(), DAMAGE, CHANGES, st.booleans())
def test_however_odd_a_file_is_it_is_changed_rightly_or_not_at_all(
    file: tuple[list[Chunk], dict[str, Any], str], damage: Any, changes: dict[str, Any], crlf: Any
) -> None:
    front = "".join(chunk.text for chunk in file[0])
    for place, gone, snippet in damage:
        at = place % (len(front) + 1)
        front = front[:at] + snippet + front[at + gone :]
    data = f"---\n{front}---\n{file[2]}".replace("\n", "\r\n" if crlf else "\n").encode()
    before = read_file("a.md", "", data, RULES)
    if not isinstance(before, Declared):
        return
    try:
        after = edit(data, Style.MARKDOWN, changes | {"body": "new\n"})
    except EditError:
        return
    found = read_file("a.md", "", after, RULES)
    assert isinstance(found, Declared)
    assert found.spec["body"].replace("\r", "") == "new\n"
    wanted = expected(before.spec, changes | {"body": found.spec["body"]})
    assert found.spec == wanted
    assert found.identity == before.identity


KEPT = st.lists(
    st.tuples(NAMES, st.booleans()), min_size=1, max_size=8, unique_by=lambda one: one[0]
)


@thoroughly(150)
@given(KEPT, st.lists(st.tuples(st.integers(0, 8), NAMES), max_size=3), st.sampled_from(["", "  "]))
def test_the_lines_and_comments_of_items_that_stay_stay(
    items: list[tuple[str, bool]], added: list[tuple[int, str]], margin: str
) -> None:
    lines = [f"{margin}- {name}  # about {name}\n{margin}# below {name}\n" for name, _ in items]
    data = f"---\nid: a\ntitle: t\nlabels:  # all\n{''.join(lines)}---\n".encode()
    labels = [name for name, stays in items if stays]
    for place, name in added:
        if name not in [old for old, _ in items] and name not in labels:
            labels.insert(place, name)
    after = edit(data, Style.MARKDOWN, {"labels": labels}).decode()
    if not labels:
        assert "labels: []  # all" in after
        return
    at = after.index("labels:  # all")
    for name, stays in items:
        if stays:
            at = after.index(f"{margin}- {name}  # about {name}\n", at)
        at = after.index(f"{margin}# below {name}\n", at)


@thoroughly(100)
@given(WORDS, WORDS, st.sampled_from(["", "'", '"']), st.sampled_from(["", "  # c 'x", '\t# "']))
def test_the_comment_behind_a_value_stays_behind_it(
    title: str, other: str, style: str, comment: str
) -> None:
    head, tail = "---\nid: a\n  # odd\ntitle:   ", f"{comment}\nstate: todo\n---\nbody"
    data = f"{head}{emit.scalar(title, style)}{tail}".encode()
    after = edit(data, Style.MARKDOWN, {"title": other}).decode()
    assert after.startswith(head)
    assert after.endswith(tail)
    assert parse(f"title: {after[len(head) : len(after) - len(tail)]}\n").value == {"title": other}
