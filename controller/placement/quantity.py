"""Kubernetes quantities as integers. Source: Kubernetes API, ``resource.Quantity``."""

from decimal import Decimal
from typing import Final

_UNITS: Final = {
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
}


def byte_count(text: str) -> int:
    """Return the bytes of a quantity such as ``4Gi``; the schema has checked its form."""
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return int(Decimal(text.removesuffix(unit)) * factor)
    return int(Decimal(text))


def millis(text: str) -> int:
    """Return the thousandths of a processor of a quantity such as ``2`` or ``500m``."""
    if text.endswith("m"):
        return int(text[:-1])
    return int(Decimal(text) * 1000)
