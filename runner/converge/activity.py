"""What an agent is doing, and what that is told by: signals in, one word out. Pure.

Four words: executing, waiting (for a person), idle (it takes the next prompt), and the empty one,
which is told rather than a wrong one. Signals are weighed in the order of how sure they are: what
the class says a dialog looks like, what the agent itself tells (hooks, marks in its output), the
class's other signs, a question at the cursor, output, use of the processor, and silence.
"""

from dataclasses import dataclass
from typing import Final

EXECUTING: Final = "executing"
WAITING: Final = "waiting"
IDLE: Final = "idle"
UNKNOWN: Final = ""
"""Nothing is sure."""

QUESTION_SECONDS: Final = 1.5
"""So long without output, what stands at the cursor is a question and not a line being written."""

_ATTENTION_SECONDS: Final = 2.0
"""So long without output, who rang a bell or sent a notification meant it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a pod."""

    word: str = UNKNOWN
    since_ms: int = 0
    """Milliseconds since 1970; 0 while nothing is known."""
    evidence: str = ""
    """One phrase: what the word was told by. Never what stands in the terminal."""
    stuck: str = ""
    """One sentence of evidence; empty: it is not."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that speaks for a word. Times are of a monotonic clock, in seconds."""

    word: str
    evidence: str
    since: float


@dataclass(frozen=True, slots=True)
class Processes:
    """What the pod's processes were seen to do."""

    at: float
    """When they were looked at."""
    busy: str = ""
    """Name of the process that used the processor most; empty: none of them was at work."""
    busy_since: float = 0.0
    line_reader: str = ""
    """Name of a program other than the agent that waits for a line from the terminal."""
    foreground: str = ""
    """Name of a program other than the agent that has the terminal and is not waiting for it."""
    is_unsure: bool = False
    """Another program has the terminal, and the system does not tell whether it waits for it."""
    hides_input: bool = False
    """Lines are read without an echo, as passwords are."""


@dataclass(frozen=True, slots=True)
class Signals:
    """All that is known at one moment."""

    output_at: float | None = None
    """When the last output came; None: none yet."""
    started_at: float | None = None
    """When it was started; None: not known."""
    flow_since: float | None = None
    """Since when output comes again and again; None: it does not."""
    screen: Sign | None = None
    """A sign of the class, on the screen or in the title."""
    told: Sign | None = None
    """The last word of the agent itself: by a hook, or by marks in its output."""
    question: Sign | None = None
    """What looks like a question, where the cursor is."""
    is_choice: bool = False
    """It says what to answer, such as yes or no: nobody writes that into a prompt."""
    attention: Sign | None = None
    """A bell or a notification, with nothing behind it."""
    processes: Processes | None = None
    """None: not looked at since the last output, or it cannot be."""
    full_screen: bool = False
    """A program has the alternate screen."""
    idle_seconds: float = 10.0
    """So long without output, and without anything at work, is idle."""


_NOTHING: Final = Sign(UNKNOWN, "", 0.0)


def fused(signals: Signals, now: float) -> Sign:
    """Return the word that the signals amount to, by which of them, and since when."""
    if signals.screen is not None and signals.screen.word == WAITING:
        return signals.screen  # a dialog that is seen is there, whatever was told before
    said, asked = _newest(signals.told, signals.screen), _asked(signals, now)
    if said is not None and not (asked and signals.is_choice and _is_seen_idle(said, signals)):
        return said
    if asked is not None:
        return asked
    if signals.flow_since is not None:
        return Sign(EXECUTING, "output keeps coming", signals.flow_since)
    return _by_processes(signals, now)


def _newest(told: Sign | None, screen: Sign | None) -> Sign | None:
    """Return what counts: what an agent told is true until its screen changes its mind."""
    if told is None or screen is None:
        return told or screen
    return screen if screen.since > told.since else told


def _is_seen_idle(said: Sign, signals: Signals) -> bool:
    """Whether it is idle by what stands somewhere on its screen, and by nothing better."""
    return said is signals.screen and said.word == IDLE


def _asked(signals: Signals, now: float) -> Sign | None:
    since, seen = _quiet_since(signals), signals.processes
    if since is None or (seen is not None and seen.busy):
        return None
    quiet = now - since
    if quiet < (QUESTION_SECONDS if signals.output_at is not None else signals.idle_seconds):
        return None
    if seen is not None and seen.hides_input:
        return Sign(WAITING, "its terminal takes a line without echo, like a password", seen.at)
    if signals.question is not None:
        return signals.question
    if signals.attention is not None and quiet >= _ATTENTION_SECONDS:
        return signals.attention
    if seen is not None and seen.line_reader:
        return Sign(WAITING, f"{seen.line_reader} waits for a line", since)
    return None


def _by_processes(signals: Signals, now: float) -> Sign:
    seen, since = signals.processes, _quiet_since(signals)
    if seen is None or since is None:
        return _NOTHING  # nothing was ever seen of it, or not since it fell silent
    if seen.busy:
        return Sign(EXECUTING, f"{seen.busy} uses the processor", seen.busy_since)
    if seen.foreground and not signals.full_screen:
        return Sign(EXECUTING, f"{seen.foreground} runs in its terminal", since)
    if seen.is_unsure and not signals.full_screen:
        return _NOTHING
    if now - since < signals.idle_seconds:
        return _NOTHING
    if signals.output_at is None:
        return Sign(IDLE, "it never printed, and no process of it is at work", since)
    seconds = f"{signals.idle_seconds:g}"
    return Sign(IDLE, f"no output for {seconds} s, and no process of it at work", since)


def _quiet_since(signals: Signals) -> float | None:
    """Return when the last output came; of what never printed, when it was started."""
    return signals.started_at if signals.output_at is None else signals.output_at
