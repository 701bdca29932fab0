import pytest
from meshwire.v1 import link_pb2

from runner.converge.activity_screen import Seen, rules, seen
from runner.drivers.screen import Screen


def shown(data: bytes, signs: link_pb2.Activity | None = None, title: str = "") -> Seen:
    screen = Screen(80, 24)
    try:
        screen.feed(data)
        return seen(screen, title, rules(signs or link_pb2.Activity()))
    finally:
        screen.close()


SIGNS = link_pb2.Activity(
    waiting=["^Allow this"], executing=["esc to interrupt"], idle=["^> $|^>$", "ready> $"]
)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"Allow this\r\n(esc to interrupt)\r\n>", "waiting"),
        (b"working (esc to interrupt)\r\n>", "executing"),
        (b"done\r\n> ", "idle"),
        (b"nothing of the kind", ""),
        (b"older\r\nready> ", "idle"),
        (b"ready> \r\nat work", ""),
    ],
)
def test_waiting_counts_before_executing_and_that_before_idle(data: bytes, word: str) -> None:
    assert shown(data, SIGNS).word == word


def test_a_title_is_a_line_too() -> None:
    found = shown(b"text", SIGNS, title="Allow this")
    assert found.word == "waiting"
    assert "title" in found.evidence


def test_the_evidence_is_the_classs_pattern_and_not_what_stands_there() -> None:
    found = shown(b"Allow this secret-of-the-customer?", SIGNS)
    assert "^Allow this" in found.evidence
    assert "secret" not in found.evidence


def test_a_pattern_that_cannot_be_searched_for_spoils_no_other() -> None:
    assert (
        shown(b"esc to interrupt", link_pb2.Activity(executing=["(", "esc to"])).word == "executing"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"Overwrite? [y/N] ",
        b"Create new file? (Y)es/(N)o [Yes]: ",
        b"Add it? (Y)es/(N)o/(A)ll/(S)kip all/(D)on't ask again [Yes]: ",
        b"Proceed with this (yes/no)? ",
        b"[sudo] password for ada: ",
        b"Enter passphrase for key '/home/a/.ssh/id': ",
        b"What is your name? ",
        b"Press any key to go on",
        b"lots of text\r\n--More--",
        b"Password: ",
        b"Pick one (use arrow keys)\r\n> one\r\n  two\x1b[?25l\x1b[1;1H",
    ],
)
def test_questions_are_known_where_the_cursor_is(data: bytes) -> None:
    assert shown(data).question


@pytest.mark.parametrize(
    "data",
    [
        b"Overwrite? [y/N] y\r\ncompiling\r\n",
        b"Create new file? (Y)es/(N)o [Yes]: \r\nwhole> ",
        b"Why does it fail?\r\n",
        b"$ ",
        b"checking whether make sets $(MAKE)... yes\r\n",
        b"",
    ],
)
def test_questions_of_the_past_are_none(data: bytes) -> None:
    assert not shown(data).question


def test_spinners_and_figures_do_not_count_as_a_change() -> None:
    frames = [b"| 1 s of 9", b"/ 2 s of 9", "⠙ 3 s of 9".encode(), "✻ 4 s of 9".encode()]
    assert len({shown(b"task\r\n" + frame).stamp for frame in frames}) == 1
    assert shown(b"task\r\n| 1 s of 9").stamp != shown(b"other\r\n| 1 s of 9").stamp


def test_what_says_that_it_works_is_no_change_either() -> None:
    first = shown(b"task\r\nPondering (esc to interrupt)", SIGNS)
    second = shown(b"task\r\nBrewing (esc to interrupt)", SIGNS)
    assert first.stamp == second.stamp


def test_a_full_screen_program_is_known() -> None:
    assert shown(b"\x1b[?1049hvim").full_screen
    assert not shown(b"\x1b[?1049h\x1b[?1049lshell").full_screen
