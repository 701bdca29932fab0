"""What a YAML document is made of, with the place of each part in the text."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Scalar:
    """A text, number, boolean or nothing."""

    start: int
    """Index of its first character in the text."""
    end: int
    """Index behind its last character."""
    value: str | int | bool | None
    style: str
    """``'``, ``"``, ``|`` or ``>``; empty for a plain one."""


@dataclass(slots=True)
class Sequence:
    """A list."""

    start: int
    end: int
    flow: bool
    """Whether it stands in brackets."""
    items: list["Node"] = field(default_factory=list)
    value: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Pair:
    """A key and its value."""

    key: Scalar
    name: str
    node: "Node"


@dataclass(slots=True)
class Mapping:
    """Keys and values."""

    start: int
    end: int
    flow: bool
    """Whether it stands in braces."""
    pairs: list[Pair] = field(default_factory=list)
    value: dict[str, Any] = field(default_factory=dict)

    def pair(self, name: str) -> Pair | None:
        """Return the pair with that key."""
        return next((pair for pair in self.pairs if pair.name == name), None)


Node = Scalar | Sequence | Mapping
"""Its ``value`` is what it says, as Python has it."""
