import json
from typing import Any

from meshwire.v1 import link_pb2

from cli.terminal.asciicast import Asciicast


def lines(*pieces: link_pb2.Recorded) -> list[object]:
    made = Asciicast("acme/ada")
    text = b"".join(map(made.feed, pieces)) + made.finish()
    return [json.loads(line) for line in text.decode().splitlines()]


def piece(at: float, **what: Any) -> link_pb2.Recorded:
    return link_pb2.Recorded(at_seconds=at, began_unix_ms=1_700_000_000_123, **what)


def size(cols: int, rows: int) -> link_pb2.TerminalSize:
    return link_pb2.TerminalSize(cols=cols, rows=rows)


def test_the_first_size_is_the_header_and_later_ones_are_events() -> None:
    assert lines(piece(0, resize=size(80, 24)), piece(1.5, resize=size(100, 30))) == [
        {
            "version": 2,
            "width": 80,
            "height": 24,
            "timestamp": 1_700_000_000,
            "title": "acme/ada",
            "env": {"TERM": "xterm-256color"},
        },
        [1.5, "r", "100x30"],
    ]


def test_a_letter_that_is_cut_is_whole_in_the_later_event() -> None:
    euro = "€".encode()
    found = lines(
        piece(0, resize=size(80, 24)), piece(1, output=b"5 " + euro[:1]), piece(2, output=euro[1:])
    )
    assert found[1:] == [[1, "o", "5 "], [2, "o", "€"]]


def test_a_letter_whose_end_is_missing_is_told_before_the_gap() -> None:
    gap = link_pb2.Gap(from_offset=1, to_offset=11)
    found = lines(piece(1, output=b"\xe2"), piece(2, gap=gap), piece(3, output=b"on"))
    assert found[1:] == [
        [2, "o", "\ufffd"],
        [2, "m", "10 bytes of output are missing"],
        [3, "o", "on"],
    ]


def test_typing_is_marked_where_it_begins_and_never_what_was_typed() -> None:
    found = lines(
        *(piece(1, input_bytes=1), piece(1.1, output=b"h"), piece(2, input_bytes=4)),
        *(piece(2.1, output=b"ello"), piece(9, output=b"done"), piece(10, input_bytes=2)),
    )
    assert found[1:] == [
        *([1, "m", "5 bytes typed"], [1.1, "o", "h"], [2.1, "o", "ello"], [9, "o", "done"]),
        [10, "m", "2 bytes typed"],
    ]


def test_who_types_without_end_is_marked_now_and_then() -> None:
    pieces = [piece(number / 2, input_bytes=1) for number in range(60)]
    marks = [each for each in lines(*pieces)[1:] if isinstance(each, list)]
    assert [each[0] for each in marks] == [0, 10.5, 21]
    assert sum(int(str(each[2]).split()[0]) for each in marks) == 60


def test_time_never_goes_back() -> None:
    found = lines(piece(5, output=b"a"), piece(4, output=b"b"))
    assert found[1:] == [[5, "o", "a"], [5, "o", "b"]]
