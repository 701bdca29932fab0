"""The recordings with labels: what is told of them is as right as docs/activity.md says."""

from functools import cache

import pytest

from tests.recordings.replay import SETS, WORDS, Score, labels, score

_ALL_RIGHT = dict.fromkeys(WORDS, (0.97, 0.97))
LEAST: dict[tuple[str, str], dict[str, tuple[float, float]]] = {
    ("activity", "all"): {"executing": (0.9, 0.95), "waiting": (0.94, 0.95), "idle": (0.96, 0.7)},
    ("activity", "claude"): {**_ALL_RIGHT, "waiting": (0.94, 0.97)},
    ("activity", "codex"): _ALL_RIGHT,
    ("activity", "gemini"): _ALL_RIGHT,
    ("activity", "opencode"): {**_ALL_RIGHT, "executing": (0.94, 0.94), "idle": (0.85, 0.82)},
    ("activity", "aider"): _ALL_RIGHT,
    ("heldout", "all"): {"executing": (0.91, 0.92), "waiting": (0.97, 0.75), "idle": (0.88, 0.75)},
    ("heldout", "claude"): _ALL_RIGHT,
    ("heldout", "codex"): _ALL_RIGHT,
    ("heldout", "gemini"): _ALL_RIGHT,
    ("heldout", "opencode"): {**_ALL_RIGHT, "executing": (0.96, 0.92), "idle": (0.72, 0.88)},
    ("heldout", "aider"): _ALL_RIGHT,
}
"""By set and agent: precision and recall of each word, a little below what is measured."""


@cache
def played(chosen: str, name: str) -> Score:
    return score(chosen, name)


def total(chosen: str, agent: str) -> Score:
    found = Score()
    for name, entry in labels(chosen).items():
        if agent in {entry["agent"], "all"}:
            found.add(played(chosen, name))
    return found


@pytest.mark.parametrize(("chosen", "agent"), LEAST)
def test_words_are_as_right_and_as_complete_as_the_figures_say(chosen: str, agent: str) -> None:
    measured = total(chosen, agent)
    for word, (precision, recall) in LEAST[chosen, agent].items():
        assert (measured.precision(word) or 0) >= precision, word
        assert (measured.recall(word) or 0) >= recall, word


UNFOUND = {"calculator", "counting-agent", "new-package", "typed-name", "unhinted-menu"}
"""Programs without a class that ask in a way of their own: docs/activity.md names them."""


@pytest.mark.parametrize("chosen", SETS)
def test_every_pod_that_waits_for_a_person_is_found_but_those_that_are_named(chosen: str) -> None:
    late = {name for name in labels(chosen) if any(d > 10 for d in played(chosen, name).delays)}
    assert late == (UNFOUND if chosen == "heldout" else set())


@pytest.mark.parametrize("chosen", SETS)
def test_without_its_hooks_the_screen_of_claude_tells_the_same(chosen: str) -> None:
    found = Score()
    for name, entry in labels(chosen).items():
        if entry["agent"] == "claude":
            found.add(score(chosen, name, hooks=False))
    for word in WORDS:
        assert (found.precision(word) or 0) >= 0.9
        assert (found.recall(word) or 0) >= 0.9
