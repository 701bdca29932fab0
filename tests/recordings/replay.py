"""Plays recordings to what tells agents' activity, second by second, and counts what it gets right.

A second is judged by its label but for the first three after a change: a word has to hold before
it is told. What is not known then is no wrong answer, but it is a missing one.
"""

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from meshwire.v1 import link_pb2

from runner.converge.activity import Processes
from runner.converge.activity_pod import PodActivity
from runner.converge.activity_screen import rules
from runner.drivers.screen import Screen
from schemas.agentclass import AgentClass

SETS = ("activity", "heldout")
"""What patterns were tuned on, and what they were not."""
_FOLDER = Path(__file__).parent
BUILTIN = Path(__file__).parents[2] / "controller" / "builtin"
WORDS = ("executing", "waiting", "idle")
TOLERANCE_SECONDS = 3
_CLASSES = {"claude": "claude-code"}


@dataclass
class Score:
    """Seconds, by what was meant and what was told."""

    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    delays: list[float] = field(default_factory=list)
    """From each beginning to wait until that was told."""

    def precision(self, word: str) -> float | None:
        """Return which part of the seconds that were called so were so."""
        told = sum(count for (_, said), count in self.pairs.items() if said == word)
        return self.pairs[word, word] / told if told else None

    def recall(self, word: str) -> float | None:
        """Return which part of the seconds that were so were called so."""
        meant = sum(count for (label, _), count in self.pairs.items() if label == word)
        return self.pairs[word, word] / meant if meant else None

    def add(self, other: "Score") -> None:
        """Count another one in."""
        self.pairs += other.pairs
        self.delays += other.delays


def labels(chosen: str) -> dict[str, Any]:
    """Return what each recording of a set is of, and what was meant when."""
    path = _FOLDER / chosen / "labels.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def signs(agent: str) -> link_pb2.Activity:
    """Return the signs of the built-in class; of a stub, which has none, nothing."""
    path = BUILTIN / f"{_CLASSES.get(agent, agent)}.yaml"
    if not path.exists():
        return link_pb2.Activity()
    given = AgentClass.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    activity = given.spec.activity
    return link_pb2.Activity(
        waiting=activity.waiting,
        executing=activity.executing,
        idle=activity.idle,
        idle_seconds=activity.idle_seconds,
        stuck_seconds=activity.stuck_seconds,
        hooks=activity.hooks,
    )


def told(
    chosen: str, name: str, entry: Mapping[str, Any], *, hooks: bool = True
) -> list[tuple[int, str, str]]:
    """Return what is told each second of a recording, and by what."""
    text = gzip.decompress((_FOLDER / chosen / f"{name}.cast.gz").read_bytes()).decode()
    header, *events = [json.loads(line) for line in text.splitlines()]
    size = header["width"], header["height"]
    activity = PodActivity(rules(signs(entry["agent"])), lambda: Screen(*size), 0.0)
    found, sample = [], None
    events.reverse()
    end = int(events[0][0]) if events else 0
    last = max([end, *(int(stop) for _, stop, _ in entry["labels"])])
    for second in range(1, last + 1):
        while events and events[-1][0] <= second:
            _, kind, data = events.pop()
            if kind == "o":
                activity.output(data.encode(), float(second))
            elif kind == "h" and hooks:
                activity.hook(data, float(second))
            elif kind == "s":
                sample = data
        if activity.wants_sample(second):
            activity.sampled(None if sample is None else Processes(**sample), float(second))
        activity.look(float(second))
        found.append((second, activity.told.word, activity.told.evidence))
    activity.close()
    return found


def score(chosen: str, name: str, *, hooks: bool = True) -> Score:
    """Return how right what is told of a recording is."""
    entry = labels(chosen)[name]
    said = {second: word for second, word, _ in told(chosen, name, entry, hooks=hooks)}
    result = Score()
    for start, stop, label in entry["labels"]:
        for second in range(int(start) + 1 + TOLERANCE_SECONDS, int(stop) + 1):
            result.pairs[label, said.get(second, "")] += 1
        if label == "waiting":
            after = [s for s in range(int(start), int(stop) + 1) if said.get(s) == "waiting"]
            result.delays.append(after[0] - start if after else float("inf"))
    return result


def scores(chosen: str) -> dict[str, Score]:
    """Return the scores by agent, and of all together under "all"."""
    found: dict[str, Score] = {}
    for name, entry in labels(chosen).items():
        one = score(chosen, name)
        for key in (entry["agent"], "all"):
            found.setdefault(key, Score()).add(one)
    return found
