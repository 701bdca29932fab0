"""Quantities: numbers with a unit, such as `3`, `500m` or `2Ki`, as limits are written.

Source: k8s.io/apimachinery, the documentation of `resource.Quantity`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal, InvalidOperation
from typing import Any, Final

_SHAPE: Final = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([A-Za-z]*|[eE][+-]?[0-9]{1,3})")
_DECIMAL: Final = {
    "n": -9,
    "u": -6,
    "m": -3,
    "": 0,
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
    "P": 15,
    "E": 18,
}
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_UNITS: Final = {power: unit for unit, power in _DECIMAL.items()}
_BINARY_UNITS: Final = {0: "", **{power: unit for unit, power in _BINARY.items()}}
_EXACT: Final = Context(prec=400)
_MOST_CHARACTERS: Final = 64
_NANO: Final = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number, and the way in which it is shown."""

    value: Decimal
    text: str
    """The one form that stands for this number: `1000` is `1k`."""


def parse(given: Any) -> Quantity | None:
    """Return the quantity that a client wrote, as a text or a number; None where it is none."""
    if isinstance(given, bool) or not isinstance(given, str | int):
        return None
    text = str(given).strip()
    found = _SHAPE.fullmatch(text) if len(text) <= _MOST_CHARACTERS else None
    if found is None:
        return None
    number, unit = found.groups()
    try:
        if unit in _DECIMAL:
            value = Decimal(number).scaleb(_DECIMAL[unit], _EXACT)
        elif unit in _BINARY:
            value = _EXACT.multiply(Decimal(number), Decimal(1024 ** _BINARY[unit]))
        elif unit[0] in "eE" and len(unit) > 1:
            value = Decimal(number).scaleb(int(unit[1:]), _EXACT)
        else:
            return None
        value = value.quantize(_NANO, ROUND_UP, _EXACT)
    except InvalidOperation:
        return None
    return Quantity(value, _canonical(value, unit))


def of_count(count: int) -> str:
    """Return how *count* objects are written: `999`, `1k`, `1001`."""
    return _decimal(Decimal(count))


def _canonical(value: Decimal, unit: str) -> str:
    if unit in _BINARY and abs(value) >= 1024:
        return _binary(value)
    if unit and unit not in _BINARY and unit not in _DECIMAL:
        return _decimal(value, exponent=True)
    return _decimal(value)


def _decimal(value: Decimal, *, exponent: bool = False) -> str:
    """Return *value* with the largest unit that leaves a whole number."""
    if not value:
        return "0"
    power = -9
    number = int(value.scaleb(9, _EXACT))
    while number % 1000 == 0 and power < 18:
        number //= 1000
        power += 3
    if exponent:
        return f"{number}e{power}" if power else str(number)
    return f"{number}{_UNITS[power]}"


def _binary(value: Decimal) -> str:
    number = int(value.to_integral_value(ROUND_UP))
    power = 0
    while number % 1024 == 0 and power < 6:
        number //= 1024
        power += 1
    return f"{number}{_BINARY_UNITS[power]}"
