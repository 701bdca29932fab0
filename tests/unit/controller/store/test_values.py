"""Times, ids and texts go into a database and come back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.store.values import cleaned, integer, micros, moment, new_id, storable


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_comes_back_to_the_microsecond(at: datetime) -> None:
    assert moment(micros(at)) == at


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    there = datetime(2026, 3, 1, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    assert moment(micros(there)) == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_an_id_is_a_ulid_that_sorts_by_time() -> None:
    # 01BX5ZZKBK is the time of the example in the specification of ULIDs
    assert new_id(1_508_808_576_371_000)[:10] == "01BX5ZZKBK"
    ids = [new_id(milliseconds * 1000) for milliseconds in (0, 1, 2**40, 2**48 - 1)]
    assert ids == sorted(ids)
    assert {len(one) for one in ids} == {26}
    assert len({new_id(0) for _ in range(1000)}) == 1000


@given(st.text(st.characters()))
def test_what_is_cleaned_can_be_stored_and_else_nothing_changes(text: str) -> None:
    assert storable(cleaned(text))
    assert not storable(text) or cleaned(text) == text


@pytest.mark.parametrize(("number", "want"), [(5, 5), (2**70, 2**63 - 1), (-(2**70), 1 - 2**63)])
def test_numbers_are_held_within_what_databases_hold(number: int, want: int) -> None:
    assert integer(number) == want
