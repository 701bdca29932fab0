"""Merging texts by lines."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.gitops.files.weave import weave


@pytest.mark.parametrize(
    ("base", "theirs", "ours", "result"),
    [
        pytest.param("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n", id="lines apart"),
        pytest.param("a\nb\n", "A\nb\n", "a\nB\n", None, id="lines beside each other"),
        pytest.param("a\n", "b\n", "c\n", None, id="the same line"),
        pytest.param("a\nb\n", "a\nb\nd\n", "x\na\nb\n", "x\na\nb\nd\n", id="both ends"),
        pytest.param("a\n", "a\nb\n", "a\nc\n", None, id="both add at the end"),
        pytest.param("a\n", "a\nb\n", "a\nb\n", "a\nb\n", id="both add the same"),
        pytest.param("", "b\n", "c\n", None, id="both begin"),
        pytest.param("a\nb\nc", "a\nb\nc\nd", "X\nb\nc", "X\nb\nc\nd", id="no last newline"),
        pytest.param("a\nb\nc\nd\n", "a\nd\n", "a\nb\nX\nd\n", None, id="removed and changed"),
        pytest.param("a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n", "a\r\nb\r\nC\r\n",
                     "A\r\nb\r\nC\r\n", id="CRLF"),
        pytest.param("<<<<<<< x\n=\nq\n", "<<<<<<< x\n=\nQ\n", "<<<<<<< y\n=\nq\n",
                     "<<<<<<< y\n=\nQ\n", id="what looks like a marker is text"),
    ],
)  # fmt: skip
def test_texts_merge_by_lines(base: str, theirs: str, ours: str, result: str | None) -> None:
    assert weave(base, theirs, ours) == result
    assert weave(base, ours, theirs) == result


LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n", "\n", "e"]), max_size=10).map("".join)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LINES, LINES, LINES)
def test_a_merge_holds_every_line_that_a_side_added(base: str, theirs: str, ours: str) -> None:
    merged = weave(base, theirs, ours)
    assert merged == weave(base, ours, theirs)
    if base in (theirs, ours) or theirs == ours:
        assert merged == (ours if base == theirs else theirs)
    if merged is None:
        return
    for line in set((theirs + "\n" + ours).splitlines()):
        added = max(_count(side, line) - _count(base, line) for side in (theirs, ours))
        if added > 0:
            assert _count(merged, line) >= 1
    assert set(merged.splitlines()) <= set((base + "\n" + theirs + "\n" + ours).splitlines())


def _count(text: str, line: str) -> int:
    return text.splitlines().count(line)


@pytest.mark.parametrize(
    ("base", "theirs", "ours"),
    [
        pytest.param("\n" * 65_000, "\n" * 64_000 + "a", "b" + "\n" * 64_000, id="empty lines"),
        pytest.param("a\nb\n" * 16_000, "b\na\n" * 16_000, "b\n" * 32_000, id="two lines in turn"),
        pytest.param(
            "".join(f"{n}\n" for n in range(11_000)),
            "".join(f"{n}\n" for n in reversed(range(11_000))),
            "".join(f"{n * 7919 % 11_000}\n" for n in range(11_000)),
            id="shuffled",
        ),
        pytest.param(
            "".join(f"{n % 40}\n" for n in range(990)),
            "".join(f"{n * 7 % 40}\n" for n in range(990)),
            "".join(f"{n * 11 % 40}\n" for n in range(990)),
            id="repeated, just below the limit",
        ),
    ],
)
def test_the_worst_texts_are_merged_within_bounds(base: str, theirs: str, ours: str) -> None:
    started = time.monotonic()
    weave(base, theirs, ours)
    assert time.monotonic() - started < 20
