"""Quantities: what is one, which number it is, and its one form."""

from decimal import Decimal
from typing import Any

import pytest

from apiserver.quantities import of_count, parse


@pytest.mark.parametrize(
    ("given", "value", "text"),
    [
        ("0", "0", "0"),
        (3, "3", "3"),
        ("007", "7", "7"),
        ("1000", "1000", "1k"),
        (1_000_000, "1000000", "1M"),
        ("1500", "1500", "1500"),
        ("1.5k", "1500", "1500"),
        ("500m", "0.5", "500m"),
        ("0.5", "0.5", "500m"),
        (".5", "0.5", "500m"),
        ("-1", "-1", "-1"),
        ("+2", "2", "2"),
        ("2Ki", "2048", "2Ki"),
        ("2048Ki", "2097152", "2Mi"),
        ("1000Ki", "1024000", "1000Ki"),
        ("0.5Ki", "512", "512"),
        ("1e3", "1000", "1e3"),
        ("2E", "2000000000000000000", "2E"),
        ("0.1n", "0.000000001", "1n"),
    ],
)
def test_a_quantity_is_a_number_in_one_form(given: Any, value: str, text: str):
    found = parse(given)
    assert found is not None
    assert (found.value, found.text) == (Decimal(value), text)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        "1x",
        "k",
        ".",
        "1.2.3",
        "1 k",
        "1e",
        "1e9999",
        "--1",
        "٣",
        "9" * 65,
        True,
        1.5,
        None,
    ],
)
def test_anything_else_is_none(given: Any):
    assert parse(given) is None


def test_a_form_stands_for_itself():
    for count in (0, 1, 999, 1000, 1001, 12_000, 3_000_000):
        again = parse(of_count(count))
        assert again is not None
        assert (again.value, again.text) == (count, of_count(count))
