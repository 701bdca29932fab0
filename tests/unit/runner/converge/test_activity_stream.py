import pytest

from runner.converge.activity import EXECUTING, IDLE, WAITING
from runner.converge.activity_stream import Notices


def heard(*pieces: bytes) -> Notices:
    notices = Notices()
    for at, piece in enumerate(pieces):
        notices.feed(piece, float(at))
    return notices


@pytest.mark.parametrize("end", [b"\x07", b"\x1b\\"])
def test_the_latest_title_counts(end: bytes) -> None:
    assert heard(b"\x1b]0;one%b text \x1b]2;two%b" % (end, end)).title == "two"


def test_sequences_may_be_cut_anywhere() -> None:
    data = b"text\x1b]0;title\x1b\\more\x1b]9;needs your permission\x07"
    for cut in range(len(data)):
        notices = heard(data[:cut], data[cut:])
        assert notices.title == "title"
        assert notices.attention is not None
        assert notices.attention.word == WAITING


def test_a_bell_that_ends_a_title_is_no_bell() -> None:
    assert heard(b"\x1b]0;title\x07").attention is None
    assert heard(b"\x1bPq...\x07").attention is None
    bell = heard(b"ready\x07").attention
    assert bell is not None
    assert bell.word == IDLE


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\x1b]9;Approval requested: rm\x07", WAITING),
        (b"\x1b]777;notify;Agent;Claude needs your permission to use Bash\x07", WAITING),
        (b"\x1b]9;Agent turn complete\x07", IDLE),
    ],
)
def test_notifications_are_told_apart_by_what_they_say(data: bytes, word: str) -> None:
    attention = heard(data).attention
    assert attention is not None
    assert attention.word == word
    assert "rm" not in attention.evidence.split()


@pytest.mark.parametrize(
    "data", [b"\x1b]9;1;250\x07", b"\x1b]9;12\x07", b"\x1b]99;i=1:p=?;\x1b\\", b"\x1b]99;i=1;\x07"]
)
def test_commands_and_queries_are_no_notifications(data: bytes) -> None:
    assert heard(data).attention is None


def test_marks_of_a_shell_say_whether_a_command_runs() -> None:
    marked = heard(b"\x1b]133;A\x07$ \x1b]133;B\x07", b"make\n\x1b]133;C\x07").marked
    assert marked is not None
    assert (marked.word, marked.since) == (EXECUTING, 1.0)
    marked = heard(b"\x1b]133;C\x07", b"\x1b]133;D;0\x07", b"\x1b]133;A\x07").marked
    assert marked is not None
    assert (marked.word, marked.since) == (IDLE, 1.0)


def test_progress_is_work_until_it_is_taken_away() -> None:
    assert heard(b"\x1b]9;4;1;40\x07").marked is not None
    assert heard(b"\x1b]9;4;1;40\x07", b"\x1b]9;4;0;\x07").marked is None


def test_a_sequence_without_an_end_is_not_kept_for_ever() -> None:
    notices = heard(b"\x1b]0;" + b"x" * 100_000, b"y" * 100_000, b"\x1b]0;new\x07")
    assert notices.title == "new"
    assert not notices.title.startswith("x")


def test_titles_are_text_of_bounded_length() -> None:
    title = heard(b"\x1b]0;a\x01\xff\n" + b"b" * 1000 + b"\x07").title
    assert len(title) <= 256
    assert title.isprintable()
