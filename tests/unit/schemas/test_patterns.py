import time

import pytest

from schemas.patterns import Pattern, PatternError, Patterns, problem


def test_the_pattern_that_is_found_is_named() -> None:
    patterns = Patterns(("^never$", r"esc to (stop|interrupt)", "x{3}"))
    assert patterns.found(["one", "  (esc to interrupt)"]) == r"esc to (stop|interrupt)"
    assert patterns.found(["one", "two"]) is None


def test_no_patterns_are_never_found() -> None:
    assert not Patterns(())
    assert Patterns(()).found(["anything"]) is None


def test_lines_are_searched_one_by_one() -> None:
    assert Patterns(("^b$",)).found(["a", "b"]) == "^b$"
    assert Patterns(("a\nb",)).found(["a", "b"]) is None


def test_what_makes_other_engines_run_away_ends() -> None:
    began = time.monotonic()
    assert Patterns(("(a+)+$", "(a|a)*b$")).found(["a" * 5000 + "!"] * 50) is None
    assert time.monotonic() - began < 30  # others would take longer than the universe


def test_by_lines_both_ends_of_each_line_are_known_for_all_that_is_alternative() -> None:
    text = "above\n  > \nbelow"
    assert Pattern("^ *> *$", by_lines=True).is_in(text)
    assert Pattern("never|^below$", by_lines=True).is_in(text)
    assert Pattern("^above\n", by_lines=True).is_in(text)  # and more than one line, as ever
    assert not Pattern("^ *> *$").is_in(text)


def test_what_is_no_pattern_is_refused_in_one_line_without_the_engines_drawing() -> None:
    with pytest.raises(PatternError) as refused:
        Patterns(("[",))
    assert "\n" not in str(refused.value)
    assert problem("a{1,100000}{1,1000}")
    assert not problem("fine")
