"""One run's activity, fed by hand: seconds are the test's own."""

from collections.abc import Iterator

import pytest
from meshwire.v1 import link_pb2

from runner.converge.activity import Processes
from runner.converge.activity_pod import PodActivity
from runner.converge.activity_screen import rules
from runner.drivers.screen import Screen

SIGNS = link_pb2.Activity(
    waiting=["^Allow this"],
    executing=["esc to interrupt"],
    idle=["^ready>"],
    idle_seconds=10,
    stuck_seconds=60,
)
CLEAR = b"\x1b[2J\x1b[H"


class Played:
    """A run and its clock."""

    def __init__(self, signs: link_pb2.Activity) -> None:
        self.activity = PodActivity(rules(signs), lambda: Screen(80, 24), 0.0)
        self.now = 0.0
        self.words: list[str] = []

    def run(self, seconds: int, *, each: bytes = b"", doing: str | None = None) -> str:
        for _ in range(seconds):
            self.now += 1
            if each:
                self.activity.output(each, self.now)
            if doing is not None and self.activity.wants_sample(self.now):
                self.activity.sampled(
                    Processes(self.now, busy=doing, busy_since=self.now), self.now
                )
            if self.activity.look(self.now) and self.activity.told.word not in self.words[-1:]:
                self.words.append(self.activity.told.word)
        return self.activity.told.word

    def hook(self, event: str, **more: str) -> None:
        self.activity.hook({"hook_event_name": event, **more}, self.now)

    def draw(self, data: bytes) -> None:
        self.activity.output(CLEAR + data, self.now)


@pytest.fixture
def play() -> Iterator[Played]:
    played = Played(SIGNS)
    yield played
    played.activity.close()


def test_who_asks_again_and_again_is_told_three_times_then_once_a_minute(play: Played) -> None:
    for _ in range(300):
        play.hook("PermissionRequest")
        play.run(3)
        play.hook("UserPromptSubmit")
        play.run(3)
    told = play.words.count("waiting")
    assert 3 < told <= 3 + 300 * 6 / 60
    play.hook("PermissionRequest")
    assert play.run(70) == "waiting"  # who still waits is told


def test_a_turn_with_a_dialog_is_told_word_for_word(play: Played) -> None:
    play.draw(b"ready> ")
    play.run(5)
    play.draw(b"esc to interrupt")
    play.run(5, each=b"\x1b[2;1H.")
    play.draw(b"Allow this?")
    play.run(5)
    play.draw(b"esc to interrupt")
    play.run(5)
    play.draw(b"ready> ")
    play.run(5)
    assert play.words == ["idle", "executing", "waiting", "executing", "idle"]


def test_waiting_is_told_within_two_seconds(play: Played) -> None:
    play.draw(b"esc to interrupt")
    play.run(10)
    play.draw(b"Allow this?")
    assert play.run(2) == "waiting"


def test_what_lasts_less_than_a_second_is_not_told(play: Played) -> None:
    play.draw(b"esc to interrupt")
    play.run(10)
    for _ in range(10):
        play.draw(b"Allow this?")
        play.activity.look(play.now + 0.1)
        play.draw(b"esc to interrupt")
        play.run(1)
    assert play.words == ["executing"]


def test_hooks_tell_and_an_interruption_is_seen_on_the_screen(play: Played) -> None:
    play.draw(b"ready> ")
    play.run(5)
    play.hook("UserPromptSubmit")
    assert play.run(3) == "executing"
    play.run(1)
    play.draw(b"esc to interrupt")
    play.run(5)
    play.draw(b"ready> ")  # somebody pressed Escape: no hook says so
    assert play.run(4) == "idle"


