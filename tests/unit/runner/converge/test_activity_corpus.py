"""The recordings with labels: what is told of them is as right as docs/activity.md says."""

import pytest

from tests.recordings.replay import WORDS, Score, labels, score, scores

LEAST = {
    "all": {"executing": (0.88, 0.94), "waiting": (0.92, 0.88), "idle": (0.97, 0.66)},
    "claude": {"executing": (0.97, 0.95), "waiting": (0.93, 0.95), "idle": (0.97, 0.97)},
    "codex": {"executing": (0.97, 0.97), "waiting": (0.97, 0.97), "idle": (0.97, 0.97)},
    "gemini": {"executing": (0.97, 0.97), "waiting": (0.97, 0.97), "idle": (0.97, 0.97)},
}
"""Precision and recall of each word, a little below what is measured."""


@pytest.fixture(scope="module")
def measured() -> dict[str, Score]:
    return scores()


@pytest.mark.parametrize("agent", LEAST)
def test_words_are_as_right_and_as_complete_as_the_figures_say(
    measured: dict[str, Score], agent: str
) -> None:
    for word in WORDS:
        precision, recall = LEAST[agent][word]
        assert (measured[agent].precision(word) or 0) >= precision, word
        assert (measured[agent].recall(word) or 0) >= recall, word


@pytest.mark.parametrize(
    "name", sorted(name for name, e in labels().items() if "waiting" in str(e))
)
def test_every_pod_that_waits_for_a_person_is_found(name: str) -> None:
    assert all(delay < 10 for delay in score(name).delays)


def test_without_its_hooks_the_screen_of_claude_tells_the_same() -> None:
    total = Score()
    for name, entry in labels().items():
        if entry["agent"] == "claude":
            total.add(score(name, hooks=False))
    for word in WORDS:
        assert (total.precision(word) or 0) >= 0.9
        assert (total.recall(word) or 0) >= 0.9
