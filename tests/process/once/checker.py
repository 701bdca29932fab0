"""Judges what agents wrote down about themselves: one process for each run, each prompt once. Pure.

Agents append lines to one file: what happened (``start`` or ``prompt``), their pod, their process
and, with a prompt, its text.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

ENDS = {"Succeeded", "Failed"}
EXCUSES = {"RunnerRestarted"}
"""Why a pod may have ended that should be at work: it was lost, and that is said."""


class Line(NamedTuple):
    """What an agent wrote."""

    what: str
    pod: str
    pid: str
    text: str


@dataclass
class Pod:
    """What was asked for, and what the API says of it in the end."""

    name: str
    prompt: str
    starts: int = 1
    """So many runs it must have, if it reached what was asked for."""
    later: Mapping[str, str] = field(default_factory=dict)
    """Prompts that came later: text and how they ended, ``submitted`` or ``failed``."""
    due: str = "Running"
    """The phase that it must come to."""
    phase: str = ""
    reason: str = ""
    """Why it ended, or is not as it should be."""
    delivered: bool = True
    """Whether nothing is said against its first prompt."""


def lines(text: str) -> list[Line]:
    """Return the lines of the file; raises ValueError when one is torn."""
    found = []
    for line in text.splitlines():
        what, pod, pid, said = line.split("\t", 3)
        found.append(Line(what, pod, pid, said))
    return found


def faults(pods: Iterable[Pod], said: Iterable[Line]) -> list[str]:
    """Return one sentence for everything that is wrong; empty: all is as it must be."""
    by_pod: dict[str, list[Line]] = {}
    for line in said:
        by_pod.setdefault(line.pod, []).append(line)
    found = []
    for pod in pods:
        found += _faults(pod, by_pod.pop(pod.name, []))
    return found + [f"{name}: nobody asked for it" for name in by_pod]


def _faults(pod: Pod, said: list[Line]) -> list[str]:
    starts = [line.pid for line in said if line.what == "start"]
    given = Counter(line.text for line in said if line.what == "prompt")
    found = []
    if len(starts) > pod.starts:
        found.append(f"{len(starts)} processes where {pod.starts} were due: {starts}")
    if len(set(starts)) != len(starts):
        found.append(f"a process began twice: {starts}")
    if len(starts) < pod.starts and not (pod.phase in ENDS and pod.reason in EXCUSES):
        found.append(f"{len(starts)} of {pod.starts} processes, {pod.phase} for no reason")
    if pod.phase != pod.due and not (pod.phase in ENDS and pod.reason in EXCUSES):
        found.append(f"it is {pod.phase or 'nowhere'} {pod.reason} and not {pod.due}")
    first = given.pop(pod.prompt, 0)
    if first > 1:
        found.append(f"its first prompt came {first} times")
    if first == 0 and starts and pod.delivered:
        found.append("its first prompt never came, and nothing says so")
    for text, end in pod.later.items():
        times = given.pop(text, 0)
        if times > 1 or (end == "submitted" and times != 1):
            found.append(f"prompt {text!r} came {times} times and counts as {end}")
    found += [f"it was given what nobody wrote: {text!r}" for text in given]
    return [f"{pod.name}: {each}" for each in found]