@pytest.mark.parametrize(
    ("event", "more", "word"),
    [
        ("PermissionRequest", {}, "waiting"),
        ("PreToolUse", {"tool_name": "AskUserQuestion"}, "waiting"),
        ("PreToolUse", {"tool_name": "Bash"}, "executing"),
        ("Notification", {"notification_type": "permission_prompt"}, "waiting"),
        ("Stop", {}, "idle"),
        ("SessionStart", {}, ""),
    ],
)
def test_each_hook_has_its_word(play: Played, event: str, more: dict[str, str], word: str) -> None:
    play.hook(event, **more)
    assert play.run(4) == word
    if word:
        assert event in play.activity.told.evidence


def test_a_silent_compiler_is_at_work_and_then_idle() -> None:
    play = Played(link_pb2.Activity())
    play.activity.output(b"cc -c big.c\r\n", play.now)
    play.run(6, doing="")
    assert play.run(60, doing="cc1") == "executing"
    assert "cc1" in play.activity.told.evidence
    assert play.run(60, doing="") == "idle"
    play.activity.close()


def test_output_that_keeps_coming_is_work_and_a_single_burst_is_not() -> None:
    play = Played(link_pb2.Activity())
    play.activity.output(b"hello\r\n", play.now)
    assert play.run(5) == ""
    assert play.run(6, each=b"line\r\n") == "executing"
    play.activity.close()


def test_an_agent_that_never_printed_is_idle_from_its_start() -> None:
    play = Played(link_pb2.Activity(idle_seconds=10))
    assert play.run(9, doing="") == ""
    assert play.run(30, doing="") == "idle"
    assert play.activity.told.evidence == "it never printed, and no process of it is at work"
    assert play.activity.told.since == 0.0
    assert play.run(60, doing="cc1") == "executing"
    play.activity.close()


def test_without_knowledge_of_processes_silence_stays_unknown() -> None:
    play = Played(link_pb2.Activity())
    play.activity.output(b"hello\r\n", play.now)
    for _ in range(120):
        play.now += 1
        if play.activity.wants_sample(play.now):
            play.activity.sampled(None, play.now)
        play.activity.look(play.now)
    assert play.words == []
    play.activity.close()


def test_an_agent_whose_spinner_alone_moves_is_stuck_until_something_happens(
    play: Played,
) -> None:
    play.draw(b"task\r\n| esc to interrupt")
    for second in range(70):
        play.run(1, each=b"\x1b[2;1H%b" % b"|/-\\"[second % 4 : second % 4 + 1], doing="")
    assert play.activity.told.word == "executing"
    assert "1 min" in play.activity.stuck
    play.draw(b"task goes on\r\n| esc to interrupt")
    play.run(1)
    assert not play.activity.stuck


def test_who_uses_the_processor_is_not_stuck(play: Played) -> None:
    play.draw(b"esc to interrupt")
    play.run(300, doing="pytest")
    assert play.activity.told.word == "executing"
    assert not play.activity.stuck


def test_a_quiet_agent_with_a_sign_is_not_looked_at(play: Played) -> None:
    play.draw(b"ready> ")
    play.run(3)
    assert not any(play.activity.wants_sample(play.now + later) for later in range(3600))


def test_processes_are_looked_at_ever_less_often() -> None:
    play = Played(link_pb2.Activity())
    play.activity.output(b"hello\r\n", play.now)
    looks = 0
    for _ in range(3600):
        play.now += 1
        if play.activity.wants_sample(play.now):
            looks += 1
            play.activity.sampled(Processes(play.now), play.now)
        play.activity.look(play.now)
    assert looks <= 3600 / 30 + 5
    play.activity.close()


def test_what_was_told_before_a_restart_stands_and_began_then(play: Played) -> None:
    play.hook("PermissionRequest")
    play.run(5)
    told, hooked = play.activity.told, play.activity.hooked
    again = Played(SIGNS)
    again.now = play.now
    again.activity.restore(told, hooked, "")
    assert again.run(60) == "waiting"
    assert again.activity.told.since == told.since
    assert again.words == []
    again.activity.close()
