"""One run's activity over time: takes signals as they come, tells a word once it holds.

Knows no files, processes or clocks: who feeds it says when, so that recordings can be played to it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from runner.converge.activity import (
    EXECUTING,
    IDLE,
    UNKNOWN,
    WAITING,
    Processes,
    Sign,
    Signals,
    fused,
)
from runner.converge.activity_hooks import sign
from runner.converge.activity_pace import Pace
from runner.converge.activity_screen import Rules, Screen, Seen, seen
from runner.converge.activity_stream import Notices

_HOLD_SECONDS: Final = {WAITING: 1.0, EXECUTING: 1.0, IDLE: 2.0, UNKNOWN: 4.0}
"""So long a word must be the only answer before it is told in place of another."""

_FLOW_SECONDS: Final = 5
_FLOW_LEAST: Final = 3
"""Output in so many of the last seconds is a flow; less may be an echo, or a screen drawn anew."""

_FIRST_SAMPLE_SECONDS: Final = 1.0
_LAST_SAMPLE_SECONDS: Final = 30.0
"""After the last output processes are looked at so soon, then ever less often, up to this."""

_BLIND_SAMPLES: Final = 2
"""The first look at processes tells little: it takes a second one to see who is at work."""

_FRESH_SECONDS: Final = 45.0
"""A look at processes tells nothing about later than this."""


class PodActivity:
    """What is known of one run. Not for several threads at once; close it when done."""

    def __init__(self, wanted: Rules, new_screen: Callable[[], Screen], now: float) -> None:
        self._rules = wanted
        self._new_screen = new_screen
        self._screen = new_screen()
        self._notices = Notices()
        self._seen = Seen()
        self._is_drawn = True
        """Whether ``_seen`` is of the screen as it is."""
        self._screen_sign: Sign | None = None
        self._question: Sign | None = None
        self.hooked: Sign | None = None
        """The last word of the agent's hooks."""
        self.output_at: float | None = None
        """When the last output came; None: none yet."""
        self._started_at = now
        self._flow: deque[int] = deque(maxlen=_FLOW_LEAST)
        """Seconds in which there was output, latest last."""
        self._flow_since: float | None = None
        self._processes: Processes | None = None
        self._sampled_at = now
        self._pause = _FIRST_SAMPLE_SECONDS
        self._samples = 0
        self._moved_at = now
        """When something last changed but figures and spinners, or a process was at work."""
        self._candidate = Sign(UNKNOWN, "", now)
        self._candidate_since = now
        self.told = Sign(UNKNOWN, "", now)
        """What is said of it now, and since when."""
        self.stuck = ""
        self._pace = Pace(now)

    # --- what comes in ---------------------------------------------------------------------------

    def restore(self, told: Sign, hooked: Sign | None, stuck: str) -> None:
        """Begin with what was told before: the agent will not tell it again."""
        self.told, self.stuck = told, stuck
        self._candidate = told
        self.hooked = hooked

    def output(self, data: bytes, now: float) -> None:
        """Take what the program wrote."""
        self._notices.feed(data, now)
        self._screen.feed(data)
        self._came(now)

    def skipped(self, now: float) -> None:
        """Take that it wrote more than is worth being looked at."""
        self._screen.skip()
        self._moved_at = now
        self._came(now)

    def history(self, data: bytes, now: float) -> None:
        """Take what it wrote before it was watched; *now* is when that ended, or a guess."""
        self._notices.feed(data, now)
        self._screen.feed(data)
        self._notices.attention = None
        self.output_at, self._is_drawn = now, False

    def redraw(self) -> None:
        """Begin the screen anew: ``history`` follows."""
        self._screen.close()
        self._screen = self._new_screen()

    def lost(self) -> None:
        """Take that some output is in no file."""
        self._screen.skip()

    def resize(self, cols: int, rows: int) -> None:
        """Follow the size of the terminal."""
        self._screen.resize(cols, rows)

    def hook(self, body: Mapping[str, Any], now: float) -> None:
        """Take what the agent's hook sent."""
        said = sign(body, now)
        if said is None:
            return
        self._moved_at = now
        if self.hooked is None or self.hooked.word != said.word:
            self.hooked = said
        else:
            self.hooked = replace(self.hooked, since=max(self.hooked.since, now))

    def sampled(self, found: Processes | None, now: float) -> None:
        """Take what its processes do; None: that cannot be told."""
        busy = found is not None and bool(found.busy)
        if busy:
            self._moved_at = now
        self._processes, self._sampled_at = found, now
        self._samples += 1
        if found is not None or self._samples > _BLIND_SAMPLES:
            self._pause = min(self._pause * 2, _LAST_SAMPLE_SECONDS)

    def _came(self, now: float) -> None:
        self.output_at, self._is_drawn = now, False
        self._processes, self._pause, self._sampled_at = None, _FIRST_SAMPLE_SECONDS, now
        self._samples = 0
        second = int(now)
        if not self._flow or self._flow[-1] != second:
            self._flow.append(second)

    # --- what goes out ---------------------------------------------------------------------------

    def wants_sample(self, now: float) -> bool:
        """Whether it takes a look at its processes to say more."""
        if now - self._sampled_at < self._pause:
            return False
        by_signs = self._screen_sign or self._agents_word()
        if by_signs is None:
            return True
        return by_signs.word == EXECUTING and now - self._moved_at > self._rules.stuck_seconds / 4

    def look(self, now: float) -> bool:
        """Weigh all that is known; return whether something else is told now."""
        self._look_at_screen(now)
        self._look_at_flow(now)
        found = fused(self._signals(now), now)
        if found.word != self._candidate.word:
            self._candidate, self._candidate_since = found, now
        stuck = self._is_stuck(now)
        changed = stuck != self.stuck
        self.stuck = stuck
        held = now - self._candidate_since >= _HOLD_SECONDS[self._candidate.word]
        if self._candidate.word == self.told.word or not held:
            return changed
        return self._tell(now) or changed

    def _tell(self, now: float) -> bool:
        """Tell the candidate, or no word while it has waited for a person too often for that."""
        word = self._candidate
        if word.word == WAITING:
            if self._pace.allows(now):
                self._pace.take(now)
            elif self.told.word == UNKNOWN:
                return False
            else:
                word = Sign(UNKNOWN, "", word.since)
        since = max(self.told.since, min(word.since, self._candidate_since))
        self.told = replace(word, since=since)
        return True

    def close(self) -> None:
        """Free the screen."""
        self._screen.close()

    def _agents_word(self) -> Sign | None:
        """Return the latest that the agent itself told."""
        hooked, marked = self.hooked, self._notices.marked
        if hooked is None or marked is None:
            return hooked or marked
        return marked if marked.since > hooked.since else hooked

    def _signals(self, now: float) -> Signals:
        attention = self._notices.attention
        if attention is not None and self.output_at is not None:
            attention = attention if self.output_at - attention.since < 1.0 else None
        processes = self._processes
        if processes is not None and now - processes.at > _FRESH_SECONDS:
            processes = None
        return Signals(
            output_at=self.output_at,
            started_at=self._started_at,
            flow_since=self._flow_since,
            screen=self._screen_sign,
            told=self._agents_word(),
            question=self._question,
            is_choice=self._seen.is_choice,
            attention=attention,
            processes=processes,
            full_screen=self._seen.full_screen,
            idle_seconds=self._rules.idle_seconds,
        )

    def _look_at_screen(self, now: float) -> None:
        """Look only where something was drawn since the last look."""
        if self._is_drawn:
            return
        before, self._seen = self._seen, seen(self._screen, self._notices.title, self._rules)
        self._is_drawn = True
        at = now if self.output_at is None else self.output_at
        self._screen_sign = _kept(self._screen_sign, self._seen.word, self._seen.evidence, at)
        asked = WAITING if self._seen.question else ""
        self._question = _kept(self._question, asked, self._seen.question, at)
        if self._seen.stamp != before.stamp:
            self._moved_at = now

    def _look_at_flow(self, now: float) -> None:
        flows = len(self._flow) == _FLOW_LEAST and now - self._flow[0] < _FLOW_SECONDS
        if flows and self._flow_since is None:
            self._flow_since = float(self._flow[0])
        elif not flows:
            self._flow_since = None

    def _is_stuck(self, now: float) -> str:
        still = now - max(self._moved_at, self.told.since)
        if self.told.word != EXECUTING or still < self._rules.stuck_seconds:
            return ""
        minutes = self._rules.stuck_seconds / 60
        what = f"{minutes:g} min" if minutes >= 1 else f"{self._rules.stuck_seconds:g} s"
        return (
            f"It is at work by its signs ({self.told.evidence}), and for {what} nothing changed on "
            "its screen but figures and spinners, and its processes used no processor."
        )


def _kept(before: Sign | None, word: str, evidence: str, now: float) -> Sign | None:
    """Return the sign; the one before, if it speaks for the same word still."""
    if not word:
        return None
    return before if before is not None and before.word == word else Sign(word, evidence, now)
