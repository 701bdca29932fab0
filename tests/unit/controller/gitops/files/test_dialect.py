"""What YAML may say in a file, and how soon anything else is refused."""

import resource
import time
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.gitops.files.dialect import MAX_DEPTH, MAX_NODES, DialectError, parse


def refusal(text: str) -> DialectError:
    with pytest.raises(DialectError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        pytest.param("no", "no", id="no is a text, as in YAML 1.2"),
        pytest.param("on", "on", id="on is a text"),
        pytest.param("12:30:45", "12:30:45", id="a time is a text"),
        pytest.param("2024-01-01", "2024-01-01", id="a date is a text"),
        pytest.param("1.5", "1.5", id="a fraction is a text: no field of ours is one"),
        pytest.param("0123", "0123", id="what is 83 or 123 is a text"),
        pytest.param("0x1F", "0x1F", id="a hexadecimal number is a text"),
        pytest.param("1_000", "1_000", id="digits with underscores are a text"),
        pytest.param("42", 42, id="a whole number is one"),
        pytest.param(str(2**63 - 1), 2**63 - 1, id="a number of 64 bits is one"),
        pytest.param("-7", -7, id="a negative number is one"),
        pytest.param("true", True, id="true is a boolean"),
        pytest.param("True", "True", id="True is a text"),
        pytest.param("null", None, id="null is nothing"),
        pytest.param("~", None, id="a tilde is nothing"),
        pytest.param("", None, id="nothing is nothing"),
        pytest.param("'42'", "42", id="what stands in quotes is a text"),
        pytest.param('"true"', "true", id="a word in quotes is a text"),
        pytest.param("[a, 1, {b: false}]", ["a", 1, {"b": False}], id="lists and mappings nest"),
    ],
)
def test_a_value_says_the_same_to_every_reader(written: str, value: Any) -> None:
    assert parse(f"key: {written}\n").value == {"key": value}


def test_keys_are_texts_whatever_they_look_like() -> None:
    assert parse("1: a\ntrue: b\nno: c\n").value == {"1": "a", "true": "b", "no": "c"}


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        pytest.param("a: 1\nb: &x 2\n", 2, "anchors", id="an anchor"),
        pytest.param("a: 1\nb: *x\n", 2, "aliases", id="an alias"),
        pytest.param("a: !!str 1\n", 1, "tags", id="a tag"),
        pytest.param("a: !!python/object/apply:os.system [id]\n", 1, "tags", id="a tag of Python"),
        pytest.param("a: ! 1\n", 1, "tags", id="the tag that says nothing"),
        pytest.param("a: 1\n<<: {b: 2}\n", 2, "merge", id="a merge key"),
        pytest.param("a: 1\nb: 2\na: 3\n", 3, "twice", id="a key twice"),
        pytest.param("a:\n  b: 1\n  b: 2\n", 3, "twice", id="a key twice further in"),
        pytest.param("a: 1\n---\nb: 2\n", 2, "second document", id="a second document"),
        pytest.param("a: 1\n...\n", 2, "one document", id="the end of a document"),
        pytest.param("%YAML 1.2\n---\na: 1\n", 1, "directives", id="a directive"),
        pytest.param("? [a]\n: 1\n", 1, "text", id="a list as a key"),
        pytest.param("a: 1\n? \n: 2\n", 2, "key", id="no key"),
        pytest.param("a: x: y\n", 1, "quotes", id="a colon in a plain text"),
        pytest.param("a: 1\nb: 'x\n", 2, "not closed", id="a quote that is not closed"),
        pytest.param("a: 1\nb: [x\nc: 1\n", 2, "opened here", id="a list that is not closed"),
        pytest.param("a: 1\n\tb: 2\n", 2, "tab", id="a tab"),
        pytest.param("a: 1\nb: %x\n", 2, "quotes", id="a percent sign"),
        pytest.param("a: 1\nb: x\0y\n", 2, "U+0000", id="a NUL"),
        pytest.param("a: 1\nb: \x1b[2J\n", 2, "U+001B", id="a control character"),
        pytest.param("a: 1\nb: x\u2028y\n", 2, "U+2028", id="a line break that only some know"),
        pytest.param("a: 1\nb: x\ry\n", 2, "U+000D", id="a CR by itself"),
        pytest.param("a: 9223372036854775808\n", 1, "too large", id="a number beyond 64 bits"),
        pytest.param("a: " + "9" * 9000 + "\n", 1, "too large", id="thousands of digits"),
        pytest.param("", 1, "nothing", id="nothing"),
        pytest.param("# all of it\n", 1, "nothing", id="comments alone"),
    ],
)
def test_what_is_refused_is_refused_with_its_line(text: str, line: int, word: str) -> None:
    error = refusal(text)
    assert (error.line, word in error.message) == (line, True), error.message
    assert error.column >= 1


