"""What is written is read as the same by us, and by readers of YAML 1.1."""

from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.gitops.files import emit
from controller.gitops.files.dialect import parse

TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(["a", "yes", "No", "~", "null", ":", ": ", "#", " #", "-", "- ", ",", "[",
                         "{", "'", '"', "\\", "\n", "\t", " ", "1", "1e5", "0x", "2024-01-01", "é",
                         "😀", "\u2028", "\x85", "\x07", "|", ">", "%", "@", "`", "!", "&", "*",
                         "?", "=", "<<", ".", "12:30"]),
        max_size=8,
    ).map("".join),
)  # fmt: skip
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers(-(10**17), 10**17),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, st.sampled_from(["", "'", '"']))
def test_a_text_is_read_as_it_was_in_every_style(text: str, style: str) -> None:
    for written in (
        f"k: {emit.scalar(text, style)}\n",
        f"k: [{emit.scalar(text, style, in_flow=True)}]\n",
        f"{{k: {emit.scalar(text, style, in_flow=True)}, b: 1}}\n",
        f"- {emit.scalar(text, style)} # comment\n",
    ):
        ours, theirs = parse(written).value, yaml.load(written, Loader=yaml.CSafeLoader)
        found = ours["k"] if isinstance(ours, dict) else ours[0]
        assert found in (text, [text])
        assert ours == theirs


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_a_value_is_read_as_it_was_in_brackets_and_by_lines(value: Any) -> None:
    assert parse(f"k: {emit.flow(value)}\n").value == {"k": value}
    assert parse("\n".join([*emit.entry("k", value, 0), "z: 1", ""])).value == {"k": value, "z": 1}
    lines = [*emit.item(value, 2, block=True), *emit.item(value, 2, block=False)]
    assert parse("\n".join(["k:", *lines, "z: 1", ""])).value == {"k": [value, value], "z": 1}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(["a", " ", "\n", "\t", "#", ": ", "- ", "é"]), max_size=20))
def test_a_block_of_text_is_read_as_it_was(parts: list[str]) -> None:
    text = "".join(parts)
    lines = emit.literal(text, 4, 2)
    if lines is None:
        return
    for newline in ("\n", "\r\n"):
        written = newline.join(["a:", f"  k: {lines[0]}", *lines[1:], "b: 1", ""])
        assert parse(written).value == {"a": {"k": text}, "b": 1}


def test_what_people_write_plain_is_written_plain() -> None:
    for text in ("Fix flaky reconnect", "class/claude", "tk-1b9c0d2e4f", "don't panic", "in_review",
                 "Überarbeitung (klein)", "v1.2", "reconnects, then waits"):  # fmt: skip
        expected = f'"{text}"' if ", " in text else text
        assert emit.scalar(text) == expected


def test_what_turns_letters_around_is_written_as_an_escape():
    assert emit.scalar("a\u202eb") == '"a\\u202eb"'
    assert emit.scalar("a\u2066b", "'") == '"a\\u2066b"'


def test_a_long_list_has_a_line_for_each_item() -> None:
    assert emit.entry("labels", ["a", "b"], 0) == ["labels: [a, b]"]
    lines = emit.entry("labels", ["x" * 40, "y" * 40, "z" * 40], 2)
    assert lines == ["  labels:", *(f"    - {c * 40}" for c in "xyz")]
