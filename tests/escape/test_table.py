"""The table of ways out is whole, and the docs show it as it is."""

from tests.escape.table import COLUMNS, EXPECTED, PAGE, page, ways


def test_the_page_shows_what_is_expected() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run python -m tests.escape.table"


def test_every_way_has_an_outcome_for_each_isolation() -> None:
    assert {name.partition("@")[0] for name in EXPECTED} == ways().keys()
    for name, results in EXPECTED.items():
        offline = name.endswith("@none")
        assert set(results) == {each for each in COLUMNS if not (offline and "none/" in each)}


def test_bubblewrap_lets_nothing_out_but_to_the_network_that_was_asked_for() -> None:
    out = {
        name
        for name, results in EXPECTED.items()
        for column in ("bubblewrap/root", "bubblewrap/user")
        if results[column] == "open"
    }
    assert out <= {"host_loopback@host", "interfaces@host"}