def test_lines_are_counted_from_where_the_document_begins() -> None:
    with pytest.raises(DialectError) as caught:
        parse("a: 1\nb: *x\n", first_line=2)
    assert caught.value.line == 3


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{key}: &{key} [{', '.join(['*' + before] * 9)}]\n"
    for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        pytest.param(BOMB, "anchors", id="an alias bomb"),
        pytest.param("a: " + "[" * 3_000, "deeper", id="3,000 brackets"),
        pytest.param("a: " + "[" * 120_000 + "]" * 120_000, "deeper", id="240,000 brackets"),
        pytest.param("a: " + "{a: " * 60_000, "deeper", id="60,000 braces"),
        pytest.param("- " * 120_000, "deeper", id="120,000 dashes"),
        pytest.param("\n".join(" " * i + "a:" for i in range(600)), "deeper", id="600 levels"),
        pytest.param("a: [" + "x," * 120_000 + "]", "more than", id="120,000 items"),
        pytest.param("".join(f"k{i}: 1\n" for i in range(20_000)), "more than", id="20,000 keys"),
        pytest.param("? " * 120_000, "a key must", id="120,000 question marks"),
        pytest.param("a: '" + "'" * 240_000, "not closed", id="240,000 quotes"),
        pytest.param("!" * 240_000, "", id="240,000 exclamation marks"),
        pytest.param('a: "' + "\\x41" * 60_000, "not closed", id="60,000 escapes"),
        pytest.param("#" * 240_000, "nothing", id="one long comment"),
        pytest.param("a\n" * 120_000 + ":", "", id="a key of 120,000 lines"),
    ],
)
def test_hostile_text_is_one_error_within_bounds(text: str, word: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    error = refusal(text)
    assert word in error.message
    assert time.monotonic() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


def test_as_deep_and_as_many_as_allowed_is_allowed() -> None:
    deep = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    parse(f"a: {deep}\n")
    assert "deeper" in refusal(f"a: [{deep}]\n").message
    parse("[" + "x," * (MAX_NODES - 1) + "]")
    assert "more than" in refusal("[" + "x," * MAX_NODES + "]").message


def test_every_place_has_its_line() -> None:
    text = "a: 1\n\nb:\n  # c\n  - x\n  -\n    d: 1\n    e: |\n      t\nf: 2\n"
    parsed = parse(text)
    lines = [parsed.line(path) for path in ((), ("a",), ("b",), ("b", 0), ("b", 1, "e"), ("f",))]
    assert lines == [1, 1, 3, 5, 8, 10]


def test_of_what_is_not_there_the_line_of_what_would_hold_it_is_told() -> None:
    parsed = parse("a: 1\nb:\n  c: 1\n")
    assert parsed.line(("b", "d", 3)) == 2
    assert parsed.line(("z",)) == 1


TOKENS = st.sampled_from(
    [*"abk1:-,[]{}#&*!|>'\"%@`?~<\n \t\r", ": ", "- ", "\n  ", "\n- ", "a: ", "\n---\n", "|+\n",
     "true", "null", "42", "é", "😀", "\r\n"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TOKENS, max_size=40).map("".join))
def test_what_is_taken_says_what_other_readers_read(text: str) -> None:
    try:
        ours = parse(text).value
    except DialectError:
        return
    assert _texts(ours) == yaml.load(text, Loader=yaml.CBaseLoader)  # noqa: S506 - texts alone


def _texts(value: Any) -> Any:
    """Return the value with its scalars as they are written, as far as that can be told."""
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return _Written(value)


class _Written:
    """Equal to any text that says the value."""

    __hash__ = None

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        words = {None: {"", "null", "~"}, True: {"true"}, False: {"false"}}
        if self.value is None or isinstance(self.value, bool):
            return other in words[self.value]
        return str(self.value) == other or (
            isinstance(self.value, int) and self.value == int(other)
        )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    line = 1
    try:
        parse(text)
    except DialectError as exc:
        line = exc.line
    assert 1 <= line <= text.count("\n") + 2
