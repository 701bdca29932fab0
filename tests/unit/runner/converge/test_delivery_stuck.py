from runner.converge.delivery_screen import Look, Verdict, mark, unread_mark, verdict
from runner.converge.delivery_stuck import Stuck

TEXT = "please look at the login test"
BEFORE = Look("welcome\n> ", 2, 1, sign_at=0.0, offset=5)
SHOWN = Look(f"welcome\n> {TEXT}", 2 + len(TEXT), 1, (80, 24), offset=9)


def test_a_mark_that_was_read_again_tells_the_same() -> None:
    stuck = Stuck((3, 1), mark(TEXT, BEFORE, SHOWN))
    again = Stuck.read(stuck.written())
    assert (again.run, again.mark.needle) == ((3, 1), stuck.mark.needle)
    still = Look(f"12:01\n> {TEXT}", 2 + len(TEXT), 1, (80, 24), offset=12)
    empty = Look("12:01\n> ", 2, 1, (80, 24), offset=12)
    for each in (stuck, again):
        assert verdict(each.mark, SHOWN) is Verdict.HELD
        assert verdict(each.mark, still) is Verdict.HELD
        assert verdict(each.mark, empty) is Verdict.TAKEN


def test_a_text_that_was_not_read_is_known_wherever_it_comes_up() -> None:
    held = Stuck.read(Stuck((1, 0), unread_mark(TEXT, BEFORE)).written()).mark
    assert verdict(held, BEFORE) is Verdict.HELD
    assert verdict(held, Look(f"late\n\n$ {TEXT}", 40, 2, offset=12)) is Verdict.HELD
    assert verdict(held, Look("late\n\n$ ", 2, 2, offset=12)) is Verdict.TAKEN
