import pytest

from runner.converge.delivery_screen import Look, Verdict, is_echoed, mark, verdict

TEXT = "please look at the login test"
FRAME = "─" * 30


def screen(
    *rows: str,
    at: tuple[int, int] | None = None,
    offset: int = 1,
    sign: bool = False,
    **more: object,
) -> Look:
    """Return a look at rows, the cursor at the end of the last one unless *at* says where."""
    column, row = at if at is not None else (len(rows[-1]), len(rows) - 1)
    return Look("\n".join(rows), column, row, offset=offset, sign_at=0.0 if sign else None, **more)  # type: ignore[arg-type]


EMPTY = screen("welcome", FRAME, "> ", FRAME, at=(2, 2))
TYPED = screen("welcome", FRAME, f"> {TEXT}", FRAME, at=(2 + len(TEXT), 2), offset=2)
NOTED = screen("welcome", FRAME, "> [Pasted text #1]", FRAME, at=(18, 2), offset=2)


def test_a_text_is_seen_whatever_frame_and_wrapping_is_around_it() -> None:
    wrapped = screen("│ > please look at │", "│   the login test │", at=(17, 1))
    assert is_echoed(TEXT, EMPTY, TYPED)
    assert is_echoed(TEXT, EMPTY, wrapped)
    assert not is_echoed(TEXT, EMPTY, EMPTY)


def test_a_text_that_stood_there_before_is_not_taken_for_the_typed_one() -> None:
    before = screen(f"you: {TEXT}", "agent: ok", "", "", "> ")
    assert not is_echoed(TEXT, before, before)
    assert is_echoed(TEXT, before, screen(f"you: {TEXT}", "agent: ok", "", "", f"> {TEXT}"))
    scrolled = screen("agent: ok", "", "", "", f"> {TEXT}")
    assert is_echoed(TEXT, before, scrolled)


@pytest.mark.parametrize(
    ("after", "found"),
    [
        pytest.param(TYPED, Verdict.HELD, id="nothing happened"),
        pytest.param(
            screen("12:01", FRAME, f"> {TEXT}", FRAME, at=(2 + len(TEXT), 2), offset=3),
            Verdict.HELD,
            id="something else was drawn",
        ),
        pytest.param(
            screen("welcome", "one more", FRAME, f"> {TEXT}", FRAME, at=(31, 3), offset=3),
            Verdict.HELD,
            id="the input was moved",
        ),
        pytest.param(
            screen(f"you: {TEXT}", FRAME, "> ", FRAME, at=(2, 2), offset=3),
            Verdict.TAKEN,
            id="it is in the history and the input is empty",
        ),
        pytest.param(
            screen("working", at=(0, 0), offset=3), Verdict.TAKEN, id="it is gone from the screen"
        ),
        pytest.param(
            screen("welcome", FRAME, f"> {TEXT}", "ok", at=(0, 4), offset=3),
            Verdict.TAKEN,
            id="the cursor went on as with lines",
        ),
    ],
)
def test_what_became_of_a_text_is_told_from_where_it_stands(after: Look, found: Verdict) -> None:
    assert verdict(mark(TEXT, EMPTY, TYPED), after) is found


def test_a_key_that_only_made_the_input_longer_has_submitted_nothing() -> None:
    shown = screen("welcome", f"│ > {TEXT} │", at=(33, 1), offset=2, bracketed=True)
    longer = screen("welcome", f"│ > {TEXT} │", "│   │", at=(4, 2), offset=3, bracketed=True)
    assert verdict(mark(TEXT, EMPTY, shown), longer) is Verdict.HELD


def test_a_note_that_stands_for_a_long_text_is_followed_in_its_place() -> None:
    held = mark(TEXT, EMPTY, NOTED)
    again = screen("tick", FRAME, "> [Pasted text #1]", FRAME, at=(18, 2), offset=3)
    gone = screen("[Pasted text #1]", FRAME, "> ", FRAME, at=(2, 2), offset=3)
    assert (verdict(held, again), verdict(held, gone)) == (Verdict.HELD, Verdict.TAKEN)


def test_a_sign_of_readiness_that_comes_back_says_that_the_text_was_taken() -> None:
    before = screen("> ", sign=True)
    held = mark(TEXT, before, screen(f"> {TEXT}", offset=2))
    still = screen(f"> {TEXT}", offset=3, sign=True)
    assert verdict(held, still) is Verdict.TAKEN


def test_where_nothing_is_shown_only_output_tells() -> None:
    held = mark(TEXT, EMPTY, EMPTY)
    assert verdict(held, EMPTY) is Verdict.UNKNOWN
    assert verdict(held, screen("welcome", "ok", offset=3)) is Verdict.TAKEN


def test_after_a_change_of_size_a_text_that_is_seen_tells_nothing() -> None:
    resized = screen(f"> {TEXT}", offset=3, size=(80, 24))
    assert verdict(mark(TEXT, EMPTY, TYPED), resized) is Verdict.UNKNOWN
    gone = screen("welcome", offset=3, size=(80, 24))
    assert verdict(mark(TEXT, EMPTY, TYPED), gone) is Verdict.TAKEN
