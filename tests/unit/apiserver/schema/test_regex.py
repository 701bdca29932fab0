"""Regular expressions: Go's meaning, whichever engine runs them."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.schema import cel
from apiserver.schema.regex import Pattern, to_python


@pytest.mark.parametrize(
    ("pattern", "matching", "failing"),
    [
        (r"^[a-z]+$", ["abc"], ["abc\n", "ABC", ""]),
        (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", ["a", "a-b"], ["-a", "a-"]),
        (r"^(a|b)?\.x$", [".x", "a.x"], ["c.x"]),
        (r"^\d{2}$", ["12"], ["1", "٣٤"]),
        (r"^[^\x00-\x20]+$", ["a"], ["a b", "\x00"]),
        (r"^([a-z]+\.)*[a-z]+$", ["a.b.c"], ["a..b"]),
        (r"[[:digit:]]", ["a1"], ["a"]),
        (r"(?i)^abc$", ["ABC"], ["abd"]),
        (r"^\pL+$", ["äö"], ["1"]),
        ("[\"'\\\\]", ['"', "'", "\\"], ["x"]),
    ],
)
def test_a_pattern_means_what_it_means_in_go(
    pattern: str, matching: list[str], failing: list[str]
) -> None:
    compiled, linear = Pattern(pattern), cel.matcher(pattern)
    for text in matching:
        assert compiled.found_in(text), text
        assert linear(text), text
    for text in failing:
        assert not compiled.found_in(text), text
        assert not linear(text), text


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*$", r"^(\w+\s?)*$", r".*.*.*.*=.*", "a**"])
def test_patterns_that_can_run_away_are_left_to_re2(pattern: str) -> None:
    assert to_python(pattern) is None


def test_no_pattern_is_slow_on_a_long_text() -> None:
    text = "a" * 50_000 + "!"
    begin = time.monotonic()
    for pattern in (r"(a+)+$", r"^[a-z]*[a-z]*[a-z]*$", r"^([a-z]+)*$"):
        assert not Pattern(pattern).found_in(text)
    assert time.monotonic() - begin < 30  # what backtracks takes years


WORDS = r"a b . ^ $ | ( ) (?: [ab] [^a-c] * + ? {2} \d \. \x41 - {1,2} \w [-a] [\]a] [a--b]"
TOKENS = st.sampled_from(WORDS.split())


@given(st.lists(TOKENS, max_size=8).map("".join), st.text("ab.A1]-\n", max_size=8))
def test_both_engines_agree(pattern: str, text: str) -> None:
    translated = to_python(pattern)
    if translated is None or cel.pattern_error(pattern):
        return
    fast = re.compile(translated, re.ASCII).search(text) is not None
    assert fast == cel.matcher(pattern)(text)


def test_what_is_wrong_with_a_pattern_is_said() -> None:
    assert cel.pattern_error(r"^[^\x00]+$") == ""
    assert cel.pattern_error("(?!x)") == "invalid perl operator: (?!"
    assert not Pattern("[").found_in("[")
